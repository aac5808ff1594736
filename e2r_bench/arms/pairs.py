"""Study of training pairs: is an adapter of few pairs as good as one of many?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2r_bench.arms.claims import Arm, Training
from e2r_bench.arms.parts import Part, record_of
from e2r_bench.arms.study import ArmStudy
from e2r_bench.report.drawing import new_figure, series_colours
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
    """

    per_task: bool
    pairs: int

    @property
    def series(self) -> str:
        """Return "specific" or "unified"."""
        return "specific" if self.per_task else "unified"

    def __str__(self) -> str:
        return f"{self.series} {self.pairs}"


def study_pairs(study: ArmStudy, pairs: Sequence[int], specific: bool) -> Sequence[Part]:
    """Train on several numbers of pairs and compare each with the largest.

    The study's training seeds choose the pairs too; fewer pairs are part of more, and training k
    of one arm stands against training k of the other.

    Args:
        study: see `ArmStudy`; the study is written to `<out>/studies/pairs`.
        pairs: per task.
        specific: train task-specific adapters too.

    Raises:
        UsageError: fewer than two numbers of pairs; what training and running raise.
    """
    by_name = _trained(pairs, specific)
    counts = sorted(set(pairs))
    most = Trained(False, counts[-1])
    against = [(name, str(most)) for name, one in by_name.items() if one != most]
    parts = study.parts(paired_arms(pairs, specific), against)
    text = (
        f"Adapters trained on {', '.join(map(str, counts))} pairs per task with equal "
        f"exposure, against {counts[-1]} pairs of the same seed. "
        f"{_spread_note(study.repeats.trainings)}"
    )
    records = [record_of(part, pairs=by_name[part.asked.first].pairs) for part in parts]
    study.write("pairs", "Training pairs", text, records, _plot(parts, by_name))
    return parts


def paired_arms(pairs: Sequence[int], specific: bool) -> dict[str, Arm]:
    """Return the arms of the study by name; errors as `study_pairs`."""
    return {name: _arm(one) for name, one in _trained(pairs, specific).items()}


def _trained(pairs: Sequence[int], specific: bool) -> dict[str, Trained]:
    counts = sorted(set(pairs))
    if len(counts) < 2:
        raise UsageError(f"a study of pairs needs two numbers of pairs, found {list(pairs)}")
    kinds = (False, True) if specific else (False,)
    return {str(one): one for one in (Trained(kind, n) for kind in kinds for n in counts)}


def _arm(one: Trained) -> Arm:
    training = Training(pairs=one.pairs, per_task=one.per_task)
    return Arm(method="kontext_lora", training=training)


def _spread_note(seeds: Sequence[int]) -> str:
    if len(seeds) > 1:
        return "The spread between trainings is in every interval: verdicts speak of the recipes."
    return "One training each: verdicts speak of these adapters, so read no trend into them."


def _plot(parts: Sequence[Part], trained: Mapping[str, Trained]) -> "Figure":
    found = [part for part in parts if part.verdict.effect is not None]
    metrics = list(dict.fromkeys(part.verdict.metric for part in found))
    colours = series_colours(list(dict.fromkeys(_series(part, trained) for part in found)))
    figure = new_figure(3.4 * max(1, len(metrics)), 3.2)
    panes = figure.subplots(1, max(1, len(metrics)), squeeze=False)[0]
    for axes, metric in zip(panes, metrics, strict=False):
        _pane(axes, [part for part in found if part.verdict.metric == metric], trained, colours)
        axes.set_title(f"{metric}: minus the most pairs", fontsize=9)
    if found:
        figure.legend(*panes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4,
                      fontsize=6)  # fmt: skip
    return figure


def _series(part: Part, trained: Mapping[str, Trained]) -> str:
    return f"{part.asked.task} {trained[part.asked.first].series}"


def _pane(
    axes: "Axes", parts: Sequence[Part], trained: Mapping[str, Trained], colours: Mapping[str, str]
) -> None:
    """Draw one metric: side by side within a number of pairs, the series; crosses: trainings."""
    counts = sorted({trained[part.asked.first].pairs for part in parts})
    names = list(colours)
    width = _SIDE_BY_SIDE / len(names)
    for place, name in enumerate(names):
        line = [part for part in parts if _series(part, trained) == name]
        x = [
            counts.index(trained[part.asked.first].pairs) + width * (place + 0.5)
            - _SIDE_BY_SIDE / 2
            for part in line
        ]  # fmt: skip
        effects = [part.verdict.effect or 0.0 for part in line]
        reach = [_reach(part) for part in line]
        errors = [[low for low, _ in reach], [high for _, high in reach]]
        axes.errorbar(x, effects, yerr=errors, fmt="o", ms=3, capsize=2, color=colours[name],
                      label=name)  # fmt: skip
        for at, part in zip(x, line, strict=True):
            each = part.comparison.by_training if part.comparison else ()
            if len(each) > 1:
                axes.plot([at] * len(each), each, "x", ms=4, color=colours[name])
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])
    axes.axhline(0, color="#555", lw=0.8)
    axes.set_xlabel("pairs per task")


def _reach(part: Part) -> tuple[float, float]:
    """Return how far the interval reaches down and up; nowhere where too few scenes give none."""
    effect, low, high = part.verdict.effect or 0.0, part.verdict.low, part.verdict.high
    if low is None or high is None:
        return 0.0, 0.0
    return effect - low, high - effect
