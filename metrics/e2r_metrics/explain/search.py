"""From all numbers to the protocols that give the stated ones, and to what chance would give."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite, prod
from typing import NamedTuple

from e2r_metrics.explain.candidates import CHANNEL, MIXED, Choice, Setting

AROUND: Mapping[str, float] = {"psnr": 1.0, "ssim": 0.02, "lpips": 0.05}
"""How far from where it lies a stated number might as well lie, for what chance would give."""
_SAME = 9
"""Numbers that agree to so many decimals are one."""

Table = Mapping[Setting, Mapping[str, Sequence[Choice]]]
"""Of each setting, the choices of each metric."""


class Said(NamedTuple):
    """A stated number.

    Attributes:
        metric: "psnr", "ssim" or "lpips".
        value: as stated.
        half: half of its last digit: what rounding may have taken.
        text: as it was written.
    """

    metric: str
    value: float
    half: float
    text: str


@dataclass(frozen=True)
class Protocol:
    """One protocol with a choice for each stated number.

    Attributes:
        setting: which pixels of which pairs.
        choices: in the order of the stated numbers.
    """

    setting: Setting
    choices: tuple[Choice, ...]

    @property
    def channels(self) -> set[str]:
        """Return the channels of the metrics that have a choice of one."""
        return {choice.channel for choice in self.choices if choice.channel}

    @property
    def odd(self) -> int:
        """Return how odd it is, from 0 on: what decides between equal digits."""
        channels = self.channels
        # One odd channel for all metrics is one odd choice; pooling and window are two.
        shown = max((CHANNEL[channel] for channel in channels), default=0)
        shown += MIXED if len(channels) > 1 else 0
        return self.setting.odd + shown + sum(choice.odd for choice in self.choices)

    def distance(self, said: Sequence[Said]) -> float:
        """Return the largest difference from the stated numbers, in halves of their last digits."""
        pairs = zip(self.choices, said, strict=True)
        return max(abs(choice.value - one.value) / one.half for choice, one in pairs)


@dataclass(frozen=True)
class Answer:
    """A protocol, the others with the same numbers on these files, and how likely chance is.

    Attributes:
        protocol: the most usual of them.
        same: the others, the more usual ones first.
        by_chance: how many protocols as usual as this one, or more, would give the digits if the
            stated numbers had nothing to do with the pictures.
    """

    protocol: Protocol
    same: tuple[Protocol, ...]
    by_chance: float


@dataclass(frozen=True)
class Findings:
    """What was tried, and what of it gives the stated numbers.

    Attributes:
        said: the stated numbers.
        hits: those that give all of them, the most usual first.
        nearest: where there is no hit, those that come nearest, the nearest first.
        tried: how many protocols.
        distinct: how many of them have numbers of their own on these files.
        by_chance: how many of these would give the digits by chance.
        mixed: whether metrics on two channels were tried, since none on one gave the numbers.
    """

    said: tuple[Said, ...]
    hits: tuple[Answer, ...]
    nearest: tuple[Answer, ...]
    tried: int
    distinct: int
    by_chance: float
    mixed: bool


def search(table: Table, said: Sequence[Said], nearest: int = 5) -> Findings:
    """Return the protocols that give all stated numbers within their printed digits.

    Metrics on one channel are tried first; on two channels where none of those gives the numbers.

    Args:
        table: every choice of every stated metric.
        said: the stated numbers, one of each metric.
        nearest: how many to name where none gives them.
    """
    plain = _findings(table, said, nearest, mixed=False)
    if plain.hits or len(said) == 1:
        return plain
    wide = _findings(table, said, nearest, mixed=True)
    return wide if wide.hits else plain


def _findings(table: Table, said: Sequence[Said], nearest: int, mixed: bool) -> Findings:
    protocols = list(_protocols(table, said, mixed))
    groups = _grouped(protocols)
    chance = _Chance(groups, said)
    hits = [group for group in groups if group[0].distance(said) <= 1 + 1e-9]
    hits.sort(key=lambda group: (group[0].odd, group[0].distance(said)))
    near = [] if hits else sorted(groups, key=lambda group: group[0].distance(said))[:nearest]
    answers = [Answer(g[0], tuple(g[1:]), chance.expected(g[0].odd)) for g in (*hits, *near)]
    count = len(hits)
    return Findings(
        tuple(said), tuple(answers[:count]), tuple(answers[count:]), len(protocols), len(groups),
        chance.expected(None), mixed,
    )  # fmt: skip


def _protocols(table: Table, said: Sequence[Said], mixed: bool) -> Iterable[Protocol]:
    for setting, by_metric in table.items():
        for choices in product(*(by_metric[one.metric] for one in said)):
            protocol = Protocol(setting, choices)
            if mixed or len(protocol.channels) <= 1:
                yield protocol


def _grouped(protocols: Iterable[Protocol]) -> list[list[Protocol]]:
    """Put protocols with equal numbers together, the most usual one first."""
    groups: dict[tuple[float, ...], list[Protocol]] = {}
    for protocol in protocols:
        values = tuple(round(choice.value, _SAME) for choice in protocol.choices)
        if all(map(isfinite, values)):
            groups.setdefault(values, []).append(protocol)
    return [sorted(group, key=_oddness) for group in groups.values()]


def _oddness(protocol: Protocol) -> int:
    return protocol.odd


class _Chance:
    """How many protocols would give the digits, had the stated numbers lain anywhere near.

    Each stated number is moved to anywhere within `AROUND` of where it lies, all places alike: a
    protocol whose numbers lie there is hit with the probability half / around for each of them.
    """

    def __init__(self, groups: Sequence[Sequence[Protocol]], said: Sequence[Said]) -> None:
        near = _is_near(said)
        self._odds = [group[0].odd for group in groups if near(group[0])]
        self._each = prod(min(1.0, one.half / AROUND[one.metric]) for one in said)

    def expected(self, odd: int | None) -> float:
        """Return how many of those at most so odd; None for all."""
        return self._each * sum(odd is None or other <= odd for other in self._odds)


def _is_near(said: Sequence[Said]) -> Callable[[Protocol], bool]:
    def near(protocol: Protocol) -> bool:
        pairs = zip(protocol.choices, said, strict=True)
        return all(abs(c.value - one.value) <= AROUND[one.metric] for c, one in pairs)

    return near
