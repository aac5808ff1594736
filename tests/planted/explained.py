"""Twenty protocols planted on Rain100L pairs, and whether `explain` finds each from its digits.

    python tests/planted/explained.py RAIN100L/test results/explain

The numbers are scored by `score_folders`, which shares nothing with the search but the metrics,
and rounded: to four digits each; as tables print them, PSNR to 2 and SSIM to 4; and PSNR alone.
Beside the twenty, protocols are drawn at random from all that are tried: nobody chose those.
"""

import json
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from e2r_bench.explained import by_chance, words
from e2r_metrics import Resolver, Session, own_declarations
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.files import write_bytes
from e2r_metrics.catalog import metric_of
from e2r_metrics.explain.folders import measure_folders
from e2r_metrics.explain.search import Answer, Findings, Protocol, Said, Table, search
from e2r_metrics.parts import Parts, Pooling
from e2r_metrics.score import score_folders
from e2r_metrics.view import View


class Planted(NamedTuple):
    """One protocol: ids of PSNR and SSIM, what is cut, and how pictures become one PSNR."""

    psnr: str
    ssim: str
    shave: int = 0
    crop: int = 1
    pooling: Pooling = "images"


PLANTED = (
    Planted("psnr:y", "ssim:y"),
    Planted("psnr:rgb", "ssim:gauss"),
    Planted("psnr:rgb", "ssim:uniform7"),
    Planted("psnr:y_rounded", "ssim:y_rounded"),
    Planted("psnr:y_full", "ssim:y_full"),
    Planted("psnr:y_full_rounded", "ssim:y_full_rounded"),
    Planted("psnr:rgb", "ssim:gauss", shave=4),
    Planted("psnr:y", "ssim:y", shave=4),
    Planted("psnr:y", "ssim:y", shave=2),
    Planted("psnr:y_rounded", "ssim:y_rounded", shave=3),
    Planted("psnr:rgb", "ssim:uniform7", crop=16),
    Planted("psnr:y", "ssim:y", shave=4, crop=16),
    Planted("psnr:rgb", "ssim:gauss", pooling="error"),
    Planted("psnr:y", "ssim:y", pooling="error"),
    Planted("psnr:y", "ssim:padded-y"),
    Planted("psnr:rgb", "ssim:padded"),
    Planted("psnr:y709_full", "ssim:uniform7-y709_full"),
    Planted("psnr:y", "ssim:gauss_sample-y", shave=8),
    Planted("psnr:y709", "ssim:y709", shave=1, pooling="error"),
    Planted("psnr:y", "ssim:gauss"),
)


def scored(planted: Planted, degraded: Path, clean: Path, session: Session) -> tuple[float, float]:
    """Return PSNR and SSIM of two folders under one protocol."""
    parts = Parts(view=View(planted.shave, planted.crop), pooling=planted.pooling)
    metrics = [metric_of(planted.psnr), metric_of(planted.ssim)]
    psnr, ssim = score_folders(degraded, clean, metrics, session, parts).summaries
    return psnr.value, ssim.value


def place(found: Findings, planted: Planted) -> int | None:
    """Return the place of the planted protocol among the hits, from 1 on; None where it is none."""
    for number, answer in enumerate(found.hits, 1):
        if any(_is(planted, protocol) for protocol in (answer.protocol, *answer.same)):
            return number
    return None


def _is(planted: Planted, protocol: Protocol) -> bool:
    view = protocol.setting.view
    choices = {c.metric.split(":")[0]: c for c in protocol.choices}
    return (
        (view.shave, view.crop) == (planted.shave, planted.crop)
        and protocol.setting.order == "name"
        and choices["psnr"].metric == planted.psnr
        and choices["psnr"].pooling == planted.pooling
        and ("ssim" not in choices or choices["ssim"].metric == planted.ssim)
    )


def said(psnr: float, ssim: float | None, digits: int) -> list[Said]:
    """Return the numbers as printed: PSNR with so many digits, SSIM with four."""
    text = f"{psnr:.{digits}f}"
    told = [Said("psnr", float(text), 0.5 * 10.0**-digits, text)]
    if ssim is not None:
        told.append(Said("ssim", float(f"{ssim:.4f}"), 0.00005, f"{ssim:.4f}"))
    return told


DRAWN = 300
"""Protocols that are drawn."""


def drawn(table: Table) -> list[Protocol]:
    """Return protocols on one channel, of at most three odd choices, all of them alike likely."""
    every = [
        Protocol(setting, both)
        for setting, choices in table.items()
        for both in product(choices["psnr"], choices["ssim"])
        if both[0].channel == both[1].channel
    ]
    few = [p for p in every if _odd_choices(p) <= 3]
    generator = rng_for(0, "Rain100L", "protocols to explain")
    return [few[at] for at in generator.choice(len(few), DRAWN, replace=False)]


def _odd_choices(protocol: Protocol) -> int:
    view, choices = protocol.setting.view, protocol.choices
    channel = choices[0].channel not in ("rgb", "y")
    return sum((channel, view.shave > 0, view.crop > 1, *(choice.odd > 0 for choice in choices)))


