"""Many small computations on all cores."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_CHUNK = 8


def on_all_cores(function: Callable[[slice], list[float]], count: int) -> list[float]:
    """Map over slices of 0..count-1 on all cores; LAPACK lets go of Python's lock."""
    parts = [slice(start, start + _CHUNK) for start in range(0, count, _CHUNK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [value for part in pool.map(function, parts) for value in part]
