"""A bundle as it was received: its manifest, its files by their hashes, and what is wrong there."""

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal

from pydantic import ValidationError

from e2r_bench.bundle.manifest import NAME, RUN, Manifest, safe, sealed, text
from e2r_bench.store.store import RUN_JSON, open_store
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import refuse_special

Kind = Literal["altered", "swapped", "missing", "added", "manifest", "data", "row", "summary"]
_BLOCK = 1 << 20
_LONGEST = 1 << 29
_UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, RuntimeError, NotImplementedError)
"""What `zipfile` raises where a member is damaged, encrypted or packed in another way."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was published.

    Attributes:
        kind: what sort of thing.
        name: of the file, row or number.
        said: what was expected, what was found, and why that may be.
    """

    kind: Kind
    name: str
    said: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {self.said}"


@dataclass(frozen=True)
class _Member:
    """A file of a bundle: its name there, and how to open it."""

    name: str
    open: Callable[[], IO[bytes]]


def unpack(bundle: Path, work: Path) -> tuple[Manifest, list[Finding]]:
    """Check every file of a bundle by its hash, and lay the good ones out below `work`.

    Args:
        bundle: a folder or a zip, which is not written to.
        work: an empty folder.

    Returns:
        The manifest, and what is not as it says.

    Raises:
        UsageError: it is no bundle of this version.
    """
    if bundle.is_dir():
        return _unpacked(bundle, [*_members_of_folder(bundle)], work)
    try:
        with zipfile.ZipFile(bundle) as archive:
            entries = archive.infolist()
            members = [_Member(one.filename, partial(archive.open, one)) for one in entries]
            return _unpacked(bundle, members, work)
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"{bundle}: expected a folder or a zip, found: {error}") from error


def _members_of_folder(bundle: Path) -> Iterator[_Member]:
    for folder, inner, names in os.walk(bundle):
        links = [name for name in inner if (Path(folder) / name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(folder, name)
            yield _Member(path.relative_to(bundle).as_posix(), partial(_opened, path))


def _opened(path: Path) -> IO[bytes]:
    refuse_special(path)
    return path.open("rb")


def _unpacked(bundle: Path, members: list[_Member], work: Path) -> tuple[Manifest, list[Finding]]:
    heads = [one for one in members if one.name == NAME]
    if not heads:
        raise UsageError(
            f"{bundle}: expected a bundle of `e2r-bench publish`, found no {NAME} in it"
        )
    manifest, found = _manifest(bundle, heads[0])
    found += [Finding("added", NAME, "twice in the archive")] * (len(heads) > 1)
    seen: dict[str, str] = {}
    # Of any file, so that one which lies in another's place is read whole, and known again.
    most = max((content.bytes for content in manifest.files.values()), default=0)
    for member in members:
        if member.name == NAME:
            continue
        if member.name not in manifest.files or member.name in seen:
            found.append(_added(member, manifest, member.name in seen))
            continue
        seen[member.name] = _digest(member, most, work)
    found += _differing(manifest, seen)
    if not found:
        found += _against_run(manifest, work)
    return manifest, found


def _manifest(bundle: Path, member: _Member) -> tuple[Manifest, list[Finding]]:
    try:
        with member.open() as stream:
            content = stream.read(_LONGEST)
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise UsageError(
            f"{bundle}: expected a manifest of this version, found {first['msg'].lower()} at "
            f"{' '.join(where.split())}"
        ) from error
    except _UNREADABLE as error:
        raise UsageError(f"{bundle}: expected a manifest, found: {error}") from error
    if content != text(sealed(manifest)):
        said = "its digest is not that of its content: edited after it was published"
        return manifest, [Finding("manifest", NAME, said)]
    return manifest, []


def _added(member: _Member, manifest: Manifest, twice: bool) -> Finding:
    if twice:
        return Finding("added", member.name, "twice in the archive")
    if member.name in manifest.absent:
        return Finding("added", member.name, "the manifest says that it was left out")
    try:
        safe(member.name)
    except ValueError:
        return Finding("added", repr(member.name), "a name that lies outside; not read")
    return Finding("added", member.name, "the manifest knows no such file")


def _digest(member: _Member, most: int, work: Path) -> str:
    """Return a member's hash, its content laid out; "" where it cannot be read.

    Not more than `most` bytes are kept: a small archive may hold a very long file.
    """
    target = work / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    whole, left = sha256(), most + 1
    try:
        with member.open() as stream, target.open("wb") as copy:
            while left > 0 and (block := stream.read(min(_BLOCK, left))):
                whole.update(block)
                copy.write(block)
                left -= len(block)
    except (UsageError, *_UNREADABLE):
        return ""
    return whole.hexdigest()


def _differing(manifest: Manifest, seen: Mapping[str, str]) -> Iterator[Finding]:
    names = {content.sha256: name for name, content in manifest.files.items()}
    for name, content in manifest.files.items():
        if name not in seen:
            yield Finding("missing", name, "the manifest lists it")
        elif seen[name] == "":
            yield Finding("altered", name, "damaged: it cannot be read")
        elif seen[name] != content.sha256:
            other = names.get(seen[name])
            if other is None:
                told = f"SHA-256 {seen[name][:12]}, published as {content.sha256[:12]}"
                yield Finding("altered", name, told)
            else:
                yield Finding("swapped", name, f"holds what was published as {other}")


def _against_run(manifest: Manifest, work: Path) -> Iterator[Finding]:
    """Yield where manifest and run.json disagree; each was written from the other."""
    if f"{RUN}/{RUN_JSON}" not in manifest.files:
        yield Finding("missing", f"{RUN}/{RUN_JSON}", "nothing says what was run")
        return
    try:
        store = open_store(work / RUN)
        store.rows()
        store.summary()
    except UsageError as error:
        yield Finding("altered", RUN, f"it is no run of this version: {error}")
        return
    info = store.info
    if (manifest.versions, manifest.device) != (info.versions, info.device):
        yield Finding("manifest", NAME, "its versions or device are not those of run.json")
    if manifest.licences.methods != {name: m.licence for name, m in info.methods.items()}:
        yield Finding("manifest", NAME, "its licences of methods are not those of run.json")
