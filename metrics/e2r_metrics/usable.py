"""Whether weights can be used: they are missing, another file than they should be, or damaged."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from e2r_metrics.base.errors import UsageError, WeightsError
from e2r_metrics.base.weights import Missing
from e2r_metrics.rows.types import Metric


@contextmanager
def opening(files: Mapping[str, Path]) -> Generator[None]:
    """Tell weights that cannot be opened from what else a user may have got wrong.

    Raises:
        WeightsError: what is done inside refuses one of the files.
    """
    try:
        yield
    except UsageError as error:
        if not files:
            raise
        raise WeightsError(str(error)) from error


def lacking(
    metrics: Sequence[Metric], missing: Callable[[Metric], Missing | None]
) -> tuple[dict[str, Missing], dict[str, str]]:
    """Return why metrics cannot be measured, by id: weights that are not here, and wrong ones."""
    gone: dict[str, Missing] = {}
    broken: dict[str, str] = {}
    for metric in metrics:
        try:
            if (answer := missing(metric)) is not None:
                gone[metric.id] = answer
        except WeightsError as error:
            broken[metric.id] = str(error)
    return gone, broken
