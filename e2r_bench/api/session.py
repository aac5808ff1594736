"""`e2r_bench.open_session`: what numbers are computed with; and who is told of progress."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_bench.api.checks import checked

if TYPE_CHECKING:
    from e2r_metrics import Session

Watch = Callable[[str, int, int], None]
"""Told of progress: stage, done, total."""


def logged(line: str) -> None:
    """Tell the log what a person should know, such as a file that is fetched."""
    logging.getLogger("e2r_bench").info(line)


def unwatched(stage: str, done: int, total: int) -> None:
    """Take no notice of progress."""
    del stage, done, total


@checked
def open_session(
    weights: Sequence[str | Path] = (),
    device: str = "cpu",
    offline: bool = False,
    say: Callable[[str], None] = logged,
) -> "Session":
    """Return what computes metrics: networks are loaded once, features are kept in the cache.

    Args:
        weights: folders searched for weight files before anything else.
        device: a torch device, or "auto".
        offline: open no connection.
        say: told of every file that is fetched.

    Raises:
        UsageError: a folder that is none, or a device that this machine has not.

    Example:
        >>> import e2r_bench
        >>> session = e2r_bench.open_session(offline=True)
        >>> session.device
        'cpu'
    """
    from e2r_bench.run.services import choose_device, open_resolver
    from e2r_metrics import FeatureStore, Session

    # The default asks nothing of torch, which takes seconds to import.
    chosen = "cpu" if device == "cpu" else choose_device(device)
    resolver = open_resolver([Path(folder) for folder in weights], offline, say)
    return Session(resolver, FeatureStore(), chosen)
