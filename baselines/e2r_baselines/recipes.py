"""Ready lines for restorers that run outside of this package, as data."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Recipe:
    """How one restorer's results get into a table.

    Attributes:
        name: as its authors call it.
        source, licence, weights: where it is, under what, and where its weights are.
        line: for `command:LINE`, run from its checkout; "" where nobody's README has one.
        note: what a user has to know.
    """

    name: str
    source: str
    licence: str
    weights: str
    line: str
    note: str

    @property
    def how(self) -> str:
        """Return what to give `e2r-bench run --methods`."""
        return f'"command:{self.line}"' if self.line else "folder:FOLDER"


def recipes() -> tuple[Recipe, ...]:
    """Return every recipe that comes with this package."""
    text = files("e2r_baselines").joinpath("recipes.toml").read_text(encoding="utf-8")
    return tuple(Recipe(**row) for row in tomllib.loads(text)["recipe"])
