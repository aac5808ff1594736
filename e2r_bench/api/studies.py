"""`e2r_bench.study_seeds` and `study_steps`: does a number of a run hold?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_bench.api.checks import checked
from e2r_bench.api.run import Ran, open_run
from e2r_bench.statistics.given import given_margins
from e2r_bench.statistics.margins import Margin
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_bench.versions import package_versions
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.locks import locked

if TYPE_CHECKING:
    import pandas as pd

    from e2r_bench.studies.seeds import SeedRow
    from e2r_bench.studies.steps import StepRow


@dataclass(frozen=True)
class Study:
    """What a study found; a notebook shows its sentences, its plots and its table.

    Attributes:
        name: such as "seeds".
        folder: where it was written.
        lines: each with its n, as the command prints them.
        rows: the table.
        runs: what it was made from; empty where nothing of it was kept.
        failures: the pictures and numbers that failed in them, with the reason.
    """

    name: str
    folder: Path
    lines: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    runs: tuple[Ran, ...] = ()
    failures: Mapping[Cell, str] = field(default_factory=dict[Cell, str])

    def frame(self) -> "pd.DataFrame":
        """Return the table."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def _repr_html_(self) -> str:
        from e2r_bench.api import html
        from e2r_metrics.base.pictures import read_image

        heads = list(self.rows[0]) if self.rows else []
        rows = [[_text(row[head]) for head in heads] for row in self.rows]
        infos = [one.store.info for one in self.runs]
        metrics = [metric for info in infos for metric in info.metrics.values()]
        made_with = (*metrics, *(one for info in infos for one in info.methods.values()))
        weights = {k: v for one in made_with for k, v in one.weights.items()}
        versions = {k: v for info in infos for k, v in info.versions.items()}
        failed = [f"failed: {cell}: {reason}" for cell, reason in self.failures.items()]
        return html.joined((
            html.title(f"study of {self.name}"),
            html.lines((*self.lines, *failed)),
            *(html.tile(path.stem, read_image(path)) for path in sorted(self.folder.glob("*.png"))),
            html.opened("table", html.table(heads, rows)),
            html.folded("protocols", (one.protocol for one in metrics)),
            html.stands_on(weights, versions or package_versions()),
        ))  # fmt: skip


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


@checked
def study_seeds(
    run: Ran | str | Path,
    *,
    steps: int = 28,
    seeds: Sequence[int] = (),
    margins: Mapping[str, float | Margin] | None = None,
) -> Study:
    """Split each metric's variance into image, seed and both; say how many seeds are needed.

    Args:
        run: what `run` returned, or a run folder; of two seeds or more.
        steps: the number of sampler steps to look at.
        seeds: of the run's; empty for all.
        margins: metric -> what counts as no difference; half of it is the half-width asked for.

    Raises:
        UsageError: one seed, one that the run lacks, or no method that depends on it.

    Example:
        Of a run that was made:

            ran = e2r_bench.run({"methods": ["kontext_lora"], "seeds": [0, 1, 2], "out": "seeds"})
            e2r_bench.study_seeds(ran).lines
    """
    from e2r_bench.studies.seeds import study_seeds

    ran = open_run(run)
    _check_seeds(ran.store, seeds)
    chosen = tuple(dict.fromkeys(seeds)) or ran.store.info.seeds
    with locked(ran.folder):
        known = given_margins(margins or {}, ran.store.info.metrics)
        rows = study_seeds(ran.store, steps, known, chosen)
    return _study("seeds", ran, [_seeds_line(row) for row in rows], rows)


@checked
def study_steps(
    run: Ran | str | Path,
    *,
    seed: int = 0,
    margins: Mapping[str, float | Margin] | None = None,
) -> Study:
    """Draw each metric against the number of sampler steps, with common noise; find the knee.

    Args:
        run: what `run` returned, or a run folder; of three step counts or more.
        seed: the one to look at.
        margins: metric -> what counts as no difference.

    Raises:
        UsageError: fewer counts, or no method that has steps.

    Example:
        Of a run that was made:

            ran = e2r_bench.run({"methods": ["kontext_lora"], "steps": [1, 4, 28], "out": "steps"})
            e2r_bench.study_steps(ran).lines
    """
    from e2r_bench.studies.steps import left_out, study_steps

    ran = open_run(run)
    with locked(ran.folder):
        known = given_margins(margins or {}, ran.store.info.metrics)
        rows = study_steps(ran.store, seed, known)
    first: dict[tuple[str, str, str], StepRow] = {}
    for row in rows:
        first.setdefault((row.method, row.task, row.metric), row)
    lines = [*map(_steps_line, first.values()), *left_out(ran.store, known)]
    return _study("steps", ran, lines, rows)


def _study(name: str, ran: Ran, lines: Sequence[str], rows: "Sequence[SeedRow | StepRow]") -> Study:
    folder = ran.folder / "studies" / name
    return Study(name, folder, tuple(lines), tuple(asdict(row) for row in rows), (ran,))


def _check_seeds(store: Store, seeds: Sequence[int]) -> None:
    """Refuse seeds that a finished run lacks."""
    lacking = sorted(set(seeds) - set(store.info.seeds))
    if lacking:
        every = sorted({*seeds, *store.info.seeds})
        raise UsageError(
            f"--seeds: expected seeds of {store.folder}, which has {_listed(store.info.seeds)}, "
            f"found {_listed(lacking)} too; give the command that made it once more, with "
            f"--seeds {','.join(map(str, every))}: only the missing pictures are restored"
        )


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _seeds_line(row: "SeedRow") -> str:
    asked = f" for +-{row.half_width:.3g}" if row.half_width > 0 else ""
    return (
        f"{row.method} {row.task} {row.metric}: mean {row.mean:.4g}, n {row.n}, seeds "
        f"{row.seeds}, spread of the mean over seeds {row.spread_of_mean:.3g}, of one image "
        f"{row.per_image_spread:.3g}, seeds{asked}: {row.words}"
    )


def _steps_line(row: "StepRow") -> str:
    return (
        f"{row.method} {row.task} {row.metric}: {row.words}; margin {row.margin:.3g}, "
        f"best at {row.best}, n {row.n}, {row.scenes} scenes, {row.build}"
    )
