"""Measure the maps on errors anywhere: `python tests/planted/kinds_measure.py results/maps CBSD68`.

One crop of 128 pixels from a random place of each picture of the folder, each kind of `kinds.py`
planted once at a random place of it. Nothing here was used to choose a constant of the maps.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kinds import FITTING, KINDS, SIDE, Place, place_in, plant_kind, with_glyphs
from measure import _degraded, _restored, _truth_maps
from planted_errors import auroc, eight_bit

from e2r_baselines.consistency import consistency
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.files import write_text
from e2r_metrics.base.pairs import list_pictures
from e2r_metrics.base.pictures import EightBit, read_image

CROP = 128
VISIBLE = 2.0
"""RMS levels by which a planted region must differ from what was there, to count as seen."""
RESAMPLES = 2000
NOISE = ("denoise25", "denoise50")
OTHERS = ("derain", "dehaze")
BLIND = 0.6
"""Mean AUROC below which the page says that a map does not see a kind."""
Row = dict[str, Any]
_KEYS = ["output", "planted", "map"]


def crops(folder: Path) -> list[tuple[str, EightBit]]:
    """Return name and crop of every picture of a folder."""
    found: list[tuple[str, EightBit]] = []
    for name, path in list_pictures(folder).items():
        image = read_image(path)
        rng = rng_for(0, name, "planted kinds: crop")
        top, left = (int(rng.integers(side - CROP + 1)) for side in image.shape[:2])
        found.append((name, np.ascontiguousarray(image[top : top + CROP, left : left + CROP])))
    return found


def rows(folder: Path) -> Iterator[Row]:
    """Yield the AUROC of every map for every kind, in every output of every picture."""
    pictures = crops(folder)
    for index, (name, photo) in enumerate(pictures):
        other = pictures[(index + 1) % len(pictures)][1]
        made: dict[tuple[str, bytes], EightBit] = {}
        for kind in KINDS:
            place = place_in(photo.shape, rng_for(0, name, f"planted kinds: {kind}"))
            truth = with_glyphs(kind, photo, place)
            yield from _of_kind(kind, name, truth, other, place, made)


def _of_kind(
    kind: str, name: str, truth: EightBit, other: EightBit, place: Place, made: dict[Any, EightBit]
) -> Iterator[Row]:
    noise = rng_for(0, name, "leftover noise").standard_normal(truth.shape)
    outputs = {"truth + noise of sigma 5": eight_bit(truth + 5 * noise)}
    outputs["denoised (NLM)"] = _once(made, "denoise15", name, truth)[1]
    for label, output in outputs.items():
        spoilt, mask = plant_kind(kind, output, other, place)
        change = _change(spoilt, output, place)
        for which, values in _truth_maps(spoilt, truth).items():
            yield _row(label, kind, which, name, auroc(values, mask), change)
    for task in (*NOISE, *OTHERS):
        degraded, restored = _once(made, task, name, truth)
        perfect = {f"{task}, the truth": truth} if task in NOISE else {}
        for label, output in {f"{task}, restored": restored, **perfect}.items():
            spoilt, mask = plant_kind(kind, output, other, place)
            score = auroc(consistency(TASKS[task], spoilt, degraded).values, mask)
            change = _change(spoilt, output, place)
            yield _row(f"{label}, no truth", kind, "consistency", name, score, change)


def _once(
    made: dict[Any, EightBit], task: str, name: str, truth: EightBit
) -> tuple[EightBit, EightBit]:
    """Return input and output of a task; most kinds are planted in the same ones."""
    key = (task, truth.tobytes())
    if key not in made:
        degraded = _degraded(task, name, 0, truth)
        made[key] = np.stack([degraded, _restored(task, truth, degraded)])
    return made[key][0], made[key][1]


def _change(spoilt: EightBit, output: EightBit, place: Place) -> float:
    moved = spoilt[place.region()].astype(np.float64) - output[place.region()]
    return float(np.sqrt(np.mean(moved**2)))


def _row(output: str, kind: str, which: str, name: str, value: float, change: float) -> Row:
    return {
        "output": output, "planted": kind, "map": which, "picture": name, "auroc": value,
        "visible": change >= VISIBLE,
    }  # fmt: skip


def summarise(frame: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Return mean AUROC with its 95% interval over pictures, and what it was before."""
    found = [
        dict(zip(_KEYS, key, strict=True)) | _summary("/".join(key), part)
        for key, part in frame.groupby(_KEYS, sort=False)
    ]
    table = pd.DataFrame(found)
    table["fitting"] = [FITTING[p] == m for p, m in zip(table.planted, table["map"], strict=True)]
    known = before.assign(output=before.output.str.replace(", no", ", restored, no"))
    old = known[[*_KEYS, "mean"]].rename(columns={"mean": "before"})
    return table.merge(old, how="left", on=_KEYS)


