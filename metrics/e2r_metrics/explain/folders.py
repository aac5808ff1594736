"""Two folders to the table of all protocols: every pair is decoded once for each order of pairs."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from e2r_metrics.base.errors import E2RError, PictureError
from e2r_metrics.base.orders import ORDERS, Order
from e2r_metrics.base.pairs import Pair, pair_folders
from e2r_metrics.base.pictures import Reading, picture_size
from e2r_metrics.explain.candidates import (
    Choice,
    Setting,
    kinds_of,
    psnr_choice,
    ssim_choice,
    views,
)
from e2r_metrics.explain.measured import PairNumbers, measure_pair
from e2r_metrics.explain.networks import lpips_choices
from e2r_metrics.pair_pixels import read_pair
from e2r_metrics.parts import Parts
from e2r_metrics.psnr import pooled_decibel
from e2r_metrics.score import workers
from e2r_metrics.session import Session
from e2r_metrics.view import DEPTHS, WHOLE, Depth, View

Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Measured:
    """All numbers of two folders.

    Attributes:
        table: of each setting, the choices of each metric.
        n: number of pairs that were measured.
        failed: why a pair, by name, was not.
        left_out: why an order of pairs ("--order sorted") or a network ("lpips:vgg") was not tried.
    """

    table: dict[Setting, dict[str, list[Choice]]]
    n: int
    failed: dict[str, str]
    left_out: dict[str, str]


def measure_folders(
    restored: Path,
    clean: Path,
    metrics: Sequence[str],
    parts: Parts,
    watch: Watch | None = None,
    session: Session | None = None,
) -> Measured:
    """Return what every protocol gives for two folders.

    Args:
        restored: folder of images.
        clean: folder with their partners.
        metrics: of "psnr", "ssim" and "lpips".
        parts: how files are read and paired; its view and pooling are not looked at.
        watch: called with the number of pairs done and their total.
        session: finds the weights of "lpips", which is not tried without.

    Raises:
        UsageError: files without partner, or folders that are none.
    """
    made = Measured({}, 0, {}, {})
    pairs = pair_folders(restored, clean, parts.matching)
    made = replace(made, n=_add(made, parts.matching.order, pairs, metrics, parts.reading, watch))
    for order, other in _orders(restored, clean, parts, pairs, made.left_out):
        _add(made, order, other, metrics, parts.reading, None)
    if "lpips" in metrics and session is not None:
        read = [pair for pair in pairs if pair.name not in made.failed]
        found, absent = lpips_choices(read, parts.reading, session, watch)
        made.left_out.update(absent)
        for setting, choices in found.items():
            made.table[replace(setting, order=parts.matching.order)]["lpips"] = choices
    return made


def _orders(
    restored: Path, clean: Path, parts: Parts, usual: Sequence[Pair], left_out: dict[str, str]
) -> Iterator[tuple[Order, list[Pair]]]:
    """Yield the other orders that make other pairs, all of equal sizes; say why others do not."""
    seen = [_partners(usual)]
    for order in ORDERS:
        if order in (parts.matching.order, "name"):
            continue
        try:
            matching = replace(parts.matching, pattern=None, order=order)
            pairs = pair_folders(restored, clean, matching)
        except E2RError as error:
            left_out[f"--order {order}"] = str(error)
            continue
        if _partners(pairs) in seen:
            continue
        seen.append(_partners(pairs))
        if unlike := _unlike(pairs):
            left_out[f"--order {order}"] = f"it pairs pictures of two sizes, such as {unlike}"
        else:
            yield order, pairs


def _partners(pairs: Sequence[Pair]) -> dict[Path, Path]:
    return {pair.first: pair.clean for pair in pairs}


def _unlike(pairs: Sequence[Pair]) -> str:
    for pair in pairs:
        try:
            if picture_size(pair.first) != picture_size(pair.clean):
                return f"{pair.first.name} and {pair.clean.name}"
        except PictureError:
            continue
    return ""


def _add(
    made: Measured,
    order: Order,
    pairs: Sequence[Pair],
    metrics: Sequence[str],
    reading: Reading,
    watch: Watch | None,
) -> int:
    """Put an order's choices into the table; return how many pairs they come from."""
    seen = views(["stored"])

    def work(pair: Pair) -> dict[Depth, PairNumbers] | PictureError:
        try:
            return _numbers(pair, reading, seen, metrics)
        except PictureError as error:
            return error

    numbers: list[dict[Depth, PairNumbers]] = []
    with ThreadPoolExecutor(max_workers=workers()) as pool:
        for done, (pair, found) in enumerate(zip(pairs, pool.map(work, pairs), strict=True), 1):
            if isinstance(found, PictureError):
                made.failed[pair.name] = str(found)
            else:
                numbers.append(found)
            if watch:
                watch(done, len(pairs))
    for depth in DEPTHS:
        if any(depth in one for one in numbers):
            known = [one.get(depth, one["stored"]) for one in numbers]
            _choices(made, order, depth, seen, known)
    return len(numbers)


def _numbers(
    pair: Pair, reading: Reading, seen: Sequence[View], metrics: Sequence[str]
) -> dict[Depth, PairNumbers]:
    """Return a pair's numbers at each depth that is one of its own."""
    first, clean = read_pair(pair, reading, WHOLE)
    found: dict[Depth, PairNumbers] = {"stored": measure_pair(first, clean, seen, metrics)}
    if first.dtype != np.uint8:
        for depth in ("round", "truncate"):
            one, other = (View(depth=depth).apply(image) for image in (first, clean))
            found[depth] = measure_pair(one, other, seen, metrics)
    return found


def _choices(
    made: Measured,
    order: Order,
    depth: Depth,
    seen: Sequence[View],
    numbers: Sequence[PairNumbers],
) -> None:
    for at, view in enumerate(seen):
        setting = Setting(replace(view, depth=depth), order)
        choices: dict[str, list[Choice]] = {"psnr": [], "ssim": [], "lpips": []}
        for channel in numbers[0].psnr:
            values = [one.psnr[channel][at] for one in numbers]
            choices["psnr"].append(psnr_choice(channel, "images", float(np.mean(values))))
            choices["psnr"].append(psnr_choice(channel, "error", pooled_decibel(values)))
        for kind, channel in numbers[0].ssim:
            if kind in kinds_of(view):
                mean = float(np.mean([one.ssim[kind, channel][at] for one in numbers]))
                choices["ssim"].append(ssim_choice(kind, channel, mean))
        made.table[setting] = choices
