"""What `explain` found, in words: protocols, the commands that score so, and what chance gives."""

import shlex
from collections.abc import Iterator
from typing import Any

from e2r_metrics.base.orders import ORDERS
from e2r_metrics.catalog import metric_of
from e2r_metrics.explain.search import Answer, Findings, Protocol
from e2r_metrics.parts import Parts

LIKELY = 0.05
"""From so many protocols expected by chance on, a hit is called one that chance may have made."""


def words(protocol: Protocol) -> str:
    """Return a protocol in a phrase: only what is not the usual."""
    setting, choices = protocol.setting, protocol.choices
    view = setting.view
    parts = [
        "+".join(choice.metric for choice in choices),
        f"crop x{view.crop}" if view.crop > 1 else "",
        f"shave {view.shave}" if view.shave else "",
        f"{view.depth} to 8 bits" if view.depth != "stored" else "",
        "dB of the mean error" if _pooled(protocol) else "",
        *(choice.slip for choice in choices),
        ORDERS[setting.order] if setting.order != "name" else "",
    ]
    return ", ".join(filter(None, parts))


def command_of(protocol: Protocol, folders: tuple[str, str], parts: Parts) -> str | None:
    """Return the command that scores so; None where nothing of ours does, since it is a mistake.

    Args:
        protocol: what was found.
        folders: restored and clean, as they were given.
        parts: how files were read and paired.
    """
    if any(choice.slip for choice in protocol.choices):
        return None
    order = protocol.setting.order
    flags = [
        *("--metrics", ",".join(choice.metric for choice in protocol.choices)),
        *protocol.setting.view.flags(),
        *(("--pool", "error") if _pooled(protocol) else ()),
        *(("--order", order) if order != "name" else ()),
        *_reading(parts, order == "name"),
    ]
    return shlex.join(["e2r-bench", "score", *folders, *flags])


def _pooled(protocol: Protocol) -> bool:
    return any(choice.pooling == "error" for choice in protocol.choices)


def _reading(parts: Parts, by_name: bool) -> Iterator[str]:
    reading, matching = parts.reading, parts.matching
    if matching.recursive:
        yield "--recursive"
    if matching.pattern is not None and by_name:
        yield from ("--pair", matching.pattern)
    if reading.value_range is not None:
        yield from ("--range", f"{reading.value_range:g}")
    if reading.flatten is not None:
        yield from ("--flatten", "#{:02x}{:02x}{:02x}".format(*reading.flatten))


def sentence(found: Findings, n: int) -> Iterator[str]:
    """Yield what was found in a sentence or two, and how much of it chance would give."""
    asked = ", ".join(f"{one.metric} {one.text}" for one in found.said)
    tried = (
        f"{found.tried} protocols tried on {n} pairs, {found.distinct} of them with numbers of "
        "their own"
    )
    if not found.tried:
        yield f"No protocol for {asked} could be tried."
        return
    if not found.hits:
        yield f"No protocol gives {asked}: {tried}. The nearest:"
        yield "Not to be tried on 8-bit files: scores of unrounded floats, about 0.01 dB at 34 dB."
        return
    count = len(found.hits)
    yield f"{count} {'protocol gives' if count == 1 else 'protocols give'} {asked}: {tried}."
    if found.mixed:
        yield "None on one channel does; these take the metrics on two."
    yield (
        f"By chance {found.by_chance:.2g} would, had the numbers to do with other pictures; "
        "beside each, how many of those as usual as it."
    )
    if count > 1:
        yield "The digits do not tell them apart: the most usual comes first. More digits would."


def by_chance(answer: Answer, found: Findings) -> str:
    """Return how many protocols as usual as this would hit by chance; where many, in words too."""
    if not found.hits:
        return "no hit"
    return f"{answer.by_chance:.2g}{', may be chance' if answer.by_chance >= LIKELY else ''}"


def record(answer: Answer, folders: tuple[str, str], parts: Parts) -> dict[str, Any]:
    """Return an answer for JSON."""
    protocol = answer.protocol
    return {
        "protocol": words(protocol),
        "metrics": [
            {
                "id": choice.metric,
                "value": choice.value,
                "protocol": metric_of(choice.metric).protocol,
            }
            for choice in protocol.choices
        ],
        "command": command_of(protocol, folders, parts),
        "by_chance": answer.by_chance,
        "may_be_chance": answer.by_chance >= LIKELY,
        "same_numbers": [words(other) for other in answer.same],
    }
