"""What counts as no difference: one margin per metric, in its own unit, with a reason.

Margins are fixed before a run and travel with its results. None is a share of a value: an unbiased
distance may be zero or negative, and 5% of 30 dB is a gain that every table would print in bold.
Distances of sets have no scale of their own, so theirs is a share of the control's gap: how much
worse the degraded input is than the best control under the same metric, images and n.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from e2r_metrics.base.errors import UsageError, unknown


@dataclass(frozen=True)
class Margin:
    """A margin as data, before any number is known.

    Attributes:
        metric: its bare name.
        value: in `unit`.
        unit: "dB", "" for the metric's own scale, or "share of the control's gap".
        reason: why this much, in words.
    """

    metric: str
    value: float
    unit: str
    reason: str

    @property
    def relative(self) -> bool:
        """Return whether the control's gap is needed."""
        return self.unit == GAP


GAP = "share of the control's gap"
_OF_ONE = "on a scale of one; smaller steps change rank orders of methods but not what is seen"
_COUNTED = "a twentieth of a scale of one; at n = 68 one picture is 0.015"
_SHARE = (
    "a twentieth of what restoration can gain: from the degraded input to the best control; the "
    "distance has no scale of its own"
)
_PATCH = "a hundredth of the picture: a patch of a tenth of its width and height"
_ROWS = (
    Margin("psnr", 0.5, "dB", "12% of the mean squared error; retrained adapters differ as much"),
    Margin("ssim", 0.01, "", _OF_ONE),
    Margin("ms_ssim", 0.01, "", _OF_ONE),
    Margin("l1", 0.004, "", "one level of 8 bits: less cannot be stored"),
    Margin("ciede2000", 0.5, "", "half of a just noticeable difference of two plain colours"),
    Margin("gmsd", 0.01, "", "a tenth of 0.1, a usual deviation of a good restoration"),
    Margin("haarpsi", 0.01, "", _OF_ONE),
    Margin("vif", 0.01, "", _OF_ONE),
    Margin("lpips", 0.02, "", "a tenth of 0.2, a usual distance of a good restoration"),
    Margin("dists", 0.02, "", "a tenth of 0.2, a usual distance of a good restoration"),
    Margin("clip_iqa", 0.02, "", _OF_ONE),
    Margin("musiq", 2.0, "", "a fiftieth of its scale, which ends near 100"),
    Margin("maniqa", 0.02, "", _OF_ONE),
    Margin("hyperiqa", 2.0, "", "a fiftieth of its scale, which ends near 100"),
    Margin("clip_i", 0.01, "", _OF_ONE),
    Margin("dino", 0.01, "", _OF_ONE),
    Margin("dreamsim", 0.01, "", _OF_ONE),
    Margin("invented_share", 1.0, "% of pixels", _PATCH),
    Margin("lost_share", 1.0, "% of pixels", _PATCH),
    Margin("unfaithful_share", 1.0, "% of pixels", _PATCH),
    Margin("niqe", 0.3, "", "how grey is formed moves a value as much"),
    Margin("brisque", 3.0, "", "a twentieth of its usual range; training it anew moves it more"),
    Margin("fid", 0.05, GAP, _SHARE),
    Margin("fd_dinov2", 0.05, GAP, _SHARE),
    Margin("patch_fid", 0.05, GAP, _SHARE),
    Margin("kid", 0.05, GAP, _SHARE),
    Margin("cmmd", 0.05, GAP, _SHARE),
    Margin("prdc", 0.05, "", _COUNTED),
    Margin("prdc_effnet", 0.05, "", _COUNTED),
    Margin("fd_effnet", 0.05, GAP, _SHARE),
    Margin("patch_fd_effnet", 0.05, GAP, _SHARE),
    Margin("mmd_effnet", 0.05, GAP, _SHARE),
)
MARGINS: Mapping[str, Margin] = MappingProxyType({row.metric: row for row in _ROWS})


