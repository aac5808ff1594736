"""What a metric speaks of: closeness to the truth, how good a picture looks, or what was made up.

That follows from its row: what compares a picture with its truth by a formula is fidelity; what
looks at a picture alone, at sets, or through a trained network is perception.

A card of the report shows one metric of each kind: the first of these names that was measured.
Names of one kind are in the order in which a reader would trust them at a few dozen pictures: those
with an interval over scenes come before those that are one number for the whole set.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from e2r_bench.maps.shares import SHARES
from e2r_metrics.base.errors import UsageError
from e2r_metrics.catalog import Metric, metric_of

INVENTED = "invented_share"
"""Share of pixels, in %, with detail that the ground truth lacks; see `maps.bands`."""


@dataclass(frozen=True)
class Role:
    """A kind of metric.

    Attributes:
        title: its heading.
        lead: what the arm with the best mean is called.
        says: the question that it answers, in a few words.
        means: how its numbers are read.
        names: metrics of this kind, the preferred one first.
    """

    title: str
    lead: str
    says: str
    means: str
    names: tuple[str, ...]


FIDELITY = Role(
    "Fidelity",
    "best fidelity",
    "how close to the ground truth",
    "how close it is to the truth, pixel by pixel; a blurred picture can score well",
    ("psnr", "ssim", "ms_ssim", "vif", "haarpsi", "gmsd", "ciede2000", "l1"),
)
PERCEPTION = Role(
    "Perception",
    "best perception",
    "how it looks to a viewer",
    "how it looks to a network trained on viewers, or how natural; made-up detail can score well",
    ("lpips", "dists", "clip_iqa", "niqe", "brisque", "musiq", "maniqa", "hyperiqa", "cmmd",
     "mmd_effnet", "fd_effnet", "patch_fd_effnet", "kid", "fid", "fd_dinov2", "patch_fid",
     "clip_i", "dino", "dreamsim"),
)  # fmt: skip
INVENTION = Role(
    "Invented",
    "least invented",
    "detail that the truth lacks",
    "what was made up, lost or moved, by the truth; see maps.md",
    (INVENTED, "invented"),
)
ROLES = (FIDELITY, PERCEPTION, INVENTION)


def chosen(role: Role, keys: Iterable[str]) -> str | None:
    """Return the metric id that stands for a role, None where none of it was measured."""
    return next(_ranked(role, keys), None)


def _ranked(role: Role, keys: Iterable[str]) -> Iterator[str]:
    found = list(keys)
    for name in role.names:
        yield from (key for key in found if key.partition(":")[0] == name)


def role_of(key: str, metrics: Container[str] = ()) -> Role:
    """Return the role that a score of a picture belongs to.

    Args:
        key: a metric's id, or the name of a map; most of those are of what was made up.
        metrics: ids of a run's metrics; what the catalog has not, such as a program's, may be a
            network's.
    """
    if key in SHARES:
        return INVENTION
    if ":" not in key:
        return FIDELITY if key in FIDELITY.names else INVENTION
    try:
        row = metric_of(key)
    except UsageError:
        return PERCEPTION if key in metrics else INVENTION
    return FIDELITY if _is_formula(row) else PERCEPTION


def _is_formula(row: Metric) -> bool:
    """Return whether a metric, or each part of it, compares with the truth by a formula alone."""
    if row.composite is not None:
        return all(term.row is not None and _is_formula(term.row) for term in row.composite.terms)
    return row.scope == "image" and not row.weights
