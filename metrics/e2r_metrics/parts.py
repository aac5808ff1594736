"""The parts of a protocol that a user sets beside the metrics, and what they say in its line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.orders import ORDERS
from e2r_metrics.base.pairs import EXACT, Matching
from e2r_metrics.base.pictures import AS_STORED, Reading
from e2r_metrics.catalog import Metric
from e2r_metrics.view import DEPTHS, WHOLE, View

Pooling = Literal["images", "error"]
POOLINGS: Mapping[Pooling, str] = MappingProxyType(
    {"images": "", "error": "dB of the mean squared error over pictures"}
)
"""How pictures become one number, in the words of a protocol; "images" is the mean."""
POOLED = "psnr"
"""The metric that "error" is about: the others are means over pictures in any case."""


@dataclass(frozen=True)
class Parts:
    """What a number depends on beside its metric.

    Attributes:
        reading: how files become pixels where they alone do not say.
        matching: how files find their partners.
        view: what of both pictures is scored.
        pooling: how pictures become one number.
        reference: what restored pictures are set against: metrics say what they mean to be. Of
            "none", only metrics of one picture are measured.
    """

    reading: Reading = AS_STORED
    matching: Matching = EXACT
    view: View = WHOLE
    pooling: Pooling = "images"
    reference: Literal["clean", "degraded", "none"] = "clean"

    def check(self, metric: Metric) -> None:
        """Raise `UsageError` where a metric means other pictures than those it would be given."""
        if metric.scope == "single" or self.reference in (metric.against, "none"):
            return
        raise UsageError(
            f"{metric.id} compares with {metric.against} pictures: expected their folder as the "
            f"last one and --reference {metric.against}, found --reference {self.reference}"
        )

    def told(self, metric: Metric) -> Metric:
        """Return a metric whose protocol says all parts that are not the usual ones."""
        cuts = [*self._cuts(), metric.crop if metric.crop != "none" else ""]
        pooled = POOLINGS[self.pooling] if metric.name == POOLED else ""
        paired = "" if self.matching.order == "name" else ORDERS[self.matching.order]
        return replace(
            metric,
            crop=", then ".join(filter(None, cuts)) or "none",
            colour=", ".join(filter(None, (metric.colour, *self._read()))),
            definition="; ".join(filter(None, (metric.definition, pooled, paired))),
        )

    def _cuts(self) -> Iterator[str]:
        if self.view.side is not None:
            yield f"to squares of {self.view.side} pixels around the centre"
        elif self.view.crop > 1:
            yield f"to multiples of {self.view.crop} around the centre"
        if self.view.shave:
            yield f"{self.view.shave} pixels at each border"

    def _read(self) -> Iterator[str]:
        if self.reading.value_range is not None:
            yield f"floats white at {self.reading.value_range:g}"
        if self.reading.flatten is not None:
            yield f"transparency on RGB {self.reading.flatten}"
        if DEPTHS[self.view.depth]:
            yield f"deeper pictures {DEPTHS[self.view.depth]}"


USUAL = Parts()
