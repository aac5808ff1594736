"""Measure what registration does: `python tests/planted/registration.py results/maps`.

The photographs of `mini`, moved by cubic splines and left noise of sigma 5: what is called invented
before and after, how well the motion is told, and whether planted errors are found as well as in a
picture that is in place. Nothing here was used to choose a constant.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import photographs
from planted_errors import FITTING, PLANTS, auroc, eight_bit, plant
from scipy.ndimage import affine_transform

from e2r_bench.maps.bands import band_split
from e2r_bench.maps.registration import Registration, inside, moved_truth, register
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.files import write_text
from e2r_metrics.base.pictures import EightBit
from e2r_metrics.psnr import psnr
from e2r_metrics.ssim import ssim

SIGMA = 5.0
Row = dict[str, Any]


@dataclass(frozen=True)
class Motion:
    """A motion of the whole picture: pixels to the right and down, and % of zoom."""

    name: str
    right: float = 0.0
    down: float = 0.0
    zoom: float = 0.0

    def apply(self, photo: EightBit) -> EightBit:
        """Return the moved photograph, by cubic splines."""
        middle = np.array([(n - 1) / 2 for n in photo.shape[:2]])
        turn = np.eye(2) / (1 + self.zoom / 100)
        offset = middle - turn @ middle - np.array([self.down, self.right])
        planes = [
            affine_transform(photo[..., k].astype(float), turn, offset, order=3, mode="mirror")
            for k in range(3)
        ]
        return eight_bit(np.stack(planes, 2))


MOTIONS = (
    Motion("in place"), Motion("shift .5", 0.5), Motion("shift 1", 1.0), Motion("shift 2", 2.0),
    Motion("shift 1.5, -.7", 1.5, -0.7), Motion("zoom 1%", zoom=1.0),
)  # fmt: skip

METRICS: dict[str, Callable[[EightBit, EightBit], float]] = {"psnr": psnr, "ssim": ssim}
"""LPIPS joins them where its weights are."""
PLANTED_IN = ("in place", "shift .5", "shift 2")


def rows() -> Iterator[Row]:
    """Yield shares, motion and AUROC of each photograph under each motion."""
    photos = photographs()
    names = list(photos)
    for place, (name, truth) in enumerate(photos.items()):
        other = photos[names[(place + 1) % len(names)]]
        for motion in MOTIONS:
            noise = SIGMA * rng_for(0, name, "leftover noise").standard_normal(truth.shape)
            output = eight_bit(motion.apply(truth) + noise)
            yield _shares(name, motion, output, truth)
            if motion.name in PLANTED_IN:
                yield from _planted(name, motion, output, truth, other)


def _shares(name: str, motion: Motion, output: EightBit, truth: EightBit) -> Row:
    found = register(output, truth)
    pairs = {"before": (output, truth), "after": _aligned(output, truth, found)}
    shares = {when: band_split(*pair).scores()["invented_share"] for when, pair in pairs.items()}
    metrics = {f"{n} {w}": m(*pair) for n, m in METRICS.items() for w, pair in pairs.items()}
    told = max(abs(found.shift[0] - motion.right), abs(found.shift[1] - motion.down))
    off = {"shift_error": told, "zoom_error": abs(found.zoom - motion.zoom)}
    return {"photograph": name, "motion": motion.name, **shares, **metrics, **off}


def _planted(
    name: str, motion: Motion, output: EightBit, truth: EightBit, other: EightBit
) -> Iterator[Row]:
    for kind in PLANTS:
        spoilt, mask = plant(kind, output, other, rng_for(0, name, "plant"))
        found = register(spoilt, truth)
        window = inside(truth.shape, found)
        cut = mask[window]
        for when, pair in (
            ("before", (spoilt[window], truth[window])),
            ("after", _aligned(spoilt, truth, found)),
        ):
            score = auroc(getattr(band_split(*pair), FITTING[kind]), cut)
            yield {"photograph": name, "motion": motion.name, "planted": kind, when: score}


def _aligned(output: EightBit, truth: EightBit, found: Registration) -> tuple[EightBit, EightBit]:
    window = inside(truth.shape, found)
    return output[window], moved_truth(truth, found)[window]


def with_lpips() -> None:
    """Add LPIPS to the metrics, or stop: a table without it would look as if it were complete."""
    from e2r_bench.api.maps import spatial_lpips
    from e2r_bench.api.session import open_session

    found = spatial_lpips(open_session(offline=True))
    if isinstance(found, str):
        raise SystemExit(found)
    METRICS["lpips"] = lambda output, truth: float(found(output, truth).mean())


def write_page(out: Path) -> None:
    """Measure everything; write registration.csv and registration.md into `out`."""
    import pandas as pd

    with_lpips()
    frame = pd.DataFrame(list(rows()))
    shares = frame[frame.planted.isna()].groupby("motion", sort=False)
    table = shares[["before", "after"]].agg(["mean", "max"])
    told = shares[["shift_error", "zoom_error"]].max()
    wide = pd.concat([table.set_axis([" ".join(c) for c in table.columns], axis=1), told], axis=1)
    told_by = shares[[f"{name} {when}" for name in METRICS for when in ("before", "after")]].mean()
    planted = frame[frame.planted.notna()]
    auc = planted.groupby(["planted", "motion"], sort=False)[["before", "after"]].mean()
    parts = {"": wide, "-metrics": told_by, "-planted": auc}
    for name, part in ((f"registration{name}", part) for name, part in parts.items()):
        write_text(out / f"{name}.csv", part.reset_index().to_csv(index=False, float_format="%.4f"))
    n = frame.photograph.nunique()
    write_text(
        out / "registration.md",
        "# A shift is called a shift\n\nMade by `python tests/planted/registration.py "
        f"results/maps`: {n} photographs of `mini`, one draw each, moved whole by cubic splines, "
        f"with noise of sigma {SIGMA:g} left. `before` is what the maps said before there was a "
        "registration, and still say pixel by pixel; `after` has the truth moved onto the output."
        "\n\n## Invented share, % of pixels; largest error of the motion, pixels and %\n\n"
        f"{_markdown(wide.reset_index())}\n"
        "## Metrics before and after, mean over photographs; noise of sigma 5 is in both\n\n"
        "PSNR in dB, RGB; SSIM, Gaussian window; LPIPS, alex, mean of its map; after: where the "
        "moved truth reaches.\n\n"
        f"{_markdown(told_by.reset_index())}\n"
        "## AUROC of the fitting map on planted errors, mean over photographs\n\n"
        f"{_markdown(auc.reset_index())}",
    )  # fmt: skip


def _markdown(frame: Any) -> str:
    heads = [str(name) for name in frame.columns]
    cells = [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in row] for row in frame.values]
    lines = [heads, ["---"] * len(heads), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    write_page(Path(sys.argv[1]))
