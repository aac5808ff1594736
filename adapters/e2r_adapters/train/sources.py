"""What a task's training pictures may be drawn from: pairs, a list of pairs, or clean pictures."""

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from e2r_adapters.train.config import PAINTED, TrainConfig
from e2r_adapters.train.pair_lists import is_list, read_list
from e2r_adapters.train.pictures import MADE, Pair, clean_pair, made_pair, painted_pair, read_pair
from e2r_adapters.train.profiles import kind_of
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pairs import SUFFIXES, Matching, dataset_pairs, list_pictures, sides_of
from e2r_metrics.base.pairs import Pair as Files


@dataclass(frozen=True)
class Candidate:
    """What one pair would be made of.

    Attributes:
        name: as pairing or the list has it.
        clean: the file of the target.
        degraded: the file of its twin; None where it is made from the clean one.
        caption: its own instruction; "" for its task's.
    """

    name: str
    clean: Path
    degraded: Path | None = None
    caption: str = ""


def is_painted(config: TrainConfig, task: str) -> bool:
    """Return whether a task's pictures are painted by our own code."""
    return config.data.get(task, PAINTED) == PAINTED


def candidates(config: TrainConfig, task: str) -> list[Candidate]:
    """Return what the pairs of a task may be drawn from, in an order that its files decide.

    Args:
        config: see `TrainConfig`.
        task: one that is not painted.

    Raises:
        UsageError: no such folder or list, files without partner, or a list that is not whole.
    """
    place = config.data[task]
    if is_list(place):
        return [
            Candidate(row.files.name, row.files.clean, row.files.first, row.caption)
            for row in read_list(place)
        ]
    if not place.is_dir():
        raise UsageError(
            f"{place}: expected a folder of pairs for {task}, or a list of them (.csv, .json, "
            ".jsonl), found no such folder"
        )
    if _is_made(config, task) and _is_clean(place, config.matching):
        found = list_pictures(place, config.matching.recursive)
        return [Candidate(name, path) for name, path in found.items()]
    pairs = dataset_pairs(place, config.matching)
    return [Candidate(pair.name, pair.clean, pair.first) for pair in pairs]


def _is_made(config: TrainConfig, task: str) -> bool:
    """Return whether clean pictures alone are enough for a task."""
    return bool(config.variation.degrade) or kind_of(task) in MADE


def _is_clean(folder: Path, matching: Matching) -> bool:
    """Return whether a folder holds pictures themselves rather than two sides of pairs."""
    if any(sides_of(folder)):
        return False
    if not matching.recursive:
        return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
    return not any(all(sides_of(part)) for part in folder.iterdir() if part.is_dir())


def open_pair(config: TrainConfig, task: str, one: Candidate, place: int) -> Pair:
    """Read or make one pair.

    Args:
        config: see `TrainConfig`.
        task: of the pair.
        one: what it is made of.
        place: of it among those drawn.

    Raises:
        UsageError: a broken file, or unequal sizes.
    """
    if one.degraded is not None:
        files = Files(one.name, one.degraded, one.clean)
        return read_pair(task, files, config.reading, one.caption)
    if config.variation.degrade:
        return clean_pair(task, one.name, one.clean, config.reading)
    return made_pair(task, one.name, one.clean, config.pairs_seed, place, config.reading)


def paint_pair(config: TrainConfig, task: str, index: int) -> Pair:
    """Paint one pair; its degraded side is the clean one where that is degraded later."""
    made = not config.variation.degrade
    return painted_pair(task, config.pairs_seed, index, config.profile.painted, made)


def words(config: TrainConfig, task: str, found: list[Candidate], barred: Set[Path]) -> str:
    """Return where a task's pictures are from, in words without a path."""
    later = config.variation.degrade
    name = config.data[task].resolve().name
    without = f", without {len(barred)} that stand in a test set" if barred else ""
    if found[0].degraded is not None:
        on_top = f", {later} on top" if later else ""
        return f"pairs of {name}{on_top}{without}"
    own = "noise" if kind_of(task) == "denoise" else "haze"
    return f"{later or own} painted on {name}{without}"
