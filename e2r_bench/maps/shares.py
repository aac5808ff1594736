"""Invented, lost, unfaithful as numbers of a run: the share of a picture that each one covers.

They are measured beside the metrics, on every picture that has a clean partner, and stand in rows,
summary and tables like any other number, with an interval over scenes.
"""

from collections.abc import Mapping
from types import MappingProxyType

from e2r_bench.maps.bands import FLAG, band_split
from e2r_bench.maps.compute import VERSION
from e2r_bench.store.info import MetricInfo
from e2r_metrics.base.pictures import EightBit

VARIANT = "bands"
"""The variant of all three: the split of `maps.bands`."""
_SAYS = {
    "invented_share": "detail that the truth lacks",
    "lost_share": "detail of the truth that is gone",
    "unfaithful_share": "colour and brightness below the finest bands that are off",
}


def _info(name: str, says: str) -> MetricInfo:
    return MetricInfo(
        name=name,
        variant=VARIANT,
        higher_is_better=False,
        per_image=True,
        unit="% of pixels",
        protocol=(
            f"{name}:{VARIANT} v{VERSION} [{says}, {FLAG:g} RMS levels of 255 or more; error split "
            "into three detail bands and what lies below, by what the truth explains]"
        ),
        weights={},
    )


SHARES: Mapping[str, MetricInfo] = MappingProxyType(
    {f"{name}:{VARIANT}": _info(name, says) for name, says in _SAYS.items()}
)
"""By metric id, such as "invented_share:bands"; in the order of the tables."""


def measure_shares(restored: EightBit, clean: EightBit) -> dict[str, float]:
    """Return the shares of one picture by metric id, in % of its pixels.

    Args:
        restored: (H, W, 3) uint8 RGB, sides of at least 16.
        clean: the same size.

    Raises:
        PictureError: unequal or too small pictures.
    """
    scores = band_split(restored, clean).scores()
    return {key: scores[info.name] for key, info in SHARES.items()}
