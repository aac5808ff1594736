"""`publish`: a finished run becomes a bundle, a folder or a zip, of the same bytes every time."""

import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from e2r_bench.bundle.licences import UNSTATED, DataLicences, licences_of
from e2r_bench.bundle.manifest import (
    NAME,
    RUN,
    Absent,
    Content,
    Manifest,
    pixels_of,
    sealed,
    some,
    text,
)
from e2r_bench.store.gaps import groups_of, lacking, summarised, unasked_of
from e2r_bench.store.store import FAILURES, INPUTS, ROWS, RUN_JSON, Store
from e2r_metrics.base.declarations import WeightFile
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import refuse_foreign, replacing, unfinished_name, write_parts

RECORDS = (RUN_JSON, ROWS, "summary.csv", INPUTS, FAILURES)
"""Wall times are left out: no two runs have the same."""
_ASKED = "--hashes-only was given"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Asked:
    """What the publisher decides.

    Attributes:
        hashes_only: leave all pictures out.
        data: what is known of the licences of the sets.
    """

    hashes_only: bool
    data: DataLicences


def publish(store: Store, out: Path, asked: Asked, declared: Mapping[str, WeightFile]) -> Manifest:
    """Write a bundle of a finished run, whole or not at all.

    Args:
        store: the run, held by the caller.
        out: a zip where it ends in .zip, else a new folder.
        asked: what goes into it.
        declared: weight files by name, for their licences.

    Raises:
        UsageError: the run is not finished, `out` is taken, or a set has another name.
    """
    _refuse_unfinished(store)
    asked.data.check(store.info)
    sources = {f"{RUN}/{name}": store.folder / name for name in RECORDS}
    files = {name: path for name, path in sources.items() if path.is_file()}
    absent: dict[str, Absent] = {}
    for path, reason in _pictures(store, asked):
        name = f"{RUN}/{path.relative_to(store.folder).as_posix()}"
        if reason:
            absent[name] = Absent(**_content(path).model_dump(), pixels=pixels_of(path),
                                  reason=reason)  # fmt: skip
        else:
            files[name] = path
    manifest = sealed(
        Manifest(
            hashes_only=asked.hashes_only,
            files={name: _content(path) for name, path in files.items()},
            absent=absent,
            licences=licences_of(store.info, declared, asked.data),
            versions=store.info.versions,
            device=store.info.device,
        )
    )
    (_write_zip if out.suffix == ".zip" else _write_folder)(out, manifest, files)
    return manifest


def _refuse_unfinished(store: Store) -> None:
    if store.info.settings.get("shard") is not None:
        raise UsageError(f"{store.folder}: expected a whole run, found a shard; merge shards first")
    lines = summarised(store)
    gone = lacking(store, unasked_of(lines))
    if not gone and not lines.keys() >= set(groups_of(store)):
        gone = ["lines of summary.csv"]
    if gone:
        raise UsageError(
            f"{store.folder}: expected a finished run, it lacks {some(gone)}; give its command "
            "again"
        )


def _pictures(store: Store, asked: Asked) -> Iterator[tuple[Path, str]]:
    """Yield the run's pictures, with why one is left out, or "".

    Controls show the set's own pictures, so that they go by its licence; what a method made of
    them is the run's result, and is published.
    """
    for task, info in store.info.tasks.items():
        for image in info.images:
            kept = _reason(asked, asked.data.of(info, image))
            for path in (store.clean_path(task, image), store.degraded_path(task, image)):
                if path.is_file():
                    yield path, kept
    for cell in store.cells():
        if store.has(cell):
            control = store.info.methods[cell.method].control
            said = asked.data.of(store.info.tasks[cell.task], cell.image) if control else "ours"
            yield store.path(cell), _reason(asked, said)


def _reason(asked: Asked, licence: str | None) -> str:
    if asked.hashes_only:
        return _ASKED
    return f"licence {UNSTATED}" if licence is None else ""


def _content(path: Path) -> Content:
    return Content(sha256=sha256_of(path), bytes=path.stat().st_size)


def _write_zip(out: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    refuse_foreign(out, lambda head: NAME.encode() in head[:64])
    try:
        with replacing(out) as stream, zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(_entry(NAME), text(manifest))
            for name in sorted(files):
                entry = _entry(name)
                entry.file_size = manifest.files[name].bytes
                # Its length decides whether the long form is written, so that nothing else does.
                with archive.open(entry, "w", force_zip64=entry.file_size >= 1 << 31) as member:
                    member.writelines(_blocks(files[name], manifest.files[name]))
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}; choose another --out") from error


def _entry(name: str) -> zipfile.ZipInfo:
    # Stored, since compressors differ from one version to the next; pictures are PNG already.
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_STORED, 3, _MODE
    return entry


def _write_folder(out: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out}: expected a new folder or a name in .zip, found one that is taken")
    place = out.parent / unfinished_name(out.name)
    try:
        for name, path in files.items():
            write_parts(place / name, _blocks(path, manifest.files[name]))
        write_parts(place / NAME, (text(manifest),))
        place.replace(out)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _blocks(path: Path, content: Content) -> Iterator[bytes]:
    """Yield a file's bytes; what changed since it was hashed is never published."""
    whole = sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            whole.update(block)
            yield block
    if whole.hexdigest() != content.sha256:
        raise UsageError(f"{path} changed while it was published; publish again")
