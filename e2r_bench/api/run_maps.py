"""`e2r_bench.write_maps` and `trust_maps`: the maps of a run, into its folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_bench.api.checks import checked
from e2r_bench.api.maps import spatial_lpips
from e2r_bench.api.run import Ran, open_run
from e2r_bench.api.session import Watch, logged, open_session, unwatched

if TYPE_CHECKING:
    from e2r_bench.maps.carry import Carried
    from e2r_bench.maps.trust import Checked
    from e2r_bench.maps.write import Mapped
    from e2r_bench.store.cell import Cell
    from e2r_metrics import Session


@checked
def write_maps(
    run: Ran | str | Path,
    *,
    methods: Sequence[str] = (),
    tasks: Sequence[str] = (),
    names: Sequence[str] = (),
    limit: int | None = None,
    session: "Session | None" = None,
    say: Callable[[str], None] = logged,
    watch: Watch = unwatched,
) -> "Mapped":
    """Write PNG maps, float arrays and per-image scores of a run into its folder `maps`.

    Args:
        run: what `run` returned, or a run folder.
        methods, tasks, names: only these; empty for all restorers, tasks and maps.
        limit: the first so many pictures of a task.
        session: where the weights of spatial LPIPS are looked for; None opens one.
        say: told when that map is left out, because its weights are not here.
        watch: told of progress.

    Returns:
        The pictures that have maps now, and those that failed, by name.

    Raises:
        UsageError: an unknown method, task or map, or no run.

    Example:
        Of a run that was made:

            e2r_bench.write_maps("results/run", methods=["promptir"], names=["invented", "lost"])
    """
    from e2r_bench.maps.write import Wanted, write_maps
    from e2r_metrics.base.locks import locked

    store = open_run(run).store
    wanted = Wanted(tuple(methods), tuple(tasks), tuple(names), limit)
    with locked(store.folder):
        spatial = None
        if not names or "lpips" in names:
            found = spatial_lpips(session or open_session(say=say))
            spatial = None if isinstance(found, str) else found
            if isinstance(found, str):
                say(found)
        return write_maps(store, wanted, spatial, watch)


@checked
def trust_maps(
    run: Ran | str | Path,
    cells: "Sequence[Cell]",
    bound: float,
    *,
    level: float = 0.1,
    score: str | None = None,
) -> "list[Checked]":
    """Calibrate trust masks on half of a run's scenes, and check them on the other half.

    Args:
        run: what `run` returned, or a run folder, whose maps `write_maps` has written.
        cells: the pictures, as in `write_maps(...).cells`.
        bound: mean CIEDE2000 allowed inside a mask.
        level: the chance, at most, that a new scene breaks it.
        score: what is trusted by; None for the output's texture.

    Raises:
        UsageError: maps that are not there, or a bad bound or level.

    Example:
        Of a run that was made:

            written = e2r_bench.write_maps("results/run")
            e2r_bench.trust_maps("results/run", written.cells, bound=3.0)
    """
    from e2r_bench.maps.trust import trust_masks
    from e2r_metrics.base.locks import locked

    store = open_run(run).store
    with locked(store.folder):
        return trust_masks(store, cells, bound, level, score)


@checked
def carry_trust(
    run: Ran | str | Path, cells: "Sequence[Cell]", path: str | Path
) -> "list[Carried]":
    """Draw trust masks by thresholds that were calibrated on another run.

    Args:
        run: what `run` returned, or a run folder, whose maps `write_maps` has written.
        cells: the pictures, as in `write_maps(...).cells`.
        path: the other run's `maps/trust.json`.

    Raises:
        UsageError: no such file, or pictures that differ from those of the calibration in task,
            degradation, protocol, method or looks; nothing was written.

    Example:
        Of a run that was made, by the threshold of another::

            written = e2r_bench.write_maps("results/other")
            e2r_bench.carry_trust("results/other", written.cells, "results/run/maps/trust.json")
    """
    from e2r_bench.maps.carry import carry
    from e2r_metrics.base.locks import locked

    store = open_run(run).store
    with locked(store.folder):
        return carry(store, cells, Path(path))