def drawn_first(table: Table, digits: int) -> int:
    """Return how many of the drawn are first, from so many digits of PSNR and four of SSIM."""
    count = 0
    for protocol in drawn(table):
        psnr, ssim = (choice.value for choice in protocol.choices)
        first = search(table, said(psnr, ssim, digits)).hits[0]
        count += protocol in (first.protocol, *first.same)
    return count


def main(arguments: Sequence[str]) -> int:
    """Write the summary; return 1 where fewer than 19 of 20 are first."""
    data, out = map(Path, arguments)
    degraded, clean = data / "input", data / "target"
    session = Session(Resolver(own_declarations(), offline=True))
    start, cpu = time.perf_counter(), time.process_time()
    measured = measure_folders(degraded, clean, ["psnr", "ssim"], Parts())
    wall, spent = time.perf_counter() - start, time.process_time() - cpu
    rows: list[_Row] = []
    for planted in PLANTED:
        psnr, ssim = scored(planted, degraded, clean, session)
        four, both, alone = (
            search(measured.table, told)
            for told in (said(psnr, ssim, 4), said(psnr, ssim, 2), said(psnr, None, 2))
        )
        rows.append(_Row(planted, psnr, ssim, four, both, alone))
        print(planted, *(place(found, planted) for found in (four, both, alone)), flush=True)
    first, printed = (
        sum(place(found, row.planted) == 1 for row, found in found_rows)
        for found_rows in ([(r, r.four) for r in rows], [(r, r.both) for r in rows])
    )
    head = _HEAD.format(
        n=measured.n, first=first, printed=printed, count=len(PLANTED), tried=rows[0].both.tried,
        distinct=rows[0].both.distinct, cpu=spent, wall=wall, drawn=DRAWN,
        four=drawn_first(measured.table, 4), two=drawn_first(measured.table, 2),
    )  # fmt: skip
    write_bytes(out / "planted.md", (head + "".join(map(_row, rows))).encode())
    records = json.dumps([_record(row) for row in rows], indent=1) + "\n"
    write_bytes(out / "planted.json", records.encode())
    return 0 if first >= 19 else 1


class _Row(NamedTuple):
    """One planted protocol: its numbers, and what was found from three ways to print them."""

    planted: Planted
    psnr: float
    ssim: float
    four: Findings
    both: Findings
    alone: Findings


_HEAD = """\
# Planted protocols

`python tests/planted/explained.py RAIN100L/test results/explain`, on {n} pairs (rainy against
clean). Each protocol's numbers come from `score_folders` and are printed; `explain` sees only those
digits. {tried} protocols on one channel were tried, {distinct} with numbers of their own; protocols
with equal numbers on these files count as one.

**First, from four digits of PSNR and of SSIM: {first} of {count}.**
**First, from two digits of PSNR and four of SSIM, as tables print: {printed} of {count}**; what
comes before the others gives the same digits and is as usual, or more: no order tells them apart.

Of {drawn} protocols drawn at random (one channel, at most three odd choices, all alike likely;
their numbers are the search's own), {four} are first from four digits and {two} as tables print.

"By chance" is how many protocols as usual as the first one found would give the digits if they had
nothing to do with the pictures. "PSNR alone" is what its two digits say without SSIM.

All numbers of all protocols: {cpu:.1f} s of CPU time, {wall:.1f} s by the clock, on 2 cores shared
with other work.

| planted | PSNR | SSIM | four digits: place | as printed: place | by chance | PSNR alone |
|---|---|---|---|---|---|---|
"""


def _row(row: _Row) -> str:
    places = [f"{_place(found, row.planted)}" for found in (row.four, row.both, row.alone)]
    chances = [by_chance(_first(found), found) for found in (row.both, row.alone)]
    return (
        f"| {_words(row.planted)} | {row.psnr:.4f} | {row.ssim:.4f} | {places[0]} | {places[1]} | "
        f"{chances[0]} | {places[2]}; {chances[1]} |\n"
    )


def _place(found: Findings, planted: Planted) -> str:
    return f"{place(found, planted) or 'not found'} of {len(found.hits)}"


def _first(found: Findings) -> Answer:
    return (found.hits or found.nearest)[0]


def _words(planted: Planted) -> str:
    parts = [
        f"{planted.psnr} {planted.ssim}",
        f"crop x{planted.crop}" if planted.crop > 1 else "",
        f"shave {planted.shave}" if planted.shave else "",
        "dB of the mean error" if planted.pooling == "error" else "",
    ]
    return ", ".join(filter(None, parts))


def _record(row: _Row) -> dict[str, object]:
    found = {"four_digits": row.four, "as_printed": row.both, "psnr_alone": row.alone}
    told: dict[str, object] = {
        "planted": row.planted._asdict(),
        "psnr": row.psnr,
        "ssim": row.ssim,
    }
    return told | {
        name: {
            "place": place(one, row.planted),
            "hits": [words(answer.protocol) for answer in one.hits],
            "by_chance": [answer.by_chance for answer in one.hits],
            "two_channels": one.mixed,
        }
        for name, one in found.items()
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
