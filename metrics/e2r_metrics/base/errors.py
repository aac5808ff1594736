"""The project's errors: the user's mistakes, one picture's own faults, and words for unknown names.

Everything that a person should read as one line derives from `E2RError`; whatever else is raised is
a defect of ours and may show its traceback.
"""

import difflib
from collections.abc import Hashable, Iterable


class E2RError(Exception):
    """One line: what was expected, what came in, what to do."""


class UsageError(E2RError):
    """A user's mistake or an input that cannot be used: the work stops, exit code 2."""


class WeightsError(UsageError):
    """Weights that are on this machine, and are not what they should be."""


class PictureError(E2RError):
    """One picture's own fault: recorded under its name while the rest goes on, exit code 1."""


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not in `known`, naming the nearest one."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    # They may come from a file, and hold line breaks.
    listed = " ".join(", ".join(names).split()) or "none"
    return UsageError(f"unknown {what} {name!r}: {hint}known: {listed}")


def repeated(names: Iterable[Hashable]) -> str:
    """Return the first name that stands twice in a list, as text, "" where none does.

    Every list of a user's is refused for it: one of the two would be left out in silence.
    """
    seen: set[Hashable] = set()
    for name in names:
        if name in seen:
            return str(name)
        seen.add(name)
    return ""


def one_line(error: BaseException, limit: int = 500) -> str:
    """Return what an exception says, on one line; its class where it is none of ours."""
    said = " ".join(str(error).split())
    named = said if isinstance(error, E2RError) else f"{type(error).__name__}: {said}"
    return named[:limit]
