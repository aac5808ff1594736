"""`e2r_bench.study_filter`: is a draw that a judge chose better than the mean draw?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_bench.api.checks import checked
from e2r_bench.api.run import Ran, run
from e2r_bench.api.session import Watch, logged, unwatched
from e2r_bench.api.studies import Study
from e2r_bench.report.roles import INVENTED
from e2r_bench.report.statements import Contest, record, statement
from e2r_bench.statistics.given import given_margins
from e2r_bench.statistics.margins import Margin
from e2r_bench.studies.filter_settings import Asked, check_asked
from e2r_bench.studies.sides import Criteria

if TYPE_CHECKING:
    from e2r_bench.run.config import Experiment


@dataclass(frozen=True, kw_only=True)
class Filtered(Study):
    """What a study of the early filter found.

    Attributes:
        contest: everything that was judged, each arm's own numbers, and the facts.
    """

    contest: Contest


@checked
def study_filter(
    settings: Mapping[str, Any],
    *,
    method: str = "kontext_lora",
    judges: Sequence[str] = ("consistency", "oracle"),
    candidates: int = 6,
    filter_steps: int = 4,
    steps: int = 28,
    seeds: Sequence[int] = (0, 1, 2, 3),
    margins: Mapping[str, float | Margin] | None = None,
    say: Callable[[str], None] = logged,
    watch: Watch = unwatched,
) -> Filtered:
    """Try several noises for a few steps, go on from the one a judge chooses; is it worth its cost?

    Args:
        settings: as of `run`, but for methods, seeds and steps: tasks, metrics, data, out.
        method: an editor.
        judges: "consistency", "oracle" (the truth: an upper bound), or metrics such as "niqe".
        candidates, filter_steps, steps: noises, steps of each, and of the full schedule.
        seeds: of the draws.
        margins: metric -> what counts as no difference.
        say, watch: as in `run`.

    Raises:
        UsageError: fewer than two candidates, one judge twice, and what `run` raises.

    Example:
        With weights, or for minutes on the miniature:

            e2r_bench.study_filter({"tasks": ["denoise25"], "out": "filter"}, steps=8).lines
    """
    from e2r_bench.run.config import make_experiment
    from e2r_bench.run.services import open_services
    from e2r_bench.studies.early_filter import average
    from e2r_metrics.catalog import resolve

    asked = Asked(method, tuple(judges), candidates, filter_steps, steps, tuple(seeds))
    first = filter_experiment(settings, asked)
    metrics = resolve(first.metrics, first.profile, first.variant)
    known = given_margins(margins or {}, (*(metric.id for metric in metrics), INVENTED))
    ran = run(first, say=say, watch=watch, passed=_given(first))
    average(ran.store, asked)
    after = {**settings, **asked.second(first.out, settings.get("method", {}))}
    second = make_experiment(after, "the settings")
    rivals = run(second, say=say, watch=watch, passed=_given(second))
    _, session, _ = open_services(first, _unsaid)
    return _filtered(ran, rivals, asked, Criteria(session, margins=known))


def filter_experiment(settings: Mapping[str, Any], asked: Asked) -> "Experiment":
    """Return the run of mean and chosen draws.

    Raises:
        UsageError: what leaves nothing to study, or settings that make no experiment.
    """
    from e2r_bench.run.config import make_experiment

    check_asked(asked)
    return make_experiment({**settings, **asked.first(settings.get("method", {}))}, "the settings")


def _filtered(ran: Ran, rivals: Ran, asked: Asked, criteria: Criteria) -> Filtered:
    from e2r_bench.studies.early_filter import study_filter
    from e2r_metrics.base.locks import locked

    with locked(ran.folder):
        found = study_filter(ran.store, rivals.store, asked, criteria)
    return Filtered(
        "filter", ran.folder / "studies" / "filter", tuple(map(statement, found.judged)),
        tuple(map(record, found.judged)), (ran, rivals), {**ran.failures, **rivals.failures},
        contest=found,
    )  # fmt: skip


def _given(experiment: "Experiment") -> Mapping[str, Any]:
    return experiment.model_dump(mode="json", exclude_defaults=True)


def _unsaid(line: str) -> None:
    del line
