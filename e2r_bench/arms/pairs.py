"""Study of training pairs: is an adapter of few pairs as good as one of many?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2r_bench.arms.claims import Arm, Training
from e2r_bench.arms.parts import Part
from e2r_bench.arms.study import ArmStudy, record_of
from e2r_bench.studies.writing import new_figure
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAIRS = (16, 32, 64, 128)
_SIDE_BY_SIDE = 0.8


@dataclass(frozen=True)
class Trained:
    """What an arm of the study is trained with.

    Attributes:
        per_task: one adapter per task kind instead of a unified one.
        pairs: per task.
        seed: of the training and of the choice of pairs.
    """

    per_task: bool
    pairs: int
    seed: int

    @property
    def series(self) -> str:
        """Return "specific" or "unified"."""
        return "specific" if self.per_task else "unified"

    def __str__(self) -> str:
        return f"{self.series} {self.pairs} seed {self.seed}"


def study_pairs(
    study: ArmStudy, pairs: Sequence[int], seeds: Sequence[int], specific: bool
) -> Sequence[Part]:
    """Train on several numbers of pairs and compare each with the largest, seed by seed.

    Args:
        study: see `ArmStudy`; the study is written to `<out>/studies/pairs`.
        pairs: per task.
        seeds: of the trainings and of the choice of pairs; fewer pairs are part of more.
        specific: train task-specific adapters too.

    Raises:
        UsageError: fewer than two numbers of pairs; what training and running raise.
    """
    counts = sorted(set(pairs))
    if len(counts) < 2:
        raise UsageError(f"a study of pairs needs two numbers of pairs, found {list(pairs)}")
    kinds = (False, True) if specific else (False,)
    trained = [Trained(kind, n, seed) for kind in kinds for seed in seeds for n in counts]
    most = {seed: Trained(False, counts[-1], seed) for seed in seeds}
    against = [(str(one), str(most[one.seed])) for one in trained if one != most[one.seed]]
    by_name = {str(one): one for one in trained}
    parts = study.parts({name: _arm(one) for name, one in by_name.items()}, against)
    text = (
        f"Adapters trained on {', '.join(map(str, counts))} pairs per task with equal "
        f"exposure, training seeds {list(seeds)}, against {counts[-1]} pairs of the same seed. "
        f"{_spread_note(seeds)}"
    )
    records = [
        record_of(part, pairs=by_name[part.first].pairs, training_seed=by_name[part.first].seed)
        for part in parts
    ]
    study.write("pairs", "Training pairs", text, records, _plot(parts, by_name))
    return parts


def _arm(one: Trained) -> Arm:
    training = Training(pairs=one.pairs, per_task=one.per_task, seed=one.seed)
    return Arm(method="kontext_lora", training=training)


def _spread_note(seeds: Sequence[int]) -> str:
    if len(seeds) > 1:
        return "The spread over training seeds is the noise that a number of pairs must beat."
    return "One training seed: the spread between trainings is unknown, so read no trend into it."


def _plot(parts: Sequence[Part], trained: Mapping[str, Trained]) -> "Figure":
    found = [part for part in parts if part.measured]
    metrics = list(dict.fromkeys(part.metric_id for part in found))
    figure = new_figure(3.4 * max(1, len(metrics)), 3.2)
    panes = figure.subplots(1, max(1, len(metrics)), squeeze=False)[0]
    for axes, metric in zip(panes, metrics, strict=False):
        _pane(axes, [part for part in found if part.metric_id == metric], trained)
        axes.set_title(f"{metric}: minus the most pairs", fontsize=9)
    if found:
        figure.axes[0].legend(fontsize=6)
    return figure


def _pane(axes: "Axes", parts: Sequence[Part], trained: Mapping[str, Trained]) -> None:
    """Draw one metric: side by side within a number of pairs, the series, and the seeds in each."""
    counts = sorted({trained[part.first].pairs for part in parts})
    seeds = sorted({trained[part.first].seed for part in parts})
    names = list(dict.fromkeys((part.task, trained[part.first].series) for part in parts))
    width = _SIDE_BY_SIDE / (len(names) * len(seeds))
    for place, name in enumerate(names):
        line = [part for part in parts if (part.task, trained[part.first].series) == name]
        slots = [place * len(seeds) + seeds.index(trained[part.first].seed) for part in line]
        x = [
            counts.index(trained[part.first].pairs) + width * (slot + 0.5) - _SIDE_BY_SIDE / 2
            for part, slot in zip(line, slots, strict=True)
        ]
        effects = [part.effect or 0.0 for part in line]
        errors = [
            [e - (part.low or 0.0) for e, part in zip(effects, line, strict=True)],
            [(part.high or 0.0) - e for e, part in zip(effects, line, strict=True)],
        ]
        axes.errorbar(x, effects, yerr=errors, fmt="o", ms=3, capsize=2, label=" ".join(name))
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])
    axes.axhline(0, color="#555", lw=0.8)
    axes.set_xlabel("pairs per task")
