"""`e2r_bench.publish` and `verify`: a finished run as a bundle, and whether one holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_bench.api.checks import checked
from e2r_bench.api.run import Ran, open_run
from e2r_bench.api.session import Watch, open_session, unwatched

if TYPE_CHECKING:
    from e2r_bench.bundle.manifest import Manifest
    from e2r_bench.bundle.verify import Verdict
    from e2r_metrics import Session


@checked
def publish(
    run: Ran | str | Path,
    out: str | Path,
    *,
    hashes_only: bool = False,
    licences: Mapping[str, str] | None = None,
) -> "Manifest":
    """Write a bundle of a finished run: records, pictures, checksums, versions and licences.

    Args:
        run: what `run` returned, or a run folder.
        out: a name in `.zip`, or a new folder; equal runs give equal bytes.
        hashes_only: leave all pictures out.
        licences: set -> what its licence is, so that its pictures are included.

    Returns:
        What was written; its `digest` is what others give to `verify`.

    Raises:
        UsageError: a run that is not finished, a place that is taken, or an unknown set.

    Example:
        Of a run that was made:

            e2r_bench.publish("results/run", "bundle.zip").digest
    """
    from e2r_bench.bundle.licences import DataLicences
    from e2r_bench.bundle.writing import Asked, publish
    from e2r_bench.run.services import open_resolver
    from e2r_metrics.base.locks import locked

    store = open_run(run).store
    declared = open_resolver((), True, lambda _: None).declared
    with locked(store.folder):
        asked = Asked(hashes_only, DataLicences(dict(licences or {})))
        return publish(store, Path(out), asked, declared)


@checked
def verify(
    bundle: str | Path,
    *,
    sha256: str | None = None,
    data: Sequence[str] = (),
    session: "Session | None" = None,
    watch: Watch = unwatched,
) -> "Verdict":
    """Check every file of a bundle, measure its pictures again and compare number by number.

    Args:
        bundle: a zip or a folder that `publish` wrote.
        sha256: the digest that its publisher stated.
        data: sets, as for `run`, whose pictures it lacks.
        session: where weights are looked for; None opens one.
        watch: told of progress.

    Returns:
        What was found; `wrong` names what is not as it was published, `word` is the verdict.

    Raises:
        UsageError: what is no bundle, or cannot be read safely.

    Example:
        Of a run that was made, and published:

            e2r_bench.verify("bundle.zip").word
    """
    from e2r_bench.bundle.verify import verify

    return verify(Path(bundle), session or open_session(), data, sha256, watch)
