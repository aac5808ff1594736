"""`e2r_bench.explain`: which protocol gives the number that a paper prints?"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_bench.api.checks import checked
from e2r_bench.api.session import Watch, open_session, unwatched
from e2r_metrics.base.errors import UsageError
from e2r_metrics.parts import USUAL, Parts

if TYPE_CHECKING:
    from e2r_metrics import Session
    from e2r_metrics.explain.folders import Measured
    from e2r_metrics.explain.search import Findings, Said

METRICS = ("psnr", "ssim", "lpips")
_MOST_DIGITS = 6


@dataclass(frozen=True)
class Explained:
    """Which protocols give the stated numbers; a notebook shows them.

    Attributes:
        found: the protocols, the most usual first, and what chance would give.
        measured: what they were looked for in, with the pictures that failed; n may be 0.
        folders: restored and clean.
        parts: how files were read and paired.
    """

    found: "Findings"
    measured: "Measured"
    folders: tuple[str, str]
    parts: Parts

    @property
    def commands(self) -> tuple[str, ...]:
        """Return the command of each protocol that gives the numbers; mistakes have none."""
        from e2r_bench.explained import command_of

        told = (self.folders, self.parts)
        made = (command_of(one.protocol, *told) for one in self.found.hits)
        return tuple(one for one in made if one is not None)

    def records(self) -> dict[str, Any]:
        """Return what `e2r-bench explain --json` prints."""
        from e2r_bench.explained import record

        found, told = self.found, (self.folders, self.parts)
        return {
            "said": [{"metric": s.metric, "value": s.value, "digits": s.text} for s in found.said],
            "n": self.measured.n,
            "tried": found.tried,
            "distinct": found.distinct,
            "by_chance": found.by_chance,
            "two_channels": found.mixed,
            "hits": [record(one, *told) for one in found.hits],
            "nearest": [record(one, *told) for one in found.nearest],
            "failed": self.measured.failed,
            "not_tried": self.measured.left_out,
        }

    def _repr_html_(self) -> str:
        from e2r_bench.api import html
        from e2r_bench.explained import by_chance, sentence, words

        rows = [
            (words(one.protocol), by_chance(one, self.found))
            for one in self.found.hits or self.found.nearest
        ]
        failed = [f"failed: {name}: {reason}" for name, reason in self.measured.failed.items()]
        return html.joined((
            html.lines(sentence(self.found, self.measured.n)),
            html.table(("protocol", "by chance"), rows),
            html.lines((*failed, *self.commands)),
        ))  # fmt: skip


@checked
def explain(
    restored: str | Path,
    clean: str | Path,
    says: Mapping[str, str],
    *,
    parts: Parts = USUAL,
    top: int = 5,
    session: "Session | None" = None,
    watch: Watch = unwatched,
) -> Explained:
    """Try the protocols of published code on two folders; which give the stated numbers?

    Args:
        restored, clean: folders of pictures.
        says: "psnr", "ssim" or "lpips" -> the number as it is printed, such as "37.44": its digits
            say how exactly it was stated; several say more.
        parts: how files are read and paired.
        top: how many of the nearest are kept where none gives the numbers.
        session: where the weights of "lpips" are looked for; None opens one.
        watch: told of progress: stage, pairs done, their total.

    Raises:
        UsageError: another metric, what is no number, or files without partner.

    Example:
        Of folders of results:

            e2r_bench.explain("results/mine", "data/clean", {"psnr": "37.44"}).commands

        With weights (LPIPS): {"lpips": ".06"}.
    """
    from e2r_metrics.explain.folders import measure_folders
    from e2r_metrics.explain.search import search

    said = [said_of(name, text) for name, text in sorted(says.items())]
    if not said:
        raise UsageError(f"says: expected numbers of {', '.join(METRICS)}, found none")
    folders = Path(restored), Path(clean)
    asked = [one.metric for one in said]
    measured = measure_folders(
        *folders, asked, parts, lambda done, total: watch("measure", done, total),
        session or open_session(),
    )  # fmt: skip
    found = search(measured.table, said, top)
    return Explained(found, measured, (str(restored), str(clean)), parts)


def said_of(name: str, text: str) -> "Said":
    """Return a stated number with what rounding may have taken.

    Raises:
        UsageError: another metric, no number, more decimals than papers print, or percent.
    """
    from e2r_metrics.explain.search import Said

    stated = text.strip()
    percent = name == "ssim" and stated.endswith("%")
    stated = stated.removesuffix("%") if percent else stated
    whole, _, digits = stated.partition(".")
    if not (whole + digits).isascii() or not (whole + digits).isdigit():
        raise UsageError(f"expected METRIC=NUMBER such as psnr=37.44, found {f'{name}={text}'!r}")
    if name not in METRICS:
        raise UsageError(f"expected {', '.join(METRICS[:-1])} or {METRICS[-1]}, found {name!r}")
    if percent or (name == "ssim" and float(stated) > 1):
        like = f", which looks like percent: give ssim={Decimal(stated).scaleb(-2)}"
        raise UsageError(
            f"expected an SSIM of at most 1, found {text}{like if float(stated) <= 100 else ''}"
        )
    if len(digits) > _MOST_DIGITS:
        raise UsageError(
            f"expected at most {_MOST_DIGITS} decimals, as papers print them, found {stated}"
        )
    return Said(name, float(stated), 0.5 * 10.0 ** -len(digits), stated)
