"""LPIPS under the protocols of published code: networks, cuts, and two mistakes that are common."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import cast

import numpy as np

from e2r_metrics.base.errors import PictureError
from e2r_metrics.base.pairs import Pair
from e2r_metrics.base.pictures import Reading
from e2r_metrics.catalog import Metric, metric_of
from e2r_metrics.explain.candidates import NETWORK, SLIP, Choice, Setting, network_choice
from e2r_metrics.images import Image, to_unit
from e2r_metrics.pair_pixels import read_pair
from e2r_metrics.session import Session
from e2r_metrics.view import WHOLE, View

VIEWS = (View(shave=4), View(crop=16), View(crop=8))
"""Each is a pass of the network, so these are few."""


def _half(image: Image) -> Image:
    return (to_unit(image) + np.float32(1)) * np.float32(0.5)


def _turned(image: Image) -> Image:
    return cast(Image, np.ascontiguousarray(image[..., ::-1]))


FEEDS: Mapping[str, Callable[[Image], Image]] = MappingProxyType(
    {
        "": lambda image: image,
        # The network doubles and takes one off: half of one more is what [0, 1] as it is would be.
        "[0, 1] fed where [-1, 1] is meant": _half,
        "BGR fed where RGB is meant": _turned,
    }
)
"""What a network is given for a picture, by the slip of `SLIP`; "" is what it should be."""


def lpips_choices(
    pairs: Sequence[Pair],
    reading: Reading,
    session: Session,
    watch: Callable[[int, int], None] | None,
) -> tuple[dict[Setting, list[Choice]], dict[str, str]]:
    """Return LPIPS of each setting that is tried, and why a network is not.

    Args:
        pairs: that can be read.
        reading: how files become pixels.
        session: finds the weights.
        watch: called with the number of pairs done and their total.
    """
    here: dict[str, Metric] = {}
    left_out: dict[str, str] = {}
    for name in NETWORK:
        row = metric_of(f"lpips:{name}")
        if why := session.lacks(row):
            left_out[row.id] = why
        else:
            here[name] = row
    values: dict[tuple[View, str, str], list[float]] = {}
    for done, pair in enumerate(pairs, 1):
        images = read_pair(pair, reading, WHOLE)
        for name, row in here.items():
            for view, slip in _tried(name):
                found = _value(session, row, images, view, FEEDS[slip])
                values.setdefault((view, name, slip), []).append(found)
        if watch:
            watch(done, len(pairs))
    made: dict[Setting, list[Choice]] = {}
    for (view, name, slip), found in values.items():
        choice = network_choice(name, slip, float(np.mean(found)))
        made.setdefault(Setting(view), []).append(choice)
    return made, left_out


def _tried(network: str) -> Iterator[tuple[View, str]]:
    """Yield cuts and slips, one odd choice at a time; a network that is slow and odd is one."""
    yield WHOLE, ""
    if NETWORK[network] == 0:
        yield from ((view, "") for view in VIEWS)
        yield from ((WHOLE, slip) for slip in SLIP if slip)


def _value(
    session: Session,
    metric: Metric,
    images: tuple[Image, Image],
    view: View,
    feed: Callable[[Image], Image],
) -> float:
    try:
        first, clean = (feed(view.apply(image)) for image in images)
        return float(session.per_image(metric, [first], [clean])[0])
    except PictureError:
        return float("nan")
