"""Measure the maps on planted errors: `python tests/planted/measure.py results/maps`.

Five photographs of scikit-image, four draws of each planted error, in two kinds of output: the
truth with leftover noise of sigma 5, and non-local means of an input of sigma 15, which errs in its
own way all over. Nothing here was used to choose a constant of the maps but the simulated margins.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from planted_errors import FITTING, PLANTS, auroc, eight_bit, plant

from e2r_baselines.consistency import consistency
from e2r_baselines.degrade import degrade
from e2r_baselines.tasks import TASKS
from e2r_bench.maps.bands import Map, band_split
from e2r_bench.maps.colour import ciede2000
from e2r_bench.maps.compute import SCALES
from e2r_bench.maps.paint import paint
from e2r_bench.run.mini import mini
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.files import write_text
from e2r_metrics.base.pictures import EightBit, read_image, write_png

SIZE = (288, 432)
DRAWS = 4
NO_TRUTH = ("denoise15", "denoise25", "denoise50", "derain", "dehaze")
Row = dict[str, Any]


def photographs() -> dict[str, EightBit]:
    """Return centre crops of the photographs that `mini` is cut from."""
    files = {source.scene: source.clean for source in mini().sources}
    return {name: _centre(read_image(path)) for name, path in files.items()}


def with_truth_rows() -> Iterator[Row]:
    """Yield the AUROC of every map that needs the truth, for every planted error."""
    for name, draw, truth, other in _pictures():
        for base, output in _outputs(name, draw, truth).items():
            for kind in PLANTS:
                spoilt, mask = plant(kind, output, other, rng_for(draw, name, "plant"))
                maps = _truth_maps(spoilt, truth)
                for label, values in maps.items():
                    score = auroc(values, mask)
                    yield _row(base, kind, label, name, score, label == FITTING[kind])


def no_truth_rows() -> Iterator[Row]:
    """Yield the AUROC of the consistency map, which sees input and output only."""
    for name, draw, truth, other in _pictures():
        for task in NO_TRUTH:
            degraded = _degraded(task, name, draw, truth)
            output = _restored(task, truth, degraded)
            for kind in PLANTS:
                spoilt, mask = plant(kind, output, other, rng_for(draw, name, "plant"))
                score = auroc(consistency(TASKS[task], spoilt, degraded).values, mask)
                yield _row(f"{task}, no truth", kind, "consistency", name, score, False)


def quiet_rows() -> Iterator[Row]:
    """Yield the share of pixels flagged where nothing was lost or invented."""
    for name, draw, truth, _ in _pictures():
        noise = rng_for(draw, name, "leftover noise").standard_normal(truth.shape)
        outputs = {"the truth itself": truth}
        outputs |= {
            f"truth + noise of sigma {s}": eight_bit(truth + s * noise) for s in (5, 10, 15)
        }
        for base, output in outputs.items():
            scores = band_split(output, truth).scores()
            for label in ("unfaithful", "lost", "invented"):
                yield _row(base, "nothing", label, name, scores[f"{label}_share"], False)


def summarise(rows: list[Row]) -> list[Row]:
    """Return mean, minimum and the lowest photograph's mean per output, error and map."""
    keys = dict.fromkeys((row["output"], row["planted"], row["map"]) for row in rows)
    found: list[Row] = []
    for key in keys:
        mine = [row for row in rows if (row["output"], row["planted"], row["map"]) == key]
        values = [row["value"] for row in mine]
        scenes = dict.fromkeys(row["photograph"] for row in mine)
        means = [np.mean([r["value"] for r in mine if r["photograph"] == s]) for s in scenes]
        found.append(
            {
                "output": key[0],
                "planted": key[1],
                "map": key[2],
                "fitting": mine[0]["fitting"],
                "n": len(values),
                "photographs": len(scenes),
                "mean": float(np.mean(values)),
                "lowest_photograph": float(min(means)),
                "highest_photograph": float(max(means)),
                "minimum": float(min(values)),
                "maximum": float(max(values)),
            }
        )
    return found


def write_validation(out: Path) -> None:
    """Measure everything; write planted.csv, README.md and planted.png into `out`."""
    import pandas as pd

    found = summarise([*with_truth_rows(), *no_truth_rows()])
    quiet = summarise(list(quiet_rows()))
    write_text(out / "planted.csv", pd.DataFrame(found).to_csv(index=False, float_format="%.4f"))
    write_text(out / "quiet.csv", pd.DataFrame(quiet).to_csv(index=False, float_format="%.4f"))
    write_text(out / "README.md", _page(found, quiet))
    write_png(out / "planted.png", sheet())


def sheet() -> EightBit:
    """Return one picture: a row per planted error; output, then the maps."""
    name, draw, truth, other = next(_pictures())
    output = _outputs(name, draw, truth)["denoised (NLM)"]
    rows: list[EightBit] = []
    for kind in PLANTS:
        spoilt, mask = plant(kind, output, other, rng_for(draw, name, "plant"))
        bands = band_split(spoilt, truth)
        maps = {"unfaithful": bands.unfaithful, "lost": bands.lost, "invented": bands.invented}
        painted = [paint(values, SCALES[label]) for label, values in maps.items()]
        marked = _captioned(spoilt, mask, kind, painted[0].shape[0])
        rows.append(np.concatenate([marked, *painted], axis=1))
    whole = np.concatenate(rows)
    return cv2.resize(whole, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)  # pyright: ignore[reportReturnType]


