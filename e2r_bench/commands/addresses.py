"""Click parameter types of what may be a path of this machine or an address."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from e2r_metrics.base.addresses import fetched, is_address
from e2r_metrics.base.errors import UsageError


class OutputOrAddress(click.Path):
    """A folder to write to, of this machine, or at an address, which stays text."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        return value if is_address(str(value)) else super().convert(value, param, ctx)


class FolderOrAddress(click.Path):
    """A folder that is there, of this machine; one at an address is fetched into the cache.

    With `--offline`, which is parsed before, it is refused instead.
    """

    def __init__(self) -> None:
        super().__init__(exists=True, file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        if not is_address(str(value)):
            return super().convert(value, param, ctx)
        if ctx is not None and ctx.params.get("offline"):
            refuse_addresses([str(value)])
        return fetched(value)


def refuse_addresses(places: Sequence[str]) -> None:
    """Refuse what would be fetched; `memory:` is this process's own.

    Args:
        places: paths and addresses, or TASK=PLACE.

    Raises:
        UsageError: one is an address.
    """
    for place in places:
        where = place.rpartition("=")[2]
        if is_address(where) and not where.startswith("memory:"):
            raise UsageError(f"--offline: expected paths of this machine, found {where}")


OUTPUT_OR_ADDRESS = OutputOrAddress()
FOLDER_OR_ADDRESS = FolderOrAddress()
