"""Few-shot training of adapters."""

from e2r_adapters.train.config import PAINTED, TrainConfig, TrainResult
from e2r_adapters.train.loop import made_concrete, train
from e2r_adapters.train.ready import check_places, make_ready
from e2r_adapters.train.record import DRAWN, record_of, trained_as
from e2r_adapters.train.selection import select

__all__ = [
    "DRAWN",
    "PAINTED",
    "TrainConfig",
    "TrainResult",
    "check_places",
    "made_concrete",
    "make_ready",
    "record_of",
    "select",
    "train",
    "trained_as",
]