def _summary(name: str, part: pd.DataFrame) -> Row:
    values = part.auroc.to_numpy()
    drawn = rng_for(0, name, "bootstrap").integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    seen = part[part.visible].auroc
    return {
        "n": len(values), "mean": values.mean(), "low": low, "high": high,
        "n_visible": len(seen), "mean_visible": seen.mean() if len(seen) else np.nan,
    }  # fmt: skip


def write_page(out: Path, folder: Path) -> None:
    """Measure everything; write kinds.csv and kinds.md into `out`."""
    frame = pd.DataFrame(list(rows(folder)))
    table = summarise(frame, pd.read_csv(out / "planted.csv"))
    write_text(out / "kinds.csv", table.to_csv(index=False, float_format="%.4f"))
    write_text(out / "kinds.md", page(table, folder.name))


def page(table: pd.DataFrame, data: str) -> str:
    """Return the page: the fitting map with truth, the map without, and what neither sees."""
    n, with_truth = int(table.n.max()), table[table.fitting]
    blind = table[table["map"] == "consistency"]
    unseen = pd.concat([with_truth, blind])
    unseen = unseen[unseen["mean"] < BLIND]
    return (
        "# Errors of other kinds, anywhere\n\nMade by `python tests/planted/kinds_measure.py "
        f"results/maps {data}`: one crop of {CROP} pixels from a random place of each of {n} "
        f"pictures of {data}, each error planted once, in {SIDE} x {SIDE} pixels at a random "
        "place, textured or not. AUROC by pixel, planted region against the rest, mean over "
        "pictures with a 95% bootstrap interval over them. `visible`: the same over the plants "
        f"that changed their region by {VISIBLE:g} RMS levels or more (a hue turned in grey "
        "changes nothing). `before`: the four older kinds in 48 x 48 pixels of the most textured "
        "tenth of five photographs (`planted.csv`). An error is looked for beside the output's "
        "own: a low number in a restored output can mean that its restorer erred more elsewhere. "
        "All maps: `kinds.csv`.\n\n## The fitting map, with truth\n\n"
        f"{_markdown(with_truth)}\n## Without truth\n\n{_markdown(blind)}\n"
        f"## Not seen: mean below {BLIND:g}\n\n{_markdown(unseen)}"
    )  # fmt: skip


def _markdown(table: pd.DataFrame) -> str:
    lines = ["| output | planted | map | AUROC | n | visible | n | before |", "|---" * 8 + "|"]
    for row in table.to_dict("records"):
        before = "" if pd.isna(row["before"]) else f"{row['before']:.3f}"
        seen = "" if pd.isna(row["mean_visible"]) else f"{row['mean_visible']:.3f}"
        lines.append(
            f"| {row['output']} | {row['planted']} | {row['map']} | {row['mean']:.3f} "
            f"[{row['low']:.3f}, {row['high']:.3f}] | {row['n']} | {seen} | {row['n_visible']} | "
            f"{before} |"
        )
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    write_page(Path(sys.argv[1]), Path(sys.argv[2]))