def _captioned(spoilt: EightBit, mask: Map, text: str, height: int) -> EightBit:
    """Return the picture with its planted region outlined and a caption of the legend's height."""
    drawn = np.full((height, spoilt.shape[1], 3), 255, np.uint8)
    drawn[: spoilt.shape[0]] = spoilt
    rows, columns = np.nonzero(mask)
    corners = (int(columns.min()), int(rows.min())), (int(columns.max()), int(rows.max()))
    cv2.rectangle(drawn, *corners, (255, 255, 255), 2)
    cv2.rectangle(drawn, *corners, (0, 0, 0), 1)
    at = (4, spoilt.shape[0] + 20)
    cv2.putText(drawn, f"planted: {text}", at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1,
                cv2.LINE_AA)  # fmt: skip
    return drawn


def _pictures() -> Iterator[tuple[str, int, EightBit, EightBit]]:
    """Yield name, draw, photograph, and another photograph for the foreign patch."""
    photos = photographs()
    names = list(photos)
    for index, name in enumerate(names):
        for draw in range(DRAWS):
            other = names[(index + 1 + draw) % len(names)]
            other = other if other != name else names[(index + 1) % len(names)]
            yield name, draw, photos[name], photos[other]


def _outputs(name: str, draw: int, truth: EightBit) -> dict[str, EightBit]:
    noise = rng_for(draw, name, "leftover noise").standard_normal(truth.shape)
    noisy = _degraded("denoise15", name, draw, truth)
    return {
        "truth + noise of sigma 5": eight_bit(truth + 5 * noise),
        "denoised (NLM)": _restored("denoise15", truth, noisy),
    }


def _degraded(task: str, name: str, draw: int, truth: EightBit) -> EightBit:
    rows = np.linspace(1, 0.25, truth.shape[0], dtype=np.float32)[:, None]
    depth = np.broadcast_to(rows, truth.shape[:2])
    rng = rng_for(draw, name, f"degrade {task}")
    return eight_bit(255 * degrade(TASKS[task], np.asarray(truth / 255, np.float32), depth, rng))


def _restored(task: str, truth: EightBit, degraded: EightBit) -> EightBit:
    """Return an output with errors of its own: NLM, or a leftover of 15% of rain and haze."""
    sigma = TASKS[task].sigma
    if sigma is None:
        return eight_bit(0.85 * truth + 0.15 * degraded)
    strength = 0.6 * sigma
    return cv2.fastNlMeansDenoisingColored(degraded, None, strength, strength, 5, 15)  # pyright: ignore[reportReturnType]


def _truth_maps(output: EightBit, truth: EightBit) -> dict[str, Map]:
    bands = band_split(output, truth)
    return {
        "unfaithful": bands.unfaithful,
        "lost": bands.lost,
        "invented": bands.invented,
        "ciede2000": ciede2000(output, truth),
    }


def _row(base: str, kind: str, label: str, photo: str, value: float, fitting: bool) -> Row:
    return {
        "output": base,
        "planted": kind,
        "map": label,
        "photograph": photo,
        "value": value,
        "fitting": fitting,
    }


def _page(found: list[Row], quiet: list[Row]) -> str:
    n = found[0]["n"]
    intro = (
        "# Maps on planted errors\n\nMade by `python tests/planted/measure.py results/maps`. "
        f"Regions of 48x48 pixels among the most textured tenth, n = {n} for each row "
        f"({found[0]['photographs']} photographs of scikit-image, {DRAWS} draws each); AUROC by "
        "pixel, planted region against the rest. The two outputs and the numbers' meaning: "
        "`docs/maps.md`. All maps: `planted.csv`. Other kinds of errors: [kinds.md](kinds.md); "
        "masks of trust: [trust.md](trust.md); registration: [registration.md](registration.md)."
        "\n\n![planted errors](planted.png)\n"
    )
    fitting = [row for row in found if row["fitting"]]
    blind = [row for row in found if row["map"] == "consistency"]
    return (
        intro
        + "\n## The fitting map, with truth\n\n"
        + _table(fitting, ("mean", "lowest_photograph", "minimum"))
        + "\n## Without truth\n\n"
        + _table(blind, ("mean", "lowest_photograph", "minimum"))
        + "\n## Nothing planted: % of pixels flagged (6 levels and more)\n\n"
        + _table(quiet, ("mean", "highest_photograph", "maximum"))
    )


def _table(rows: list[Row], columns: tuple[str, ...]) -> str:
    heads = ("output", "planted", "map", "n", *columns)
    lines = [heads, ("---",) * len(heads)]
    lines += [tuple(_text(row[head]) for head in heads) for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _centre(image: EightBit) -> EightBit:
    top, left = ((have - want) // 2 for have, want in zip(image.shape, SIZE, strict=False))
    return np.ascontiguousarray(image[top : top + SIZE[0], left : left + SIZE[1]])


if __name__ == "__main__":
    write_validation(Path(sys.argv[1]))
