"""`e2r_bench.study_pairs` and `study_prompts`: studies whose arms are trained here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from e2r_bench.api.checks import checked, refuse_other
from e2r_bench.api.run import experiment_of, open_run
from e2r_bench.api.session import Watch, logged, unwatched
from e2r_bench.api.studies import Study
from e2r_bench.statistics.given import given_margins
from e2r_bench.statistics.margins import Margin
from e2r_bench.studies.measure import Unit

if TYPE_CHECKING:
    from e2r_bench.arms.parts import Part
    from e2r_bench.arms.running import ArmRunner
    from e2r_bench.arms.study import ArmStudy
    from e2r_bench.run.config import Experiment
    from e2r_bench.studies.sides import Criteria

Say = Callable[[str], None]


@dataclass(frozen=True)
class Taught:
    """How the arms of a study are trained, repeated and judged.

    Attributes:
        backbone: "auto", "kontext-nano", a hub id or a folder; arms are trained and run on it.
        data: task -> folder of training pairs; None for painted ones.
        drop_overlap: leave out training pictures that stand in the test set; each is recorded.
        epochs: of each training.
        training_seeds: every arm is trained once with each; empty for one training.
        seeds: every arm is sampled once with each; empty for one.
        unit: what is independent: "scene", or "image", which speaks of these pictures alone.
        margins: metric -> what counts as no difference.
    """

    backbone: str = "auto"
    data: Mapping[str, str] | None = None
    drop_overlap: bool = False
    epochs: int = 10
    training_seeds: Sequence[int] = ()
    seeds: Sequence[int] = ()
    unit: Unit = "scene"
    margins: Mapping[str, float | Margin] = field(default_factory=dict[str, float | Margin])

    def __post_init__(self) -> None:
        """Refuse values of another type; `UsageError`."""
        for one in fields(self):
            refuse_other(f"Taught: {one.name}", getattr(self, one.name), one.type)


_USUAL = Taught()


@checked
def study_pairs(
    settings: "Experiment | Mapping[str, Any]",
    taught: Taught = _USUAL,
    *,
    pairs: Sequence[int] = (16, 32, 64, 128),
    specific: bool = False,
    say: Say = logged,
    watch: Watch = unwatched,
) -> Study:
    """Train on several numbers of pairs and test whether fewer are as good as the most.

    Args:
        settings: as of `run`; of methods there is no choice: tasks, metrics, data, out.
        taught: how arms are trained, repeated and judged.
        pairs: per task.
        specific: train task-specific adapters too.
        say: told what is being done, and first what cannot be judged.
        watch: told of progress.

    Raises:
        UsageError: fewer than two numbers of pairs; what training and running raise.

    Example:
        With weights, or for minutes on the miniature:

            taught = e2r_bench.Taught(training_seeds=(42, 43))
            e2r_bench.study_pairs({"tasks": ["derain"], "out": "pairs"}, taught, pairs=(16, 32))
    """
    from e2r_bench.arms.pairs import study_pairs

    study = arm_study(settings, taught, say)
    return _studied("pairs", study, watch, lambda: study_pairs(study, pairs, specific))


@checked
def study_prompts(
    settings: "Experiment | Mapping[str, Any]",
    taught: Taught = _USUAL,
    *,
    say: Say = logged,
    watch: Watch = unwatched,
) -> Study:
    """Compare the right prompt with a wrong one and with none.

    Args:
        settings, taught, say, watch: as in `study_pairs`.

    Raises:
        UsageError: what training and running raise.

    Example:
        With weights, or for minutes on the miniature:

            e2r_bench.study_prompts({"tasks": ["derain", "denoise25"], "out": "prompts"})
    """
    from e2r_bench.arms.prompts import study_prompts

    study = arm_study(settings, taught, say)
    return _studied("prompts", study, watch, lambda: study_prompts(study))


def arm_study(
    settings: "Experiment | Mapping[str, Any]", taught: Taught, say: Say, pretend: bool = False
) -> "ArmStudy":
    """Return a study of arms before anything is trained; `pretend` fetches nothing."""
    from e2r_bench.arms.repeats import Repeats
    from e2r_bench.arms.study import ArmStudy
    from e2r_bench.studies.sides import PERMUTATIONS
    from e2r_metrics.catalog import resolve

    runner = open_runner(settings, taught, say)
    base = runner.base
    known = resolve(base.metrics, base.profile, base.variant)
    margins = given_margins(taught.margins, [metric.id for metric in known])
    criteria = criteria_of(runner.base, taught.unit, PERMUTATIONS, margins, say, pretend)
    return ArmStudy(runner, criteria, Repeats(tuple(taught.training_seeds), tuple(taught.seeds)))


def open_runner(
    settings: "Experiment | Mapping[str, Any]", taught: Taught, say: Say
) -> "ArmRunner":
    """Return what trains and runs arms; the backbone is resolved here, once.

    Raises:
        UsageError: settings that make no experiment, or nothing to train on.
    """
    from e2r_bench.arms.running import ArmRunner
    from e2r_bench.arms.training import plan_training
    from e2r_metrics.catalog import resolve

    base = experiment_of(settings, ["kontext_lora"])
    # A name that nobody knows is said before anything is trained.
    resolve(base.metrics, base.profile, base.variant)
    data = None if taught.data is None else dict(taught.data)
    training = plan_training(taught.backbone, data, base, taught.epochs, taught.drop_overlap)
    return ArmRunner(base, training, say)


def criteria_of(
    base: "Experiment",
    unit: Unit,
    permutations: int,
    margins: Mapping[str, Margin],
    say: Say,
    pretend: bool,
) -> "Criteria":
    """Return how arms are compared; `pretend` with a session that fetches nothing."""
    from e2r_bench.run.dry import pretending_session
    from e2r_bench.run.services import open_services
    from e2r_bench.studies.sides import Criteria

    session = pretending_session(base) if pretend else open_services(base, say)[1]
    return Criteria(session, unit, permutations, margins)


def finish(runner: "ArmRunner") -> None:
    """Write the arms' reports again, with what was judged."""
    from e2r_bench.report.page import write_report
    from e2r_bench.store.store import open_store

    for found in sorted(runner.base.out.glob("runs/*/report.html")):
        write_report(open_store(found.parent))


