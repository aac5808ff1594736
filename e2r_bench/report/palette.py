"""One palette for page and figures: as many colours as there are series.

The first eight are Okabe and Ito's hues, made dark or light enough for text on either ground; from
there on hues are spread in OKLCH (Ottosson, 2020), at two lightnesses.
"""

import math

_FIRST = (
    ("#0072b2", "#56b4e9"), ("#b85700", "#e69f00"), ("#007a5a", "#2fc79b"),
    ("#a34a7c", "#dd9dc1"), ("#6b5d00", "#f0e442"), ("#5b4bb0", "#a99cf0"),
    ("#a0213a", "#f18fa2"), ("#3f6b1d", "#a5d06f"),
)  # fmt: skip
_GOLDEN = 137.50776


def colours(count: int) -> tuple[tuple[str, str], ...]:
    """Return a colour for each series, each for light and for dark ground, as #rrggbb."""
    return tuple(_FIRST[k] if k < len(_FIRST) else _spread(k - len(_FIRST)) for k in range(count))


def style(count: int) -> str:
    """Return CSS that gives the classes s0, s1, ... their colours."""
    return "\n".join(
        f".s{k} {{ color: light-dark({light}, {dark}); }}"
        for k, (light, dark) in enumerate(colours(count))
    )


def on_paper(count: int) -> list[str]:
    """Return the colours of a figure on white."""
    return [light for light, _ in colours(count)]


def _spread(place: int) -> tuple[str, str]:
    hue = math.radians(20 + _GOLDEN * place)
    lower = 0.08 * (place % 2)
    return _hex(0.53 - lower, 0.11, hue), _hex(0.82 - lower, 0.09, hue)


def _hex(lightness: float, chroma: float, hue: float) -> str:
    """Return OKLCH as sRGB; what lies outside is cut."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    cones = (
        lightness + 0.3963377774 * a + 0.2158037573 * b,
        lightness - 0.1055613458 * a - 0.0638541728 * b,
        lightness - 0.0894841775 * a - 1.2914855480 * b,
    )
    long, middle, short = (cone**3 for cone in cones)
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(max(v, 0.0), 1.0))):02x}" for v in linear)


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
