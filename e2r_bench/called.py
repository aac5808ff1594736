"""A package that is called: `e2r_bench.run(...)` beside `e2r_bench.run.config`.

The public functions `run` and `maps` have the names of packages. Importing one of their modules
binds the package to that name, so the package itself hands the call on.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Called(ModuleType):
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.__wrapped__(*arguments, **named)

    @property
    def __wrapped__(self) -> Any:
        """The function; `inspect.signature` and editors follow it."""
        name = self.__name__.rpartition(".")[2]
        return getattr(import_module(f"e2r_bench.api.{name}"), name)


def call(package: str) -> None:
    """Let a package be called as the function of its name in `e2r_bench.api`."""
    sys.modules[package].__class__ = _Called
