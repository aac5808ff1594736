"""Folders of pictures to pairs of files, by name and never by sort order: one rule for everyone.

Names are stems, with the sub-folder before them where folders are searched through. Partners have
one name; else one differs by a known ending or beginning (`ENDINGS`, `BEGINNINGS`), as results
(`0001_out`), scales (`_SR` and `_HR`) and data sets (`rain-1` and `norain-1`) do; else the degraded
name goes on after the clean one's first underscore (RESIDE SOTS: `0001_0.8_0.2` and `0001`). Where
a rule finds two partners, nothing is guessed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.orders import Order, in_order

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm"})

CLEAN_FOLDERS = (
    "clean", "target", "targets", "gt", "gts", "groundtruth", "ground_truth", "hq", "high", "hr",
    "clear", "norain", "sharp", "reference", "original",
)  # fmt: skip
DEGRADED_FOLDERS = (
    "degraded", "input", "inputs", "lq", "low", "lr", "hazy", "haze", "rainy", "rain", "blur",
    "blurry", "noisy", "noise", "snow", "snowy",
)  # fmt: skip
ENDINGS = (
    "out", "output", "restored", "result", "pred", "fake", "real", "gt", "lq", "hq", "sr", "hr",
    "lr", "clean", "noisy", "hazy", "rainy", "rain", "norain", "blur", "sharp", "x2", "x3", "x4",
)  # fmt: skip
BEGINNINGS = ("rain", "norain", "noisy", "clean", "hazy", "blur", "sharp", "gt", "lq")

_ENDING = re.compile(rf"[-_](?:{'|'.join(ENDINGS)})$", re.IGNORECASE)
_BEGINNING = re.compile(rf"^(?:{'|'.join(BEGINNINGS)})[-_]", re.IGNORECASE)


class Pair(NamedTuple):
    """Two files of one picture.

    Attributes:
        name: the first file's name: its stem, behind its sub-folder where there is one.
        first: restored or degraded.
        clean: the truth.
    """

    name: str
    first: Path
    clean: Path


@dataclass(frozen=True)
class Matching:
    """How two folders are searched and paired.

    Attributes:
        recursive: go through sub-folders; partners share the path below the folders.
        pattern: the clean file's name for a first file, with `{name}` for the first one's; such as
            "{name}_GT". Replaces all built-in rules. None for those.
        order: "name", or by place in two sorted lists, whatever the names are; see `ORDERS`.
    """

    recursive: bool = False
    pattern: str | None = None
    order: Order = "name"


EXACT = Matching()


def list_pictures(folder: Path, recursive: bool = False) -> dict[str, Path]:
    """Return the picture files of a folder by name, in the order of the names.

    Raises:
        UsageError: no folder, no pictures, sub-folders where `recursive` is off, or two files of
            one name.
    """
    if not folder.is_dir():
        there = "a file" if folder.exists() else "no such folder"
        raise UsageError(f"{folder}: expected a folder of pictures, found {there}")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise UsageError(
                f"{folder}: {found[name].name} and {path.name} have one name; keep one of them"
            )
        found[name] = path
    if not found:
        raise UsageError(f"{folder}: {_why_empty(folder, recursive)}")
    return found


def _why_empty(folder: Path, recursive: bool) -> str:
    inside = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if inside and not recursive:
        shown = ", ".join(inside[:4]) + (", ..." if len(inside) > 4 else "")
        return f"expected pictures, found only sub-folders ({shown}); give --recursive"
    return f"expected pictures ({' '.join(sorted(SUFFIXES))}), found none"


def pair_folders(first: Path, clean: Path, matching: Matching = EXACT) -> list[Pair]:
    """Pair the pictures of two folders, in the order of the first one's names.

    Several first files may share one clean file, as in SOTS; each clean file is used.

    Raises:
        UsageError: see `list_pictures`, and files without partner or with two, which are named.
    """
    ours = list_pictures(first, matching.recursive)
    theirs = list_pictures(clean, matching.recursive)
    if matching.order != "name":
        places = in_order(ours, theirs, matching.order, f"{first} and {clean}")
        return [Pair(name, ours[name], theirs[key]) for name, key in places]
    return pair_names(ours, theirs, matching, f"{first} and {clean}")


def pair_names(
    ours: Mapping[str, Path], theirs: Mapping[str, Path], matching: Matching, where: str
) -> list[Pair]:
    """Pair files by name; see `pair_folders`. `where` names the folders for an error."""
    found = partners(ours, theirs, matching, where)
    used = set(found.values())
    alone = [str(ours[name]) for name, key in found.items() if key is None]
    alone += [str(path) for name, path in theirs.items() if name not in used]
    if alone:
        shown = ", ".join(alone[:8]) + (f", and {len(alone) - 8} more" if len(alone) > 8 else "")
        raise UsageError(
            f"{where}: expected a partner of the same name for each file, found none for "
            f'{len(alone)}: {shown}; rename them, or say how names differ with --pair "{{name}}_GT"'
        )
    return [Pair(name, ours[name], theirs[key]) for name, key in found.items() if key]


def partners(
    names: Iterable[str], theirs: Mapping[str, Path], matching: Matching, where: str
) -> dict[str, str | None]:
    """Return, for each name, the name of its partner among `theirs`; None where there is none.

    Raises:
        UsageError: a rule finds two partners for one name, or one for two.
    """
    by_bare: dict[str, list[str]] = {}
    for key in theirs:
        by_bare.setdefault(_bare(key), []).append(key)
    found: dict[str, str | None] = {}
    taken: dict[str, str] = {}
    for name in names:
        if matching.pattern is not None:
            wanted = _patterned(name, matching.pattern)
            found[name] = wanted if wanted in theirs else None
        elif name in theirs:
            found[name] = name
        elif alike := by_bare.get(_bare(name)):
            _refuse_two(where, "partner of", name, alike)
            _refuse_two(where, "file for", alike[0], [taken.get(alike[0], name), name])
            taken[alike[0]] = name
            found[name] = alike[0]
        else:
            scene = _scene(name)
            found[name] = scene if scene in theirs else None
    return found


def _refuse_two(where: str, what: str, name: str, found: Sequence[str]) -> None:
    distinct = list(dict.fromkeys(found))
    if len(distinct) > 1:
        raise UsageError(
            f"{where}: expected one {what} {name!r}, found {' and '.join(distinct[:3])}; rename "
            'one, or say how names differ with --pair "{name}_GT"'
        )


def _patterned(name: str, pattern: str) -> str:
    folder, slash, stem = name.rpartition("/")
    return f"{folder}{slash}{pattern.replace('{name}', stem)}"


def _scene(name: str) -> str:
    folder, slash, stem = name.rpartition("/")
    return f"{folder}{slash}{stem.split('_')[0]}"


def _bare(name: str) -> str:
    """Return a name without the endings and beginnings that say which side a file is of."""
    folder, slash, stem = name.rpartition("/")
    while (shorter := _ENDING.sub("", stem)) != stem and shorter:
        stem = shorter
    return f"{folder}{slash}{_BEGINNING.sub('', stem) or stem}".lower()


def sides_of(folder: Path) -> tuple[Path | None, Path | None]:
    """Return the sub-folders of a data set's (degraded, clean) pictures, by their known names.

    Raises:
        UsageError: two folders for one side.
    """
    return _side(folder, DEGRADED_FOLDERS), _side(folder, CLEAN_FOLDERS)


def _side(folder: Path, names: tuple[str, ...]) -> Path | None:
    found = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    found = [path for path in found if path.name.lower() in names]
    if len(found) > 1:
        raise UsageError(
            f"{folder}: expected one of these folders, found {found[0].name}/ and "
            f"{found[1].name}/; keep one"
        )
    return found[0] if found else None


def dataset_pairs(folder: Path, matching: Matching = EXACT) -> list[Pair]:
    """Pair a data set: two sub-folders with known names, or, recursively, two in each sequence.

    With `recursive`, `sequence/blur/000.png` finds `sequence/sharp/000.png` (GoPro), and
    `blur/sequence/000.png` finds `sharp/sequence/000.png`; pictures are named `sequence/000`.

    Raises:
        UsageError: no two such folders (their known names are listed), or see `pair_folders`.
    """
    degraded, clean = sides_of(folder)
    if degraded and clean:
        return pair_folders(degraded, clean, matching)
    if matching.recursive and not (degraded or clean):
        found = [pair for part in _sequences(folder) for pair in _in_sequence(part, matching)]
        if found:
            return found
    said = degraded or clean
    deeper = "" if matching.recursive or not any(_sequences(folder)) else "give --recursive, or "
    raise UsageError(
        f"{folder}: expected two folders of pairs, found {f'only {said.name}/' if said else 'none'}"
        f"; {deeper}one of {' '.join(CLEAN_FOLDERS)} and one of {' '.join(DEGRADED_FOLDERS)}"
    )


def _sequences(folder: Path) -> Iterator[Path]:
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        if all(sides_of(part)):
            yield part


def _in_sequence(part: Path, matching: Matching) -> Iterator[Pair]:
    degraded, clean = sides_of(part)
    if degraded and clean:
        for pair in pair_folders(degraded, clean, matching):
            yield pair._replace(name=f"{part.name}/{pair.name}")
