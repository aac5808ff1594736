"""One standalone page and its Markdown twin, from strict templates; nothing is loaded elsewhere."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from e2r_bench.maps.paint import ramp_tables
from e2r_bench.maps.unseen import UNSEEN
from e2r_bench.report import palette, plane
from e2r_bench.report.arms import arms_of, shares_of
from e2r_bench.report.cases import bytes_of, cases_of
from e2r_bench.report.chart import HEIGHT, WIDTH
from e2r_bench.report.facts import details, facts, miniatures
from e2r_bench.report.failures import failures_of
from e2r_bench.report.gallery import FLAG_STEP, gallery
from e2r_bench.report.headline import headline
from e2r_bench.report.looks import looks_of
from e2r_bench.report.markdown import markdown_page
from e2r_bench.report.orders import ORDERS, measured_parts, orders_of
from e2r_bench.report.overview import overview_of
from e2r_bench.report.pictures import LOSSLESS_BYTES, Album, plot_uri
from e2r_bench.report.plots import charts
from e2r_bench.report.roles import ROLES
from e2r_bench.report.sections import Section, read_sections, read_verdicts
from e2r_bench.report.table import blocks
from e2r_bench.report.unlike import unlike
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.store.store import Store
from e2r_metrics.base.files import write_text


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
    cases = [case for origin, store in stores.items() for case in cases_of(origin, store)]
    album = Album(page, embed, not embed or bytes_of(cases) <= LOSSLESS_BYTES)
    looks = looks_of(cases, album)
    shown = gallery(cases, album, title)
    arms = arms_of(stores, {})
    first = headline(stores, shares_of(shown["cases"]))
    content = {
        "title": title,
        "embed": embed,
        "exact": album.exact,
        "runs": [(origin, facts(one), details(one)) for origin, one in stores.items()],
        "miniatures": dict.fromkeys(b for one in stores.values() for b in miniatures(one)),
        "headline": first,
        "unlike": unlike(arms),
        "few": any(card.few for card in first.cards),
        "overview": overview_of(first.cards, {(t, a.name) for a in arms for t in a.unserved}),
        "verdicts": [(o, v) for o, one in stores.items() if (v := read_verdicts(one.folder)).rows],
        "blocks": blocks(stores),
        "orders": orders_of(arms, list(measured_parts(arms))),
        "failures": [f for origin, one in stores.items() for f in failures_of(origin, one)],
        "looks": looks,
        "plots": [(origin, drawn) for origin, one in stores.items() if (drawn := charts(one))],
        "gallery": shown,
        "sources": album.sources,
        "sections": [s for one in stores.values() for s in read_sections(one.folder)],
    }
    write_text(page, _html(content))
    write_text(page.with_suffix(".md"), markdown_page(content))
    return page


def _html(content: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("e2r_bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    series = len(content["headline"].places)
    style = f"{_asset('page.css')}{palette.style(series)}\n"
    parts = "".join(map(_asset, ("page.js", "viewer.js", "pixels.js", "start.js")))
    script = f'"use strict";\n(() => {{\n{parts}}})();\n'
    return environment.get_template(
        "page.html.j2"
    ).render(
        **content,
        # Both are files of ours, with nothing of the run in them.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=_policy(style, script, bool(content["embed"])),
        prose=_prose,
        plot_uri=plot_uri,
        width=WIDTH,
        height=HEIGHT,
        plane_width=plane.WIDTH,
        plane_height=plane.HEIGHT,
        ramp=ramp_tables(),
        roles=ROLES,
        flag_step=FLAG_STEP,
        min_scenes=MIN_SCENES,
        unseen=UNSEEN,
        orders_say=f"{ORDERS[0].upper()}{ORDERS[1:]}.",
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
