"""The runner's one error type, and the words for a name nobody knows."""

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """A user's mistake: what was expected, what came in, what to do. One line, exit code 2."""


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not in `known`, naming the nearest one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"unknown {what} {name!r}: {hint}known: {', '.join(names)}")
