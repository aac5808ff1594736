"""A stranger's code in this process: whatever it does to the process ends when it hands back.

A plugin may print, close or replace standard output, change the folder, the warnings' filters or
NumPy's error state, or fork. None of it is a fault of its pictures, and none may reach the run.
"""

import io
import os
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TypeVar

import numpy as np

T = TypeVar("T")


class _Writes(Protocol):
    def write(self, text: str, /) -> object: ...


class _Aside(io.TextIOBase):
    """Stands in for standard output, which is for tables: all goes to standard error."""

    def __init__(self, aside: _Writes | None) -> None:
        self._aside = aside

    def write(self, text: str, /) -> int:
        if self._aside is not None:
            with suppress(OSError, ValueError):  # nobody reads it, or it was closed
                self._aside.write(text)
        return len(text)

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Stay open: it is not the guest's to close."""


@contextmanager
def _guest() -> Generator[None]:
    home, process, streams = os.getcwd(), os.getpid(), (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = _Aside(streams[1]), _Aside(streams[1])
    try:
        with warnings.catch_warnings(), np.errstate():
            yield
    finally:
        if os.getpid() != process:
            # A fork of the guest's: two of us would write every row twice.
            os._exit(1)
        sys.stdout, sys.stderr = streams
        if os.getcwd() != home:
            os.chdir(home)


def hosted(start: Callable[[], Iterable[T]]) -> Iterator[T]:
    """Yield what a stranger's function gives, one by one; between them the process is ours.

    Args:
        start: calls it.

    Raises:
        BaseException: whatever the stranger's code raises.
    """
    with _guest():
        results = iter(start())
    while True:
        with _guest():
            try:
                result = next(results)
            except StopIteration:
                return
        yield result
