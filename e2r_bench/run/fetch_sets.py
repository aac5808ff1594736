"""Fetch a public set: files checked by their hash, pictures unpacked all or none."""

import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from e2r_bench.run.public_sets import Archive, PublicSet
from e2r_metrics.base.declarations import WeightFile
from e2r_metrics.base.digests import sha256_of_all
from e2r_metrics.base.errors import E2RError, UsageError
from e2r_metrics.base.fetch import fetch_place
from e2r_metrics.base.files import unfinished_name
from e2r_metrics.base.locks import locked
from e2r_metrics.base.pairs import SUFFIXES
from e2r_metrics.base.places import Place
from e2r_metrics.base.weights import Found, Resolver

Say = Callable[[str], None]


def pictures_here(row: PublicSet, folder: Path) -> int:
    """Return how many pictures of a set lie in `folder`/NAME, at any depth; 0 for none."""
    place = folder / row.name
    return (
        sum(path.suffix.lower() in SUFFIXES for path in place.rglob("*")) if place.is_dir() else 0
    )


def fetch_set(row: PublicSet, folder: Path, say: Say) -> Path:
    """Return `folder`/NAME with the set's pictures; fetched where they are not there yet.

    Args:
        row: the set.
        folder: where sets lie; made if need be.
        say: told what is fetched, with its licence and size, before it is.

    Raises:
        UsageError: a set that is got by hand, or another folder of that name.
        E2RError: it could not be fetched, or is not what was declared.
    """
    target = folder / row.name
    if row.archive is None:
        raise UsageError(
            f"{row.name}: expected a set with a public file and a stated hash, found none; get it "
            f"{row.how()}"
        )
    with locked(folder):
        if target.exists():
            return _whole(row, target)
        say(f"{row.name}: licence: {row.licence}; {row.page}")
        say(f"{row.name}: {row.archive.digest}, stated by {row.archive.stated_by}")
        work = folder / unfinished_name(row.name)
        try:
            work.mkdir()
            _fill(row, row.archive, work, say)
            work.rename(_complete(row, work, target))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


def _whole(row: PublicSet, target: Path) -> Path:
    found = pictures_here(row, target.parent)
    if found != row.n:
        raise UsageError(
            f"{target}: expected the {row.n} pictures of {row.name}, found {found}; move it away, "
            "and give the same command again"
        )
    return target


def _complete(row: PublicSet, work: Path, target: Path) -> Path:
    found = sum(1 for _ in work.iterdir())
    if found != row.n:
        raise E2RError(f"{row.name}: expected {row.n} pictures in what was fetched, found {found}")
    return target


def _fill(row: PublicSet, archive: Archive, work: Path, say: Say) -> None:
    if archive.names:
        _fetch_singly(row, archive, work, say)
        return
    path = _archive_file(row, archive, say)
    try:
        for name, stream in _members(path, archive.inside):
            with (work / name).open("xb") as out:
                shutil.copyfileobj(stream, out, 1 << 20)
    except (tarfile.TarError, zipfile.BadZipFile, FileExistsError, EOFError) as error:
        raise E2RError(f"{path}: expected an archive of pictures, found: {error}") from error


def _fetch_singly(row: PublicSet, archive: Archive, work: Path, say: Say) -> None:
    say(f"fetching {row.n} files of {row.name} ({archive.size / 1e6:.0f} MB)")
    paths = [work / archive.names.format(number) for number in range(row.n)]
    unreachable: set[str] = set()
    for path in paths:
        place = Place("url", url=archive.url.format(name=path.name))
        if problem := fetch_place(place, path, unreachable):
            raise E2RError(f"{row.name}: could not be fetched: {problem}; {row.page}")
    found = sha256_of_all(paths)
    if found != archive.sha256:
        raise E2RError(
            f"{row.name}: expected files with sha256 {archive.sha256} together, found {found}; "
            "nothing is kept"
        )


def _archive_file(row: PublicSet, archive: Archive, say: Say) -> Path:
    """Return the archive in our cache of downloads, checked as a weight file is."""
    file = WeightFile(
        name=row.name,
        title=row.title,
        licence=row.licence,
        kind="file" if archive.sha256 else "unpinned",
        file=archive.file,
        sha256=archive.sha256,
        size=archive.size,
        sources=(Place("url", url=archive.url),),
    )
    answer = Resolver({row.name: file}, say=say).fetch(row.name)
    if not isinstance(answer, Found):
        raise E2RError(f"{row.name}: could not be fetched: {answer.reason}; {row.page}")
    if archive.md5 and (found := _md5(answer.path)) != archive.md5:
        with suppress(OSError):
            answer.path.unlink()
        raise E2RError(
            f"{row.name}: expected {archive.file} with md5 {archive.md5}, found {found}; it is "
            "not kept"
        )
    return answer.path


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _members(path: Path, inside: Sequence[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the bare name and the content of each picture; no path of an archive is ever used."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            for member in packed.infolist():
                if not member.is_dir() and _wanted(member.filename, inside):
                    with packed.open(member) as stream:
                        yield PurePosixPath(member.filename).name, stream
        return
    with tarfile.open(path) as tarred:
        for entry in tarred:
            stream = tarred.extractfile(entry) if entry.isfile() else None
            if stream is not None and _wanted(entry.name, inside):
                yield PurePosixPath(entry.name).name, stream


def _wanted(name: str, inside: Sequence[str]) -> bool:
    path = PurePosixPath(name)
    picture = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return picture and any(name.removeprefix("./").startswith(start) for start in inside)
