"""`e2r_bench.run`: restore, score, report; and a finished run as data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_bench.api.checks import checked
from e2r_bench.api.session import Watch, logged, unwatched
from e2r_bench.store.cell import Cell
from e2r_bench.store.fitting import failures_of_run
from e2r_bench.store.store import Store, open_store

if TYPE_CHECKING:
    import pandas as pd

    from e2r_bench.run.config import Experiment
    from e2r_bench.run.engine import Engine


@dataclass(frozen=True)
class Ran:
    """A run; a notebook shows its tables.

    Attributes:
        store: its folder, with everything that was made and measured.
        failures: the pictures and numbers that failed, with the reason.
    """

    store: Store
    failures: Mapping[Cell, str] = field(default_factory=dict[Cell, str])

    @property
    def folder(self) -> Path:
        """Return where it stands, with `report.html`."""
        return self.store.folder

    @property
    def unplanned(self) -> Mapping[str, Mapping[str, str]]:
        """Return method -> task -> why it has nothing to run it with; no picture was planned."""
        methods = self.store.info.methods.items()
        return {name: one.unserved for name, one in methods if one.unserved}

    def frame(self) -> "pd.DataFrame":
        """Return `summary.csv`: a row per method, task, draw and metric, with intervals."""
        import pandas as pd

        return pd.read_csv(self.folder / "summary.csv")

    def _repr_html_(self) -> str:
        from e2r_bench.api import html
        from e2r_bench.report.run_tables import footnotes, run_tables

        info = self.store.info
        made_with = (*info.metrics.values(), *info.methods.values())
        weights = {name: digest for one in made_with for name, digest in one.weights.items()}
        parts = [
            part
            for made in run_tables(self.store)
            for part in (
                html.title(made.title), html.table(made.heads, made.rows), html.lines(made.notes)
            )
        ]  # fmt: skip
        failed = [f"failed: {cell}: {reason}" for cell, reason in self.failures.items()]
        said = [info.protocol, *(one.protocol for one in info.metrics.values())]
        return html.joined((
            *parts,
            html.lines((*footnotes(self.store), *failed, str(self.folder))),
            html.folded("protocols", said),
            html.stands_on(weights, info.versions),
        ))  # fmt: skip


@checked
def open_run(run: "Ran | str | Path") -> Ran:
    """Return a finished or interrupted run; what `run` returned comes back as it is.

    Raises:
        UsageError: no run folder.

    Example:
        Of a run that was made:

            e2r_bench.open_run("results/run").frame()
    """
    if isinstance(run, Ran):
        return run
    store = open_store(Path(run))
    return Ran(store, failures_of_run(store))


@checked
def run(
    experiment: "Experiment | Mapping[str, Any] | str | Path",
    *,
    redo: bool = False,
    allow_commands: bool = False,
    engine: "Engine | None" = None,
    say: Callable[[str], None] = logged,
    watch: Watch = unwatched,
    passed: Mapping[str, Any] | None = None,
) -> Ran:
    """Restore pictures with several methods, score them, report; the same call resumes.

    Args:
        experiment: settings by name, such as {"methods": ["nlm"], "out": "results/nlm"}, see
            `e2r_bench.run.config.Experiment`; or a TOML file of them. Data are folders or "mini".
        redo: make anew what stands on inputs that changed since, instead of refusing.
        allow_commands: start programs that a file names; what the caller names starts anyway.
        engine: who restores; None for one picture after the other.
        say, watch: told what really runs and what is not measured; stage, done, total.
        passed: what of an `Experiment` was given rather than defaulted, for the record.

    Returns:
        The run. A picture that failed is in `Ran.failures`; the others are there.

    Raises:
        UsageError: settings that make no experiment, or inputs that changed; nothing was restored.

    Example:
        >>> import os, tempfile, e2r_bench
        >>> folder = os.path.join(tempfile.mkdtemp(), "run")
        >>> ran = e2r_bench.run({"methods": ["nlm"], "tasks": ["denoise25"], "limit": 2,
        ...                      "metrics": ["psnr"], "device": "cpu", "out": folder})
        >>> sorted(set(ran.frame().method))
        ['clean', 'degraded', 'nlm']

        With weights: {"methods": ["promptir"], "metrics": ["psnr", "lpips", "fid"]}.
    """
    from e2r_bench.run.config import Experiment, make_experiment, read_toml
    from e2r_bench.run.engine import Engine
    from e2r_bench.run.plan import refuse_programs
    from e2r_bench.run.runner import run_experiment

    if isinstance(experiment, Experiment):
        made, given = experiment, passed or {}
    else:
        file = isinstance(experiment, str | Path)
        given = read_toml(Path(experiment)) if isinstance(experiment, str | Path) else experiment
        allowed = allow_commands or not file
        made = make_experiment(given, str(experiment) if file else "the settings", allowed)
        if not allowed:
            refuse_programs(made.methods, made.metrics, str(experiment))
    outcome = run_experiment(made, given, watch, say, redo=redo, engine=engine or Engine())
    return Ran(outcome.store, outcome.failures)


def experiment_of(
    settings: "Experiment | Mapping[str, Any]", methods: Sequence[str]
) -> "Experiment":
    """Return settings as an experiment of these methods.

    Raises:
        UsageError: settings that make none.
    """
    from e2r_bench.run.config import Experiment, make_experiment

    if isinstance(settings, Experiment):
        return settings.model_copy(update={"methods": tuple(methods)})
    return make_experiment({**settings, "methods": list(methods)}, "the settings")
