"""What a study of perception against fidelity leaves behind: sentences, tables, and the plane."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_bench.maps.bands import FLAG
from e2r_bench.maps.selection import shown_draw
from e2r_bench.report.drawing import new_figure
from e2r_bench.report.labels import label_build
from e2r_bench.report.unmeasured import unplanned
from e2r_bench.run.config import Experiment
from e2r_bench.run.plan import CONTROLS
from e2r_bench.run.tasks import task_names
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.margins import known_margins
from e2r_bench.statistics.verdict import Verdict
from e2r_bench.store.costs import read_costs, seconds_of
from e2r_bench.store.store import Store
from e2r_bench.studies.measure import measured_metrics, metric_of, summary_lines
from e2r_bench.studies.tradeoff import PERMUTATIONS, Contest
from e2r_bench.studies.tradeoff_file import Tradeoff
from e2r_bench.studies.writing import markdown_table, write_study
from e2r_metrics.base.files import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OUTSIDE = " *"
PLOT = "plane"


def write_page(
    study: Tradeoff, stores: Mapping[str, Store], judged: Sequence[Contest], folder: Path
) -> None:
    """Write README.md, results.csv (a row a judged part), numbers.csv and the plane.

    Args:
        study: what was asked.
        stores: run name -> run, of all that it holds; what was left out is named.
        judged: its pairs.
        folder: where to.

    Raises:
        UsageError: the folder cannot be written to.
    """
    import pandas as pd

    rows = [row for run, store in stores.items() for row in _numbers(study.experiments[run], store)]
    small_print = _small_print(study, stores, 3 * len(judged))
    text = "\n\n".join((_sentences(judged), *_tables(rows), small_print))
    figures = {PLOT: _plane(study, stores, rows)}
    write_study(folder, study.content.title, text, list(records(judged)), figures)
    write_text(folder / "numbers.csv", pd.DataFrame(rows).to_csv(index=False))


def _sentences(judged: Sequence[Contest]) -> str:
    return "\n".join(f"- **{one.task}**: {one.words}." for one in judged)


def records(judged: Sequence[Contest]) -> Iterator[dict[str, Any]]:
    """Yield a row per judged part."""
    for one in judged:
        for found in (one.perception, one.fidelity, one.invention):
            yield {
                "task": one.task, "first": one.pair.first, "second": one.pair.second,
                "metric": found.metric, "difference": found.effect, "low": found.low,
                "high": found.high, "verdict": found.label, "p_holm": found.holm,
                "margin": found.margin, "n": found.n, "scenes": found.scenes,
                "note": "; ".join(found.notes),
            }  # fmt: skip


def _numbers(experiment: Experiment, store: Store) -> Iterator[dict[str, Any]]:
    """Yield a row a method and task: means with intervals, seconds, and what it ran with."""
    lines, seconds, costs = summary_lines(store), seconds_of(store), read_costs(store.folder)
    for task in task_names(experiment.tasks):
        metrics = [(key, info.name) for key, info in measured_metrics(store, task)]
        for method in (one for one in _names(experiment) if task in store.tasks(one)):
            info = store.info.methods[method]
            row: dict[str, Any] = {
                "task": task, "method": method, "runs with": label_build(method, info),
                "outside": task in info.outside,
            }  # fmt: skip
            for key, name in metrics:
                row |= _named(name, lines[method, task, shown_draw(store, method), key])
            cost = costs.get(method)
            row["parameters"] = cost.parameters if cost is not None else None
            yield row | {"seconds": seconds.get((method, task))}


def _names(experiment: Experiment) -> list[str]:
    """Return the instances that an experiment asks for; a folder may hold others beside them."""
    return list(dict.fromkeys(e.partition("=")[0] for e in (*CONTROLS, *experiment.methods)))


def _named(name: str, line: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: line["value"], f"{name}_low": line["low"], f"{name}_high": line["high"]}
    return {key: _number(value) for key, value in found.items()} | {"n": line["n"]}


def _number(value: Any) -> float | None:
    return None if value is None or np.isnan(float(value)) else float(value)


def _tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for task in dict.fromkeys(row["task"] for row in rows):
        here = _shown_once([r for r in rows if r["task"] == task and r["method"] != "clean"])
        yield f"### {task} (n = {here[0].get('n', 0)})\n\n{markdown_table(list(map(_shown, here)))}"


def _shown_once(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out controls that a run before has shown: they are the same pictures."""
    kept = dict[Any, Mapping[str, Any]]()
    for index, row in enumerate(rows):
        kept.setdefault(row["method"] if row["method"] in CONTROLS else index, row)
    return list(kept.values())


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    names = [key.removesuffix("_low") for key in row if key.endswith("_low")]
    told = {"method": f"{row['method']}{_OUTSIDE if row['outside'] else ''}"}
    told |= {"runs with": row["runs with"] or row["method"]}
    told |= {name.replace("_share", ", %"): _with_half(row, name) for name in names}
    return told | {"parameters": row["parameters"] or "", "seconds": row["seconds"]}


