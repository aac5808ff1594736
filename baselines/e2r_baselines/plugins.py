"""Methods of other packages, by the entry points `e2r_bench.methods`: a `MethodSpec` or a `Method`.

A plugin is anybody's code: whatever it does when it is imported or made is told in one line, and
its distribution and version travel with it, so that a new release is another method.
"""

from collections.abc import Container
from dataclasses import is_dataclass, replace
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any, cast

from e2r_baselines.method import Method, MethodSpec, fixed
from e2r_metrics.base.errors import E2RError, UsageError, one_line
from e2r_metrics.base.plugins import loaded, named, names, only, version, where

ENTRY_POINTS = "e2r_bench.methods"


def plugin_named(name: str, taken: Container[str]) -> Method | None:
    """Import the plugin of one name, None if there is none.

    Args:
        name: as on the command line and in its entry point.
        taken: names that no plugin may have.

    Raises:
        UsageError: it cannot be loaded, is no method, is called otherwise than its entry point, or
            its name is in use.
    """
    points = named(ENTRY_POINTS, name)
    return _only(points, taken) if points else None


def all_plugins(taken: Container[str]) -> dict[str, Method]:
    """Import every plugin; see `plugin_named`."""
    return {name: _only(named(ENTRY_POINTS, name), taken) for name in names(ENTRY_POINTS)}


def _only(points: list[EntryPoint], taken: Container[str]) -> Method:
    point = only(points, taken, "method")
    method = _loaded(point)
    if method.name != point.name:
        raise UsageError(
            f"{where(point)}: expected its method to be called so, found {method.name!r}"
        )
    return replace(method, make=partial(_make, method, version(point)))


def _loaded(point: EntryPoint) -> Method:
    found = loaded(point)
    if isinstance(found, MethodSpec):
        return fixed(found)
    if not isinstance(found, Method):
        raise UsageError(
            f"{where(point)}: expected a MethodSpec or a Method, found {type(found).__name__}"
        )
    if not is_dataclass(found.options):
        raise UsageError(
            f"{where(point)}: expected its options to be a dataclass, found {found.options!r}"
        )
    return found


def _make(method: Method, version: str, options: Any) -> MethodSpec:
    """Make a plugin's method and put its version into it; module-level, so that the row pickles."""
    try:
        spec = cast("object", method.make(options))  # a stranger's code keeps no types
    except (E2RError, MemoryError):
        raise
    except Exception as error:  # a stranger's code may raise anything
        raise UsageError(f"method {method.name!r} of {version}: {one_line(error)}") from error
    if not isinstance(spec, MethodSpec):
        raise UsageError(
            f"method {method.name!r} of {version}: expected it to make a MethodSpec, found "
            f"{type(spec).__name__}"
        )
    return replace(spec, version=" ".join(part for part in (version, spec.version) if part))
