"""Folders of results, scored against their truth: what a comparison of folders is made from."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_bench.maps.shares import SHARES, measure_shares
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pairs import Matching, Pair, list_pictures, pair_folders
from e2r_metrics.catalog import CATALOG, Metric
from e2r_metrics.images import to_uint8
from e2r_metrics.pair_pixels import Given, read_pair
from e2r_metrics.parts import USUAL, Parts

if TYPE_CHECKING:
    from e2r_metrics import Session
    from e2r_metrics.numbers import Scores

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Measures:
    """What is measured.

    Attributes:
        metrics: of the catalog.
        shares: ids of shares, see `maps.shares`.
        parts: what else the numbers depend on.
    """

    metrics: tuple[Metric, ...]
    shares: tuple[str, ...] = ()
    parts: Parts = USUAL


@dataclass(frozen=True)
class Entrant:
    """One folder of results, scored.

    Attributes:
        name: short, and of no other folder.
        scores: of the catalog's metrics.
        partners: picture -> its clean file; of pixels in memory, their digest; where there is no
            reference, its own name.
        shares: id -> picture -> share.
        failed: picture -> why it has no share.
        parts: what else its numbers depend on.
    """

    name: str
    scores: "Scores"
    partners: Mapping[str, Path | str]
    shares: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict[str, Mapping[str, float]]
    )
    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: Parts = USUAL

    @cached_property
    def by_metric(self) -> Mapping[str, Mapping[str, float]]:
        """Return metric id -> picture -> value of everything that pictures have one of."""
        found: dict[str, dict[str, float]] = {}
        for row in self.scores.values:
            if row.image:
                found.setdefault(row.metric.id, {})[row.image] = row.value
        return {**found, **self.shares}


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return a short name for each folder.

    Raises:
        UsageError: the same folder twice.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError(f"expected different folders, found {', '.join(map(str, folders))}")
    short = [folder.resolve().name for folder in folders]
    return short if len(set(short)) == len(short) else [str(folder) for folder in folders]


def enter(
    folders: Sequence[Path],
    clean: Path | None,
    measures: Measures,
    session: "Session",
    watch: Watch,
) -> list[Entrant]:
    """Score folders of results against one folder of clean pictures, or without any.

    Raises:
        UsageError: see `pair_folders`; or folders that hold other pictures than the first.
    """
    pairs = [pairs_of(folder, clean, measures.parts.matching) for folder in folders]
    return [
        enter_pairs(name, own, measures, session, watch)
        for name, own in zip(names_of(folders), pairs, strict=True)
    ]


def pairs_of(restored: Path, clean: Path | None, matching: Matching) -> list[Pair]:
    """Return what is measured together; without a reference each picture stands with itself.

    Raises:
        UsageError: see `pair_folders`; or a rule for partners where there are none.
    """
    if clean is not None:
        return pair_folders(restored, clean, matching)
    if matching.pattern is not None or matching.order != "name":
        raise UsageError(f"{restored}: expected no rule for partners without them, found one")
    found = list_pictures(restored, matching.recursive)
    return [Pair(name, path, path) for name, path in found.items()]


def enter_pairs(
    name: str,
    pairs: Sequence[Pair | Given],
    measures: Measures,
    session: "Session",
    watch: Watch,
) -> Entrant:
    """Score pairs under one name."""
    from e2r_metrics.score import NO_REFERENCE, score_pairs

    parts = measures.parts
    scores = score_pairs(
        pairs, measures.metrics, session, parts,
        lambda done, total: watch(f"score {name}", done, total),
    )  # fmt: skip
    if parts.reference == "none":
        # Namesakes of several folders are one picture.
        untold = {**scores.unmeasured, **dict.fromkeys(measures.shares, NO_REFERENCE)}
        partners = {pair.name: pair.name for pair in pairs}
        return Entrant(name, replace(scores, unmeasured=untold), partners, parts=parts)
    partners = {pair.name: _identity(pair) for pair in pairs}
    shares, failed = _shares(pairs, measures.shares, parts) if measures.shares else ({}, {})
    return Entrant(name, scores, partners, shares, failed, parts)


def _identity(pair: Pair | Given) -> Path | str:
    """Return what says that two clean pictures are one."""
    from e2r_metrics.features import content_key

    return pair.clean if isinstance(pair.clean, Path) else content_key(pair.clean)


def _shares(
    pairs: Sequence[Pair | Given], keys: Sequence[str], parts: Parts
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    shares: dict[str, dict[str, float]] = {key: {} for key in keys}
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = list(pool.map(partial(_share, parts=parts), pairs))
    for pair, one in zip(pairs, found, strict=True):
        if isinstance(one, PictureError):
            failed[pair.name] = str(one)
            continue
        for key in keys:
            shares[key][pair.name] = one[key]
    return shares, failed


def _share(pair: Pair | Given, parts: Parts) -> "dict[str, float] | PictureError":
    try:
        return measure_shares(*map(to_uint8, read_pair(pair, parts.reading, parts.view)))
    except PictureError as error:
        return error


def share_protocol(key: str, parts: Parts) -> str:
    """Return the line that travels with a share, with all parts that are not the usual ones."""
    # What is cut and how files are read is said of a metric; the rest of that metric is not.
    told = parts.told(CATALOG["psnr:rgb"])
    return f"{SHARES[key].protocol} [colour {told.colour}; crop {told.crop}]"


def matched(
    first: Entrant, second: Entrant, ours: Mapping[str, object], theirs: Mapping[str, object]
) -> list[tuple[str, str]]:
    """Return the names of one picture in both folders, for pictures that both have a value of.

    Names agree, or their clean files do.

    Raises:
        UsageError: neither says which pictures belong together.
    """
    if first.partners == second.partners:
        return [(image, image) for image in ours if image in theirs]
    sides = [{path: name for name, path in one.partners.items()} for one in (first, second)]
    if any(len(side) < len(one.partners) for side, one in zip(sides, (first, second), strict=True)):
        raise UsageError(
            f"{first.name} and {second.name}: several pictures share a clean one and their names "
            "differ; give both the same names"
        )
    both = ((name, sides[1].get(path)) for path, name in sides[0].items())
    return [(a, b) for a, b in both if b is not None and a in ours and b in theirs]
