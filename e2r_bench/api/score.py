"""`e2r_bench.score`: results against their truth, in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_bench.api.checks import checked
from e2r_bench.api.pictures import Pictures, pairs_of
from e2r_bench.api.session import Watch, open_session, unwatched
from e2r_bench.maps.shares import SHARES
from e2r_bench.studies.entrants import Entrant, Measures, enter_pairs
from e2r_bench.versions import package_versions
from e2r_metrics.base.errors import UsageError, repeated, unknown
from e2r_metrics.catalog import Metric, resolve
from e2r_metrics.parts import USUAL, Parts

if TYPE_CHECKING:
    import pandas as pd

    from e2r_metrics import Session

METRICS = ("psnr", "ssim", "lpips")
"""What is measured where nobody says."""


@dataclass(frozen=True)
class Number:
    """One metric over all pictures.

    Attributes:
        metric: its id, "name:variant".
        value, low, high: the mean with its 95% interval over pictures, or the distance of the
            sets; None for ends that it does not have.
        n: pictures.
        unit, higher_is_better: of the metric.
        protocol: what the number means, in one line.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    unit: str
    higher_is_better: bool
    protocol: str


@dataclass(frozen=True)
class Scored:
    """Results that were scored; a notebook shows the table.

    Attributes:
        entrant: values, features and failures by picture.
        measures: what was asked for.
        weights: weight file -> sha256, of the metrics that were measured.
        versions: package -> version.
    """

    entrant: Entrant
    measures: Measures
    weights: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return what the results are called in a comparison."""
        return self.entrant.name

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """Return every metric that was measured, in the order asked for."""
        from e2r_bench.api.scored_text import summaries

        return tuple(
            Number(
                one.metric, one.value, one.low, one.high, one.n, one.unit, one.higher_is_better,
                protocol,
            )
            for one, protocol in summaries(self.entrant)
        )  # fmt: skip

    def __getitem__(self, metric: str) -> Number:
        """Return the number of a metric by its id, or by its bare name where that is one only.

        Raises:
            UsageError: a metric that was not measured.
        """
        known = {one.metric: one for one in self.numbers}
        bare = [one for key, one in known.items() if key.partition(":")[0] == metric]
        if metric in known:
            return known[metric]
        if len(bare) != 1:
            raise unknown("metric among those measured", metric, known)
        return bare[0]

    @property
    def failed(self) -> Mapping[str, str]:
        """Return picture -> why it, or one metric of it, has no number."""
        return {**self.entrant.scores.failed, **self.entrant.failed}

    @property
    def not_measured(self) -> tuple[str, ...]:
        """Return a line for each metric without a value: why, and what would fetch its weights."""
        from e2r_bench.api.scored_text import gone

        return tuple(gone(self.entrant))

    def frame(self) -> "pd.DataFrame":
        """Return a row per picture and metric; set metrics have an empty `image`."""
        import pandas as pd

        from e2r_bench.api.scored_text import records

        return pd.DataFrame(records(self.entrant))

    def json(self) -> str:
        """Return what `e2r-bench score --format json` prints."""
        from e2r_bench.api.scored_text import json_text

        return json_text([self.entrant], None)

    def _repr_html_(self) -> str:
        from e2r_bench.api import html

        rows = [_row(one) for one in self.numbers]
        said = [f"failed: {name}: {reason}" for name, reason in self.failed.items()]
        return html.joined((
            html.title(self.name),
            html.table(("metric", "n", "value", "95% interval", "unit"), rows),
            html.lines((*self.not_measured, *said)),
            html.folded("protocols", (one.protocol for one in self.numbers)),
            html.stands_on(self.weights, self.versions),
        ))  # fmt: skip


def _row(one: Number) -> tuple[str, ...]:
    arrow = "↑" if one.higher_is_better else "↓"
    ends = "" if one.low is None else f"{one.low:.4f} to {one.high:.4f}"
    return f"{one.metric} {arrow}", str(one.n), f"{one.value:.4f}", ends, one.unit


@checked
def score(
    restored: Pictures,
    clean: Pictures,
    metrics: str | Sequence[str] = METRICS,
    *,
    name: str | None = None,
    profile: str = "default",
    variant: Mapping[str, str] | None = None,
    channel: str | None = None,
    parts: Parts = USUAL,
    session: "Session | None" = None,
    watch: Watch = unwatched,
) -> Scored:
    """Score restored pictures against their clean ones.

    A picture that cannot be read or measured is recorded by name in `Scored.failed`; a metric
    whose weights are not here is in `Scored.not_measured`.

    Args:
        restored, clean: two folders; or pictures on both sides: file paths, NumPy arrays
            (H, W, 3), torch tensors (3, H, W), PIL images (RGB or L), a batch of one of them, a
            list, or a mapping by name. RGB, uint8 or float32 / float64 in [0, 1]; see
            `e2r_bench.api.pictures`.
        metrics: names in the catalog, or shares such as "invented_share"; a text is split at
            commas.
        name: what the results are called; None for the folder's name, or "restored".
        profile: which variant a bare name means, "default" or "paper".
        variant: metric -> variant, over the profile's.
        channel: what PSNR and SSIM look at, such as "y"; None for their own.
        parts: how files are read, paired and cut.
        session: weights, device and cache; None opens one, see `open_session`.
        watch: told of progress: stage, pictures done, their total.

    Raises:
        UsageError: an unknown name, pictures without partner, or what is no picture.

    Example:
        >>> import numpy as np, e2r_bench
        >>> clean = np.zeros((2, 32, 32, 3), np.uint8)
        >>> scored = e2r_bench.score(clean + np.uint8(3), clean, "psnr")
        >>> round(scored["psnr"].value, 2), scored["psnr"].n
        (38.59, 2)

        With weights (LPIPS), of two folders:

            e2r_bench.score("results/mine", "data/clean", ["psnr", "lpips"])
    """
    measures = measures_of(metrics, profile, variant or {}, channel, parts)
    pairs = pairs_of(restored, clean, parts.matching)
    called = name or _called(restored)
    using = session or open_session()
    return scored(enter_pairs(called, pairs, measures, using, watch), measures, using)


def _called(restored: Pictures) -> str:
    return Path(restored).resolve().name if isinstance(restored, str | Path) else "restored"


def scored(entrant: Entrant, measures: Measures, session: "Session") -> Scored:
    """Return an entrant with what its numbers stand on."""
    names = sorted({n for row in entrant.scores.summaries for n in _weights(row.metric)})
    weights = {name: session.weights.hashes(name) for name in names}
    return Scored(entrant, measures, weights, package_versions())


def _weights(metric: Metric) -> Iterator[str]:
    """Yield the weight files of a metric, and of the parts of a composite."""
    yield from metric.weights
    for term in metric.composite.terms if metric.composite else ():
        if term.row is not None:
            yield from _weights(term.row)


def measures_of(
    names: str | Sequence[str],
    profile: str,
    variant: Mapping[str, str],
    channel: str | None,
    parts: Parts,
) -> Measures:
    """Return what is measured; names may be metrics of the catalog, or shares.

    Raises:
        UsageError: an unknown name, or shares of pictures whose clean ones are not there.
    """
    asked = [part.strip() for part in names.split(",")] if isinstance(names, str) else names
    if twice := repeated(asked):
        raise UsageError(f"metrics: expected each once, found {twice} twice")
    ids = {info.name: key for key, info in SHARES.items()}
    shares = tuple(ids.get(one, one) for one in asked if one in ids or one in SHARES)
    if shares and parts.reference == "degraded":
        raise UsageError(f"{', '.join(shares)}: expected --reference clean, found degraded")
    rest = [one for one in asked if one not in ids and one not in SHARES]
    return Measures(resolve(rest, profile, variant, channel), shares, parts)
