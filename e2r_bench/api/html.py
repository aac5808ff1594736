"""Results as HTML for a notebook: tables, lines and pictures, escaped, without scripts."""

import base64
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from e2r_metrics.base.pictures import EightBit

_CELL = "text-align:left;padding:.1em .8em .1em 0"
_TILE = "display:inline-block;margin:0 .6em .6em 0;vertical-align:top;font-size:85%"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Return rows under heads."""
    top = Markup("").join(Markup('<th style="{}">{}</th>').format(_CELL, head) for head in heads)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup('<td style="{}">{}</td>').format(_CELL, cell) for cell in row)
        )
        for row in rows
    )
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(top, body)


def title(text: str) -> Markup:
    """Return a line in bold."""
    return Markup("<p><b>{}</b></p>").format(text)


def lines(said: Iterable[str]) -> Markup:
    """Return a list of lines, or nothing."""
    items = Markup("").join(Markup("<li>{}</li>").format(line) for line in dict.fromkeys(said))
    return Markup("<ul>{}</ul>").format(items) if items else items


def folded(summary: str, said: Iterable[str]) -> Markup:
    """Return lines that open with a click."""
    return opened(summary, lines(said))


def opened(summary: str, inside: Markup) -> Markup:
    """Return a block that opens with a click."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, inside)


def tile(caption: str, picture: EightBit) -> Markup:
    """Return a picture, (H, W, 3) uint8 RGB, under its caption."""
    import cv2

    coded = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    source = f"data:image/png;base64,{base64.b64encode(coded).decode('ascii')}"
    return Markup('<div style="{}">{}<br><img alt="{}" src="{}"></div>').format(
        _TILE, caption, caption, source
    )


def joined(parts: Iterable[Markup]) -> str:
    """Return one block."""
    return str(Markup("<div>{}</div>").format(Markup("").join(parts)))


def stands_on(weights: Mapping[str, str], versions: Mapping[str, str]) -> Markup:
    """Return what every number was made with: weight files and package versions."""
    said = [f"{name}: sha256 {digest}" for name, digest in sorted(weights.items())]
    said += [f"{name} {version}" for name, version in versions.items()]
    return folded("weights and versions", said)