def margin_of(metric: str, given: Mapping[str, Margin] | None = None) -> Margin:
    """Return the margin of a metric id or name; what a claims file gives goes first.

    Raises:
        UsageError: no margin is known: one has to be given, with its reason.
    """
    found = known_margin(metric, given)
    if found is None:
        known = {name.partition(":")[0] for name in (*MARGINS, *(given or {}))}
        raise unknown("margin: give one for metric", metric.partition(":")[0], known)
    return found


def known_margin(metric: str, given: Mapping[str, Margin] | None = None) -> Margin | None:
    """Return the same; None where no margin is known: nothing is judged by that metric then."""
    known = {**MARGINS, **(given or {})}
    return known.get(metric) or known.get(metric.partition(":")[0])


def absolute(margin: Margin, worst: float | None = None, best: float | None = None) -> float:
    """Return the margin in the metric's unit.

    Args:
        margin: as data.
        worst: of the degraded input, under this metric on these images; for shares only.
        best: of the best control, likewise; 0 where the metric knows no better.

    Raises:
        UsageError: a value or share that is not above zero, or controls that leave no gap.
    """
    if not margin.value > 0:
        raise UsageError(f"{margin.metric}: margin: expected a number above 0: {margin.value}")
    if not margin.relative:
        return margin.value
    if worst is None or best is None:
        raise UsageError(
            f"{margin.metric}: its margin is a {GAP}; measure the degraded input and the best "
            "control (--controls) on the same images"
        )
    gap = abs(worst - best)
    if not 0 < gap < float("inf"):
        raise UsageError(
            f"{margin.metric}: the controls leave no gap ({worst:g} and {best:g}): no share of it "
            "is a margin; give one in the metric's unit"
        )
    return margin.value * gap


@dataclass(frozen=True)
class Fixed:
    """The margins of a run, fixed before anything is known.

    Attributes:
        margins: by bare name; by id where the variants of a name have different ones.
        sha256: digest of all of them, with units and reasons; every result carries it.
    """

    margins: Mapping[str, Margin]
    sha256: str

    @property
    def rows(self) -> tuple[str, ...]:
        """Return each margin in words."""
        return tuple(f"{k} {m.value:g} {m.unit}".strip() for k, m in self.margins.items())

    @property
    def words(self) -> str:
        """Return the margins in a line, with the start of their digest."""
        return f"{', '.join(self.rows) or 'none'} (sha256 {self.sha256[:12]})"


def margins_words(metrics: Sequence[str], given: Mapping[str, Margin] | None = None) -> str:
    """Return the margins of those metrics that have one, in a line; see `Fixed.words`."""
    return known_margins(metrics, given).words


def known_margins(metrics: Sequence[str], given: Mapping[str, Margin] | None = None) -> Fixed:
    """Return the margins of those metrics that have one.

    A metric from outside may have none: nothing is judged by it until one is given.
    """
    return fixed_margins([one for one in metrics if known_margin(one, given) is not None], given)


def unmargined(metric: str) -> str:
    """Return what is said of a metric, by its id, that has no margin, and how it gets one."""
    name, _, variant = metric.partition(":")
    here = f"--margin {name}=NUMBER where it is compared"
    if variant.startswith("command-"):
        return f"give margin=NUMBER before the program, or {here}"
    return f"its definition states no margin; give {here}"


def fixed_margins(metrics: Sequence[str], given: Mapping[str, Margin] | None = None) -> Fixed:
    """Return the margin of every metric that will be judged.

    Args:
        metrics: names or ids.
        given: those that replace the metrics' own.

    Raises:
        UsageError: a metric that has none.
    """
    found: dict[str, Margin] = {}
    for metric in sorted(set(metrics)):
        margin, bare = margin_of(metric, given), metric.partition(":")[0]
        found[bare if found.get(bare, margin) == margin else metric] = margin
    text = json.dumps({name: asdict(row) for name, row in found.items()}, sort_keys=True)
    return Fixed(found, hashlib.sha256(text.encode()).hexdigest())
