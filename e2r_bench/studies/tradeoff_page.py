"""What a study of perception against fidelity leaves behind: sentences, tables, and the plane."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_bench.maps.bands import FLAG
from e2r_bench.report.labels import label_build
from e2r_bench.statistics.results import Estimate
from e2r_bench.statistics.verdict import Verdict
from e2r_bench.store.store import Store
from e2r_bench.studies.tradeoff import PERMUTATIONS, SHARES, Contest, Measured, higher_is_better
from e2r_bench.studies.tradeoff_file import Tradeoff
from e2r_bench.studies.writing import Record, markdown_table, new_figure, write_study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OUTSIDE = " *"


def write_page(
    study: Tradeoff, measured: Measured, judged: Sequence[Contest], folder: Path
) -> Sequence[Record]:
    """Write README.md, results.csv (a row a judged part), numbers.csv and the plane.

    Returns:
        The numbers: a row a method and task.

    Raises:
        UsageError: the folder cannot be written to.
    """
    import pandas as pd

    from e2r_metrics.base.files import write_text

    rows = list(_numbers(study, measured))
    small_print = _small_print(study, measured, 3 * len(judged))
    text = "\n\n".join((_sentences(judged), *_tables(rows), small_print))
    figures = {"plane": _plane(study, measured, rows)}
    write_study(folder, study.content.title, text, list(_records(judged)), figures)
    write_text(folder / "numbers.csv", pd.DataFrame(rows).to_csv(index=False))
    return rows


def _sentences(judged: Sequence[Contest]) -> str:
    return "\n".join(f"- **{one.task}**: {one.words}." for one in judged)


def _records(judged: Sequence[Contest]) -> Iterator[dict[str, Any]]:
    for one in judged:
        for found in (one.perception, one.fidelity, one.invention):
            yield {
                "task": one.task, "first": one.pair.first, "second": one.pair.second,
                "metric": found.metric, "difference": found.effect, "low": found.low,
                "high": found.high, "verdict": found.label, "p_holm": found.holm,
                "margin": found.margin, "n": found.n, "scenes": found.scenes,
                "note": "; ".join(found.notes),
            }  # fmt: skip


def _numbers(study: Tradeoff, measured: Measured) -> Iterator[dict[str, Any]]:
    """Yield a row a method and task: means with intervals, seconds, and what it ran with."""
    for run, store in measured.stores.items():
        seconds = _seconds(store)
        for task in store.info.tasks:
            metrics = study.experiments[run].metrics
            for method, info in store.info.methods.items():
                row: dict[str, Any] = {
                    "task": task, "method": method, "runs with": label_build(method, info),
                    "outside": task in info.outside,
                }  # fmt: skip
                for name in (*metrics, *SHARES):
                    row |= _named(name, measured.estimate(run, method, task, name))
                yield row | {"seconds": seconds.get((method, task))}


def _named(name: str, found: tuple[float, Estimate | None, int] | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    mean, interval, n = found
    ends = (None, None) if interval is None else (interval.low, interval.high)
    return {name: mean, f"{name}_low": ends[0], f"{name}_high": ends[1], "n": n}


def _seconds(store: Store) -> dict[tuple[str, str], float]:
    """Return the median wall time of a picture, (method, task) -> seconds."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in store.timings():
        found.setdefault((str(row["method"]), str(row["task"])), []).append(float(row["seconds"]))
    return {key: float(np.median(values)) for key, values in found.items()}


def _tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for task in dict.fromkeys(row["task"] for row in rows):
        here = [row for row in rows if row["task"] == task and row["method"] != "clean"]
        yield f"### {task} (n = {here[0].get('n', 0)})\n\n{markdown_table(list(map(_shown, here)))}"


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    names = [key.removesuffix("_low") for key in row if key.endswith("_low")]
    told = {"method": f"{row['method']}{_OUTSIDE if row['outside'] else ''}"}
    told |= {"runs with": row["runs with"] or row["method"]}
    told |= {name.replace("_share", ", %"): _with_half(row, name) for name in names}
    return told | {"seconds": row["seconds"]}


