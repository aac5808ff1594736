"""One number of a table, and what it may not stand beside."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2r_bench.report.labels import number, spread

# A line of a mixed column differs from the others in one of these; two never share a column.
# What counts is how many pictures were asked for: one that failed is struck out alone.
_MUST_AGREE = {"protocol": "protocol", "asked": "n", "pictures": "pictures or noise realisation"}


@dataclass(frozen=True)
class Entry:
    """One number, or the reason why there is none.

    Attributes:
        text: the value as printed; "not measured" or "failed" where there is none.
        spread: half of the interval as printed, empty where the summary has no interval.
        status: "ok", "failed" or "not measured".
        value, low, high: the numbers, None where there are none or they are not finite.
        n: how many pictures stand behind it.
        notes: what a reader must know before comparing it, such as a mixture.
    """

    text: str
    spread: str = ""
    status: str = "ok"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    notes: tuple[str, ...] = ()


def not_asked() -> Entry:
    """Return the entry of a metric that no call of the run asked for."""
    return Entry("not measured", status="not measured", notes=("not asked for in this run",))


def odd_properties(rows: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return, for every property in which the good rows of a column differ, its usual value."""
    good = [row for row in rows if row is not None and row["status"] == "ok"]
    counts = {name: Counter(row[name] for row in good) for name in _MUST_AGREE}
    return {name: seen.most_common(1)[0][0] for name, seen in counts.items() if len(seen) > 1}


def mixture(odd: Mapping[str, Any]) -> str:
    """Return why a column's numbers may not be compared; empty when they may."""
    named = ", ".join(_MUST_AGREE[name] for name in odd)
    return f"mixed {named}: these numbers may not be compared" if odd else ""


def entry(row: Mapping[str, Any], odd: Mapping[str, Any]) -> Entry:
    """Return the entry of a summary row.

    Args:
        row: a line of summary.csv, with `asked` and `pictures`.
        odd: `odd_properties` of its column.
    """
    note = (str(row["note"]),) if isinstance(row["note"], str) and row["note"] else ()
    if row["status"] != "ok":
        return Entry(str(row["status"]), status=str(row["status"]), notes=note)
    notes = [
        f"{_MUST_AGREE[name]} differs in this column"
        + (f": {row[name]}, elsewhere {usual}" if name == "asked" else "")
        for name, usual in odd.items()
        if row[name] != usual
    ]
    value, low, high = (float(row[key]) for key in ("value", "low", "high"))
    ranged = math.isfinite(low) and math.isfinite(high)
    return Entry(
        text=number(value, str(row["unit"])),
        spread=spread((high - low) / 2, value, str(row["unit"])) if ranged else "",
        value=value if math.isfinite(value) else None,
        low=low if ranged else None,
        high=high if ranged else None,
        n=int(row["n"]),
        notes=(*notes, *note),
    )
