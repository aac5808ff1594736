"""The smaller files of a run folder: the summary, the failures, the maps of one image."""

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text

if TYPE_CHECKING:
    import pandas as pd

_NEEDED = frozenset({"method", "task", "metric", "value", "status"})


def read_summary(folder: Path) -> "pd.DataFrame":
    """Return a run's summary.csv as a frame.

    Raises:
        UsageError: the run has not got that far, or the file is damaged.
    """
    import pandas as pd

    path = folder / "summary.csv"
    if not path.exists():
        raise UsageError(f"{folder}: expected summary.csv, found none; finish the run first")
    try:
        text = io.StringIO(read_text(path))
        found = pd.read_csv(text, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise UsageError(_damaged(path, " ".join(str(error).split()))) from error
    if not set(found.columns) >= _NEEDED:
        raise UsageError(_damaged(path, f"columns {', '.join(map(str, found.columns))[:80]}"))
    return found


def _damaged(path: Path, found: str) -> str:
    return f"{path}: expected a run's summary, found {found}; give the command of the run again"


def read_failures(path: Path) -> dict[str, str]:
    """Return cell -> what went wrong; nothing where the file is not there.

    Raises:
        UsageError: it is damaged.
    """
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected JSON of a run, found: {error}; delete it") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected failures by cell; delete it")
    return {str(key): str(note) for key, note in content.items()}


def remove_maps(folder: Path, image: str) -> None:
    """Remove the maps of one image, and of none whose name goes on after a dot."""
    own = re.compile(rf"{re.escape(Path(image).name)}\.(npz|[a-z0-9_]+\.png)")
    place = (folder / image).parent
    for path in [*place.iterdir()] if place.is_dir() else []:
        if own.fullmatch(path.name):
            path.unlink()