def _with_half(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "-"
    digits = 3 if name in ("ssim", "lpips", "dists", "ms_ssim") else 2
    spread = "" if low is None else f" ± {(high - low) / 2:.{digits}f}"
    return f"{value:.{digits}f}{spread}"


def _small_print(study: Tradeoff, measured: Measured, parts: int) -> str:
    stores = measured.stores
    first = next(iter(stores.values())).info
    left = [name for name in study.experiments if name not in stores]
    methods = [info for store in stores.values() for info in store.info.methods.values()]
    small = sorted({info.build for info in methods if info.miniature})
    lines = [
        "± is half of a 95% interval, scenes as the units. invented, lost, unfaithful: % of pixels "
        f"from {FLAG:g} levels on (docs/maps.md). seconds: median wall time of a picture on "
        f"{first.device}, of a machine with other work. * the method is not made for this task.",
        "Differences are first minus second, on the same pictures; intervals and p are adjusted "
        f"over all {parts} parts; {PERMUTATIONS} permutations; margins: {_margins(study)}.",
        f"Protocol {first.protocol}. Pictures: {_pictures(stores)}. Study file sha256 "
        f"{study.sha256[:12]}, commit {first.git or 'unknown'}.",
    ]
    if small:
        lines.append(f"Miniatures, never the full models: {', '.join(small)}.")
    if left:
        lines.append(f"**Registered and not run: {', '.join(left)}**; nothing is said of them.")
    return "\n\n".join(lines)


def _margins(study: Tradeoff) -> str:
    from e2r_bench.statistics.margins import margin_of

    told = study.content
    rows = (margin_of(n, SHARES) for n in (told.perception, told.fidelity, told.invention))
    return ", ".join(f"{row.metric} {row.value:g} {row.unit}".strip() for row in rows)


def _pictures(stores: Mapping[str, Store]) -> str:
    tasks = {t: i for store in stores.values() for t, i in store.info.tasks.items()}
    return "; ".join(f"{t}: {len(i.images)} of {i.data}, {i.degradation}" for t, i in tasks.items())


def _plane(study: Tradeoff, measured: Measured, rows: Sequence[Mapping[str, Any]]) -> "Figure":
    tasks = {task: store for store in measured.stores.values() for task in store.info.tasks}
    columns = min(3, len(tasks))
    lines = -(-len(tasks) // columns)
    figure = new_figure(4.2 * columns, 3.6 * lines)
    for place, (task, store) in enumerate(tasks.items(), 1):
        axes = figure.add_subplot(lines, columns, place)
        _panel(axes, study, store, [row for row in rows if row["task"] == task])
    return figure


def _panel(axes: "Axes", study: Tradeoff, store: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    task = rows[0]["task"]
    told = study.content
    across, up = told.fidelity, told.perception
    placed = [row for row in rows if _finite(row[across]) and _finite(row[up])]
    for row in placed:
        spread = [_half(row, name) for name in (across, up)]
        size = 12 + 12 * (row[told.invention] or 0)
        colour = "0.6" if row["method"] == "degraded" else "C3" if row["outside"] else "C0"
        axes.errorbar(row[across], row[up], spread[1], spread[0], ecolor=colour, fmt="none", lw=0.8)
        axes.scatter(row[across], row[up], s=size, color=colour, alpha=0.45)
        name = axes.annotate(
            row["method"], (row[across], row[up]), xytext=(4, 4), textcoords="offset points",
            fontsize=7,
        )  # fmt: skip
        # A path as a name must not squeeze the drawing.
        name.set_in_layout(False)
    axes.set(title=f"{task} (n = {rows[0].get('n', 0)})", xlabel=across, ylabel=up)
    axes.margins(0.15)
    if not placed:
        return
    # Better is to the right and up, whatever the metrics' directions.
    for name, invert in ((across, axes.invert_xaxis), (up, axes.invert_yaxis)):
        if not higher_is_better(store, name, task):
            invert()


def _half(row: Mapping[str, Any], name: str) -> float:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return 0.0 if low is None else (high - low) / 2


def _finite(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def line_of(found: Verdict) -> str:
    """Return a part in a line, for the terminal."""
    if found.effect is None:
        return f"{found.name}: {found.label}; {'; '.join(found.notes)}"
    ends = "" if found.low is None else f" ({found.low:+.4g} to {found.high:+.4g})"
    p = "" if found.holm is None else f", p {found.holm:.3g} over all parts"
    return f"{found.name}: {found.label}, {found.effect:+.4g}{ends}{p}, n {found.n}"
