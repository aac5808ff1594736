"""What other packages give by entry points: found by name, loaded, and told in one line if not.

A plugin is anybody's code: whatever it does when it is imported becomes one line.
"""

from collections.abc import Container
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from e2r_metrics.base.errors import UsageError, one_line


def named(group: str, name: str) -> list[EntryPoint]:
    """Return the entry points of one name, without importing anything."""
    return list(entry_points(group=group, name=name))


def names(group: str) -> list[str]:
    """Return the names that other packages give in a group, each once."""
    return list(dict.fromkeys(point.name for point in entry_points(group=group)))


def only(points: list[EntryPoint], taken: Container[str], what: str) -> EntryPoint:
    """Return the one entry point of a name.

    Raises:
        UsageError: several, or a name that is in use; `what` says what has to be called otherwise.
    """
    point = points[0]
    if point.name in taken or len(points) > 1:
        raise UsageError(f"{where(point)}: the name is in use; give the {what} another")
    return point


def loaded(point: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises:
        UsageError: whatever its import did, in one line.
    """
    try:
        return point.load()
    # Nothing that a stranger's import does may end this process, sys.exit included.
    except BaseException as error:
        raise UsageError(
            f"{where(point)}: cannot be loaded: {one_line(error)}; mend or uninstall it"
        ) from error


def version(point: EntryPoint) -> str:
    """Return distribution and version, "" where there is none."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else ""


def where(point: EntryPoint) -> str:
    """Return an entry point in words."""
    return f"entry point {point.name!r} ({point.value}) of {version(point) or 'a package'}"
