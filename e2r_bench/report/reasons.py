"""What keeps parts of a comparison open, and what a reader has to know of which."""

from collections import Counter
from collections.abc import Iterable, Sequence

from e2r_bench.report.statements import Contest, Judged


def reasons(contest: Contest) -> list[str]:
    """Return why parts have no verdict, and what a reader has to know of which, each said once."""
    untested = [one for one in contest.judged if one.verdict.holm is None]
    tested = [one for one in contest.judged if one.verdict.holm is not None]
    why = _by_words(("; ".join(one.verdict.notes), one) for one in untested)
    notes = _by_words((note, one) for one in tested for note in dict.fromkeys(one.verdict.notes))
    lines = [_line(contest.judged, found, words) for words, found in why.items()]
    for words, found in notes.items():
        lines.append(words if len(found) == len(tested) else _line(tested, found, words))
    return [*contest.unplanned, *lines]


def _line(pool: Sequence[Judged], found: Sequence[Judged], words: str) -> str:
    return f"{', '.join(_places(pool, found))}: {words}"


def _by_words(said: Iterable[tuple[str, Judged]]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    for words, one in said:
        found.setdefault(words, []).append(one)
    return found


def _places(pool: Sequence[Judged], found: Sequence[Judged]) -> list[str]:
    """Return the widest names under which all parts of a pool are found, in their order."""
    there, mine = (Counter(n for one in parts for n in _names(one)) for parts in (pool, found))
    whole = {name for name, count in mine.items() if count == there[name]}
    return list(dict.fromkeys(next(n for n in _names(one) if n in whole) for one in found))


def _names(one: Judged) -> list[str]:
    """Return what a part is called, the widest first: its task, its metric, its pair of arms."""
    pair = f"{one.where} of {one.first} against {one.second}"
    return [name for name in (one.task, one.where, pair) if name]
