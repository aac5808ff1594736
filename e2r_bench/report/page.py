"""One standalone page and its Markdown twin, from strict templates; nothing is loaded elsewhere."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from e2r_bench.maps.paint import ramp_tables
from e2r_bench.report.cases import Case, cases_of, median_case
from e2r_bench.report.facts import details, facts, miniatures
from e2r_bench.report.failures import failures_of
from e2r_bench.report.gallery import gallery
from e2r_bench.report.labels import label_build, number
from e2r_bench.report.markdown import markdown_page
from e2r_bench.report.pictures import Album, plot_uri
from e2r_bench.report.plots import HEIGHT, WIDTH, charts
from e2r_bench.report.sections import Section, read_sections, read_verdicts
from e2r_bench.report.table import blocks
from e2r_bench.store.store import Store
from e2r_metrics.base.files import write_text


@dataclass(frozen=True)
class Look:
    """One picture of a first look, with its caption."""

    source: str
    title: str
    note: str


def write_report(store: Store, embed: bool = True) -> Path:
    """Write report.html and report.md into the run folder.

    Args:
        store: a finished run; studies and maps are included where they are.
        embed: put the pictures into the page, as WebP, so that one file can be sent; otherwise
            the page links the PNG files of the run folder.

    Returns:
        The path of report.html.

    Raises:
        UsageError: no summary yet, an unreadable picture, or a folder that cannot be written.
    """
    return write_page(store.folder / "report.html", {"": store}, store.folder.name, embed)


def write_page(page: Path, stores: Mapping[str, Store], title: str, embed: bool) -> Path:
    """Write one page for one run, or for several that share a protocol; see `write_report`."""
    album = Album(page, embed)
    tables = blocks(stores)
    cases = [case for origin, store in stores.items() for case in cases_of(origin, store)]
    content = {
        "title": title,
        "embed": embed,
        "runs": [(origin, facts(one), details(one)) for origin, one in stores.items()],
        "miniatures": dict.fromkeys(b for one in stores.values() for b in miniatures(one)),
        "verdicts": [(origin, read_verdicts(one.folder)) for origin, one in stores.items()],
        "blocks": tables,
        "failures": [f for origin, one in stores.items() for f in failures_of(origin, one)],
        "looks": _looks(cases, album),
        "plots": [(origin, drawn) for origin, one in stores.items() if (drawn := charts(one))],
        "gallery": gallery(cases, album),
        "sources": album.sources,
        "sections": [s for one in stores.values() for s in read_sections(one.folder)],
    }
    write_text(page, _html(content))
    write_text(page.with_suffix(".md"), markdown_page(content))
    return page


def _looks(cases: Sequence[Case], album: Album) -> list[tuple[str, str, list[Look]]]:
    """Return per task: the middle case of the first restorer, as every restorer has it."""
    found: list[tuple[str, str, list[Look]]] = []
    for task in dict.fromkeys(case.cell.task for case in cases):
        mine = [case for case in cases if case.cell.task == task]
        lead = (mine[0].origin, mine[0].cell.method)
        first = [case for case in mine if (case.origin, case.cell.method) == lead]
        score = next(iter(first[0].scores), "")
        middle = median_case(first, score)
        image = middle.cell.image
        same = [case for case in mine if case.cell.image == image]
        found.append((task, image, _row(same, middle, score, album)))
    return found


def _row(same: Sequence[Case], middle: Case, score: str, album: Album) -> list[Look]:
    store, task, image = middle.store, middle.cell.task, middle.cell.image
    looks = [Look(_source(album, store.degraded_path(task, image)), "degraded", "input")]
    for case in same:
        method, value = case.cell.method, case.scores.get(score)
        said = "" if value is None else f"{score} {number(value)}"
        named = f"{case.origin}: {method}" if case.origin else method
        build = label_build(method, case.store.info.methods[method])
        note = "; ".join(part for part in (build, said) if part)
        looks.append(Look(_source(album, case.store.path(case.cell)), named, note))
    return [*looks, Look(_source(album, store.clean_path(task, image)), "clean", "ground truth")]


def _source(album: Album, path: Path) -> str:
    return album.sources[album.photo(path)]


def _html(content: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("e2r_bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _asset("page.css"), _asset("page.js")
    return environment.get_template("page.html.j2").render(
        **content,
        # Both are files of ours, with nothing of the run in them.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=_policy(style, script, bool(content["embed"])),
        prose=_prose,
        plot_uri=plot_uri,
        width=WIDTH,
        height=HEIGHT,
        ramp=ramp_tables(),
    )


def _asset(name: str) -> str:
    """Read a file of ours that stands beside the template; it holds nothing of the run."""
    return files("e2r_bench.report").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(style: str, script: str, embed: bool) -> str:
    """Return a policy under which nothing but this style, this script and pictures load."""
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:" if embed else "img-src data: 'self' file:",
            f"style-src 'sha256-{_digest(style)}'",
            f"script-src 'sha256-{_digest(script)}'",
            "require-trusted-types-for 'script'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _prose(section: Section) -> Markup:
    """Render a study's Markdown; raw HTML and images in it are shown as text."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    # The renderer escapes everything that is not its own markup.
    return Markup(renderer.render(section.markdown))  # noqa: S704