def _with_half(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "-"
    digits = 3 if name in ("ssim", "lpips", "dists", "ms_ssim") else 2
    spread = "" if low is None else f" ± {(high - low) / 2:.{digits}f}"
    return f"{value:.{digits}f}{spread}"


def _small_print(study: Tradeoff, stores: Mapping[str, Store], parts: int) -> str:
    first = next(iter(stores.values())).info
    methods = [
        store.info.methods[name]
        for run, store in stores.items()
        for name in _names(study.experiments[run])
    ]
    small = sorted({info.build for info in methods if info.miniature})
    lines = [
        "± is half of a 95% interval, scenes as the units. invented, lost, unfaithful: % of pixels "
        f"from {FLAG:g} levels on (docs/maps.md). seconds: mean wall time of a picture on "
        f"{first.device}, of a machine with other work. * the method is not made for this task.",
        "Differences are first minus second, on the same pictures; intervals and p are adjusted "
        f"over all {parts} parts; {PERMUTATIONS} permutations; margins: {_margins(study, stores)}.",
        f"Protocol {first.protocol}. Pictures: {_pictures(stores)}. Study file sha256 "
        f"{study.sha256[:12]}, commit {first.git or 'unknown'}.",
    ]
    if small:
        lines.append(f"Miniatures, never the full models: {', '.join(small)}.")
    lines += [
        f"{line}."
        for run, store in stores.items()
        for line in _unplanned(study.experiments[run], store)
    ]
    if study.left:
        left = ", ".join(study.left)
        lines.append(f"**Registered and left out here: {left}**; nothing is said of them.")
    return "\n\n".join(lines)


def _unplanned(experiment: Experiment, store: Store) -> Iterator[str]:
    return unplanned({name: store.info.methods[name].unserved for name in _names(experiment)})


def _margins(study: Tradeoff, stores: Mapping[str, Store]) -> str:
    told = study.content
    infos = {key: one for store in stores.values() for key, one in store.info.metrics.items()}
    known = stated(infos.values(), {})
    named = (told.perception, told.fidelity, told.invention)
    keys = [[key for key in infos if key.partition(":")[0] == name] for name in named]
    return ", ".join(row for mine in keys for row in known_margins(mine, known).rows)


def _pictures(stores: Mapping[str, Store]) -> str:
    tasks = {t: i for store in stores.values() for t, i in store.info.tasks.items()}
    return "; ".join(f"{t}: {len(i.images)} of {i.data}, {i.degradation}" for t, i in tasks.items())


def _plane(
    study: Tradeoff, stores: Mapping[str, Store], rows: Sequence[Mapping[str, Any]]
) -> "Figure":
    tasks = {task: store for store in stores.values() for task in store.info.tasks}
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
    placed = [row for row in rows if _finite(row.get(across)) and _finite(row.get(up))]
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
        if not metric_of(store, name, task)[1].higher_is_better:
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