def _studied(
    name: str, study: "ArmStudy", watch: Watch, judged: "Callable[[], Sequence[Part]]"
) -> Study:
    from e2r_bench.arms.parts import record_of
    from e2r_bench.arms.sharing import ARM_MARKS
    from e2r_metrics.base.locks import locked

    out = study.runner.base.out
    with locked(out, ARM_MARKS):
        study.runner.watch = watch
        parts = judged()
    finish(study.runner)
    taught = f"trained on {study.runner.training.data.words()}"
    lines = [f"{p.verdict.name}: {p.verdict.label}{_numbers(p, taught)}" for p in parts]
    runs = tuple(open_run(found.parent) for found in sorted(out.glob("runs/*/run.json")))
    rows = tuple(record_of(part) for part in parts)
    failed = dict(study.runner.failures)
    return Study(name, out / "studies" / name, tuple(lines), rows, runs, failed)


def _numbers(part: "Part", taught: str) -> str:
    found = part.verdict
    if found.effect is None or found.scope is None:
        return f"; {'; '.join(found.notes)}"
    said = [f"{found.effect:+.4g}"]
    if found.low is not None and found.high is not None:
        said[0] += f" ({found.low:.4g} to {found.high:.4g})"
        said.append(f"p {found.holm:.3g} of no difference, {found.holm_within:.3g} of less than")
        said[-1] += f" the margin {found.margin:.3g}, over all parts"
    else:
        said += found.notes
    said += [f"said of {found.scope.subject}", f"n {found.n}, {found.scenes} scenes", part.build]
    return "; " + ", ".join([*said, taught])
