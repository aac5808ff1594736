"""What arms of claims and studies are trained on, and what they must not be trained on."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2r_baselines.tasks import TASKS
from e2r_bench.run.config import Experiment
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.pairs import SUFFIXES

PAINTED = Path("painted")
_PAINTED_WORDS = "painted pairs (dead leaves)"
_FOLDER_OF_KINDS = "denoise=DIR,derain=DIR,dehaze=DIR"
_GENERIC = frozenset({"train", "training", "test", "val", "data", "pairs", "target"})


@dataclass(frozen=True)
class TrainData:
    """What arms are trained on.

    Attributes:
        kinds: the kinds of task that are trained, in order.
        folders: kind -> folder of pairs (for denoise, of clean pictures or pairs), or `PAINTED`
            where that was asked for by name; a miniature is painted for without a word.
    """

    kinds: tuple[str, ...]
    folders: Mapping[str, Path]

    def words(self) -> str:
        """Return in words what the arms are trained on."""
        if all(folder == PAINTED for folder in self.folders.values()):
            return _PAINTED_WORDS
        return ", ".join(f"{kind}: {self._named(kind)}" for kind in self.kinds)

    def _named(self, kind: str) -> str:
        folder = self.folders.get(kind, PAINTED)
        if folder == PAINTED:
            return _PAINTED_WORDS
        whole = folder.resolve()
        return f"{whole.parent.name}/{whole.name}" if whole.name in _GENERIC else whole.name

    def digests(self) -> dict[str, str]:
        """Return kind -> digest of its folder's picture files, by name and content."""
        return {
            k: digest_of_folder(folder) for k, folder in self.folders.items() if folder != PAINTED
        }


def digest_of_folder(folder: Path) -> str:
    """Return the sha256 of a folder's picture files, by name and content."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        whole.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
    return whole.hexdigest()


def train_data(
    given: Mapping[str, str] | None, tasks: Sequence[str], miniature: bool, backbone: str
) -> TrainData:
    """Decide what arms are trained on, before anything is trained.

    Args:
        given: kind of task -> folder, or "painted"; {"": "painted"} for all kinds; None where
            nothing was said.
        tasks: names of the tasks that arms are run on.
        miniature: whether the backbone is a small stand-in, which is trained on painted pairs
            unless told otherwise.
        backbone: its name, for the error.

    Raises:
        UsageError: a full-size backbone without data, an unknown kind, a kind without data, or a
            folder that is not there.
    """
    kinds = tuple(dict.fromkeys(TASKS[task].kind for task in tasks if task in TASKS))
    if given is None:
        if miniature:
            return TrainData(kinds, {})
        raise UsageError(
            f"arms on {backbone} are trained here: expected --train-data {_FOLDER_OF_KINDS}, found "
            "none; --train-data painted trains on painted pictures, which say little of photographs"
        )
    if given == {"": str(PAINTED)}:
        return TrainData(kinds, dict.fromkeys(kinds, PAINTED))
    for kind in given:
        if kind not in kinds:
            raise unknown("kind of task in --train-data", kind, kinds)
    gone = [kind for kind in kinds if kind not in given]
    if gone:
        raise UsageError(
            f"--train-data: expected a folder for each of {', '.join(kinds)}, found none for "
            f"{', '.join(gone)}; give {gone[0]}=DIR, or {gone[0]}={PAINTED}"
        )
    return TrainData(kinds, dict(_folders(given)))


def _folders(given: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    for kind, where in given.items():
        folder = Path(where).expanduser()
        if folder != PAINTED and not folder.is_dir():
            raise UsageError(f"--train-data {kind}={where}: expected a folder, found no such one")
        yield kind, folder


def judged_on(base: Experiment) -> Iterator[Path]:
    """Yield the folders of an experiment's pictures, which no arm may be trained on."""
    for entry in base.data:
        name, equals, where = entry.partition("=")
        folder = where if equals and name in TASKS else entry
        if folder != "mini":
            yield Path(folder).expanduser()
