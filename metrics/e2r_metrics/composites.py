"""Scores made of other metrics: their values, and what of them cannot be measured.

A composite is a metric like any other: one value per picture, from parts of the same picture, so
its intervals and paired tests are those of pictures. Where one part cannot be measured the whole is
not, and says which: a sum of fewer parts would be another score under the same name.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.weights import Missing
from e2r_metrics.images import Image
from e2r_metrics.rows.types import Composite, Metric, Term
from e2r_metrics.view import View

_NOBODY = "no metric of that name is here"
_PLUGIN = "install a package that gives it by an entry point in the group e2r_bench.metrics"


def measured(
    composite: Composite,
    measure: Callable[[Metric, Sequence[Image], Sequence[Image]], npt.NDArray[np.float64]],
    restored: Sequence[Image],
    clean: Sequence[Image],
) -> npt.NDArray[np.float64]:
    """Return (B,) values of a composite.

    Args:
        composite: all of its parts can be measured.
        measure: a part's (B,) values.
        restored, clean: B pictures each, as in `Session.per_image`.

    Raises:
        PictureError: a part has no value of a picture, or their sum is no number.
    """
    total = np.full(len(restored), 0.0 if composite.join == "sum" else 1.0)
    for term in composite.terms:
        if term.row is None:
            raise UsageError(f"{term.metric}: {_NOBODY}")
        cut = View(shave=term.shave).apply
        found = measure(term.row, [*map(cut, restored)], [*map(cut, clean)])
        part = np.clip(term.offset + term.weight * found, term.low, term.high)
        with np.errstate(invalid="ignore"):
            total = total + part if composite.join == "sum" else total * part
    if np.isnan(total).any():
        raise PictureError("expected parts that make a number, found infinities that cancel")
    return composite.scale * total


def missing_parts(metric: Metric, missing: Callable[[Metric], Missing | None]) -> Missing | None:
    """Return which parts of a composite cannot be measured, and why; None if all can.

    Args:
        metric: a composite.
        missing: the same of a metric of its own.
    """
    terms = metric.composite.terms if metric.composite else ()
    gone = [answer for term in terms if (answer := _missing(term, missing))]
    if not gone:
        return None
    reasons = "; ".join(dict.fromkeys(f"{one.name}: {one.reason}" for one in gone))
    commands = "; ".join(dict.fromkeys(one.command for one in gone if one.command))
    absent = f"{len(gone)} of its {len(terms)} parts cannot be measured ({reasons})"
    return Missing(metric.id, absent, commands or "-", sum(one.size for one in gone))


def _missing(term: Term, missing: Callable[[Metric], Missing | None]) -> Missing | None:
    if term.row is None:
        return Missing(term.metric, _NOBODY, _PLUGIN, 0)
    if not term.row.per_image:
        why = "one number of a whole set, which has no value per picture"
        return Missing(term.metric, why, "", 0)
    answer = missing(term.row)
    return replace(answer, name=term.metric) if answer else None
