"""`verify`: is a bundle as it was published, and do its pictures give its numbers here?"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from e2r_bench.bundle.manifest import NAME, RUN, Manifest
from e2r_bench.bundle.reading import Finding, unpack
from e2r_bench.bundle.reasons import other_versions
from e2r_bench.bundle.rebuild import rebuild
from e2r_bench.bundle.rescore import Checked, rescore
from e2r_bench.run.restore import Watch
from e2r_bench.store.store import open_store
from e2r_metrics.features import FeatureStore

if TYPE_CHECKING:
    from e2r_metrics import Session

Word = Literal["reproduced", "reproduced in part", "integrity only", "failed"]


@dataclass(frozen=True)
class Verdict:
    """What a bundle is worth on this machine.

    Attributes:
        digest: of the manifest; whoever published it can be asked for theirs.
        files: how many lie in the bundle.
        absent: how many pictures it holds by hash alone.
        findings: what is not as it was published.
        rows: what measuring the pictures again gave.
        summary: what the rows, and set metrics, gave.
        versions: package -> "then -> now" for those that are others here.
    """

    digest: str
    files: int
    absent: int
    findings: Sequence[Finding]
    rows: Checked = field(default_factory=Checked)
    summary: Checked = field(default_factory=Checked)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """Return all that is not as it was published."""
        return (*self.findings, *self.rows.differing, *self.summary.differing)

    @property
    def word(self) -> Word:
        """Return the verdict in a word."""
        if self.wrong:
            return "failed"
        if self.rows.equal + self.rows.within == 0:
            return "integrity only"
        partly = self.rows.unchecked or self.summary.unchecked
        return "reproduced in part" if partly else "reproduced"


def verify(
    bundle: Path, session: "Session", data: Sequence[str], published: str | None, watch: Watch
) -> Verdict:
    """Check a bundle's files; where all are as published, measure its pictures again.

    Args:
        bundle: a folder or a zip, which is not written to.
        session: metrics with their networks.
        data: sets, as `run --data` names them, for pictures that it holds by hash alone.
        published: the digest that its publisher stated, None for any.
        watch: told of progress.

    Raises:
        UsageError: it is no bundle, or a set cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="e2r-bench-") as place:
        work = Path(place) / "bundle"
        manifest, found = unpack(bundle, work)
        if published is not None and published != manifest.digest:
            told = f"its digest is {manifest.digest}, its publisher stated {published}"
            found.append(Finding("manifest", NAME, told))
        if found:
            ordered = sorted(found, key=lambda one: (one.kind, one.name))
            return _verdict(manifest, ordered)
        return _rescored(manifest, work, session, data, watch)


def _rescored(
    manifest: Manifest, work: Path, session: "Session", data: Sequence[str], watch: Watch
) -> Verdict:
    store = open_store(work / RUN)
    found = list(rebuild(store, manifest, data, work.with_name("rebuilt")))
    moved = other_versions(manifest.versions)
    # Features of its own: what an earlier version of a library computed here proves nothing.
    session.store = FeatureStore(work.with_name("features"))
    rows, summary = rescore(store, session, moved, watch)
    return _verdict(manifest, found, rows, summary, moved)


def _verdict(
    manifest: Manifest,
    found: Sequence[Finding],
    rows: Checked | None = None,
    summary: Checked | None = None,
    moved: Mapping[str, str] | None = None,
) -> Verdict:
    counts = len(manifest.files), len(manifest.absent)
    parts = rows or Checked(), summary or Checked()
    return Verdict(manifest.digest, *counts, found, *parts, moved or {})
