"""What the flags that take a list by comma share."""

from collections.abc import Sequence
from typing import Any

import click

from e2r_metrics.base.errors import repeated


def split(text: str) -> list[str]:
    """Return the parts of a comma list, without blanks around them; empty parts are left out."""
    return [part.strip() for part in text.split(",") if part.strip()]


class CommaList(click.ParamType):
    """What the lists by comma share: each name, number or key stands in one once."""

    def refuse_repeated(
        self, parts: Sequence[Any], param: click.Parameter | None, ctx: click.Context | None
    ) -> None:
        """Refuse a list in which something stands twice."""
        if twice := repeated(parts):
            self.fail(f"expected each once, found {twice} twice", param, ctx)
