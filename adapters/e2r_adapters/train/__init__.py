"""Few-shot training of adapters."""

from e2r_adapters.train.config import PAINTED, TrainConfig, TrainResult
from e2r_adapters.train.loop import made_concrete, train
from e2r_adapters.train.record import record_of, trained_as
from e2r_adapters.train.selection import select

__all__ = [
    "PAINTED",
    "TrainConfig",
    "TrainResult",
    "made_concrete",
    "record_of",
    "select",
    "train",
    "trained_as",
]
