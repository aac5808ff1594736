"""Click parameter types of what may be a path of this machine or an address."""

from pathlib import Path
from typing import Any

import click

from e2r_metrics.base.addresses import fetched, is_address


class OutputOrAddress(click.Path):
    """A folder to write to, of this machine, or at an address, which stays text."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        return value if is_address(str(value)) else super().convert(value, param, ctx)


class FolderOrAddress(click.Path):
    """A folder that is there, of this machine; one at an address is fetched into the cache."""

    def __init__(self) -> None:
        super().__init__(exists=True, file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        return fetched(value) if is_address(str(value)) else super().convert(value, param, ctx)


OUTPUT_OR_ADDRESS = OutputOrAddress()
FOLDER_OR_ADDRESS = FolderOrAddress()
