"""Partners by place in a sorted list: how many scripts pair, right or wrong; only when asked."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from e2r_metrics.base.errors import UsageError

Order = Literal["name", "sorted", "numeric", "sorted-numeric", "numeric-sorted"]
ORDERS: Mapping[Order, str] = {
    "name": "partners by name",
    "sorted": "partners by place, both folders sorted as text",
    "numeric": "partners by place, both folders sorted by the numbers in the names",
    "sorted-numeric": "partners by place, the first folder sorted as text, the second by numbers",
    "numeric-sorted": "partners by place, the first folder sorted by numbers, the second as text",
}
"""How two folders are paired, in the words of a protocol."""


def in_order(
    ours: Mapping[str, Path], theirs: Mapping[str, Path], order: Order, where: str
) -> list[tuple[str, str]]:
    """Return pairs of names by place in two lists.

    Args:
        ours: files of the first folder by name.
        theirs: files of the second.
        order: a key of `ORDERS`, not "name".
        where: names the folders for an error.

    Raises:
        UsageError: lists of different lengths.
    """
    if len(ours) != len(theirs):
        raise UsageError(
            f"{where}: expected as many files in both for --order {order}, found {len(ours)} and "
            f"{len(theirs)}"
        )
    first, _, second = order.partition("-")
    return list(zip(_sorted(ours, first), _sorted(theirs, second or first), strict=True))


def _sorted(names: Iterable[str], how: str) -> list[str]:
    return sorted(names) if how == "sorted" else sorted(names, key=_numbers)


def _numbers(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name, flags=re.ASCII)
    return [(0, int(p), p) if p.isascii() and p.isdigit() else (1, 0, p) for p in parts if p]
