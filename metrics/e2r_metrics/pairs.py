"""Two folders to pairs of files, by name; never by sort order."""

from pathlib import Path
from typing import NamedTuple

from e2r_metrics.decode import SUFFIXES
from e2r_metrics.errors import MetricError


class Pair(NamedTuple):
    """A restored file and the clean file of the same name."""

    name: str
    restored: Path
    clean: Path


def pair_folders(restored: Path, clean: Path) -> list[Pair]:
    """Pair two folders by file stem, in the order of the names.

    `0001_0.8_0.2.jpg` also finds `0001.png`, as SOTS names its files, when no clean file has the
    whole name; several restored files may then share one clean file.

    Raises:
        MetricError: a folder that is not there or holds no images, two files of one stem, or
            files without a partner, all of which are named.
    """
    ours, theirs = _by_stem(restored), _by_stem(clean)
    partners = {stem: theirs.get(stem) or theirs.get(stem.partition("_")[0]) for stem in ours}
    used = set(partners.values())
    lonely = [str(ours[stem]) for stem, partner in partners.items() if partner is None]
    lonely += [str(path) for path in theirs.values() if path not in used]
    if lonely:
        raise MetricError(
            f"{len(lonely)} files have no partner of the same name in the other folder: "
            f"{', '.join(lonely)}"
        )
    return [Pair(stem, ours[stem], path) for stem, path in partners.items() if path is not None]


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise MetricError(f"{folder}: expected a folder of images, found none")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise MetricError(
                f"{folder}: {found[path.stem].name} and {path.name} have one name; keep one of them"
            )
        found[path.stem] = path
    if not found:
        raise MetricError(f"{folder}: expected images ({' '.join(sorted(SUFFIXES))}), found none")
    return found
