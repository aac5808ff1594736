"""The package's one error type."""

import difflib
from collections.abc import Iterable


class MetricError(Exception):
    """A number that would not be defended: bad pixels, an unknown name, a wrong weight file.

    One line: what was expected, what came in, what to do. The command line exits with code 2.
    """


def unknown(what: str, name: str, known: Iterable[str]) -> MetricError:
    """Return the error for a name that is not in `known`, naming the nearest one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return MetricError(f"unknown {what} {name!r}: {hint}known: {', '.join(names)}")
