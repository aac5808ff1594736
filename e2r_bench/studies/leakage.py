"""Train against test: which pictures are the same, nearly the same, or parts of each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from e2r_baselines.nearduplicate import Overlap, find_overlaps
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import refuse_foreign, write_text
from e2r_metrics.base.pairs import SUFFIXES

NAME = "leakage.csv"
_COLUMNS = ["test", "train", "kind", "correlation", "coverage"]


@dataclass(frozen=True)
class Leaks:
    """What was compared, and what was found.

    Attributes:
        train, test: the folders.
        trained, tested: how many pictures were in each.
        overlaps: one entry per pair of pictures.
    """

    train: Path
    test: Path
    trained: int
    tested: int
    overlaps: tuple[Overlap, ...]


def find_leaks(train: Path, test: Path) -> Leaks:
    """Compare two folders, with their subfolders.

    Raises:
        UsageError: a folder that is missing or holds no picture; a file that is not an image.
    """
    files = [_pictures(folder) for folder in (train, test)]
    found = find_overlaps(*files)
    return Leaks(train, test, len(files[0]), len(files[1]), tuple(found))


def _pictures(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise UsageError(f"{folder}: expected a folder with pictures, found none")
    return files


def summary_lines(leaks: Leaks) -> Iterator[str]:
    """Yield one line per pair, then the count."""
    for overlap in leaks.overlaps:
        test, train = (
            overlap.test.relative_to(leaks.test),
            overlap.train.relative_to(leaks.train),
        )
        yield (
            f"{overlap.kind}: {test} is in {train}; correlation {overlap.correlation:.3f} over "
            f"{overlap.coverage:.0%} of the test picture"
        )
    tainted = len({overlap.test for overlap in leaks.overlaps})
    share = tainted / leaks.tested
    yield (
        f"{tainted} of {leaks.tested} test pictures ({share:.1%}) stand among {leaks.trained} "
        "training pictures"
    )


def refuse_other_leaks(folder: Path) -> None:
    """Raise `UsageError` where another's leakage.csv is; what a killed writer left is removed."""
    refuse_foreign(folder / NAME, lambda head: head.startswith(",".join(_COLUMNS).encode()))


def write_leaks(leaks: Leaks, folder: Path) -> None:
    """Write leakage.csv, one row per pair."""
    import pandas as pd

    rows = [
        {
            "test": str(o.test), "train": str(o.train), "kind": o.kind,
            "correlation": o.correlation, "coverage": o.coverage,
        }
        for o in leaks.overlaps
    ]  # fmt: skip
    write_text(folder / NAME, pd.DataFrame(rows, columns=_COLUMNS).to_csv(index=False))
