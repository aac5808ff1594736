"""Published values of metrics with weights, and whether this machine's files give them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.pictures import read_image
from e2r_metrics.catalog import metric_of
from e2r_metrics.session import Session

Status = Literal["same", "differs", "no weights", "no pictures"]


@dataclass(frozen=True)
class Published:
    """A value that somebody published.

    Attributes:
        metric: an id of the catalog.
        restored: name of the first picture.
        clean: name of its partner; the same where the metric looks at one picture.
        value: as published.
        tolerance: what rounding, and other versions of libraries, may move.
        source: who published it, and has the pictures.
    """

    metric: str
    restored: str
    clean: str
    value: float
    tolerance: float
    source: str


_LPIPS = "richzhang/PerceptualSimilarity, imgs/"
_PIQ = "photosynthesis-team/piq, tests/assets/"
PUBLISHED = (
    Published("lpips:alex", "ex_p0.png", "ex_ref.png", 0.722, 0.001, _LPIPS),
    Published("lpips:alex", "ex_p1.png", "ex_ref.png", 0.138, 0.001, _LPIPS),
    Published("dists:piq", "i01_01_5.bmp", "I01.BMP", 0.17321, 2e-5, _PIQ),
    Published("clip_iqa:official", "I01.BMP", "I01.BMP", 0.8916, 0.0089, _PIQ),
    Published("clip_iqa:official", "i01_01_5.bmp", "i01_01_5.bmp", 0.45898, 0.0046, _PIQ),
)
SHA256: Mapping[str, str] = {
    "ex_p0.png": "f44901a99c82755cfe78cdbde66579ae06cd0ebbba4a2539aa35ef96bbe703db",
    "ex_p1.png": "6ada2a42a3378bfa408027ba2d54a827c6f2cec30a0506e4f140fddaca661022",
    "ex_ref.png": "57aff3a0aeb6ebea151411f35b4487ea130aedcac6addd91c8c015969f9df097",
    "I01.BMP": "43d3c92154c48529fae107749bb60777950ccb8e324b120a63c142f4279df63f",
    "i01_01_5.bmp": "74ec08fde9c5e6d6ec0168ca8a6b8c6824d55557c9bd6b816a52b99b2db3e4ed",
}
"""The pictures that were meant, by name; another file of the name is not taken for it."""


@dataclass(frozen=True)
class Check:
    """What became of one published value.

    Attributes:
        published: the value.
        status: "same" within its tolerance, "differs", or why it was not computed.
        value: what this machine gives; None where nothing was computed.
        note: what is missing, and how to get it.
    """

    published: Published
    status: Status
    value: float | None = None
    note: str = ""


def check_all(session: Session, folders: Sequence[Path]) -> Iterator[Check]:
    """Yield every published value beside this machine's.

    Args:
        session: finds the weights; nothing is computed where they are missing.
        folders: searched for the pictures, with their sub-folders.
    """
    pictures = _found(folders)
    for row in PUBLISHED:
        yield _check(row, session, pictures)


def _check(row: Published, session: Session, pictures: Mapping[str, Path]) -> Check:
    metric = metric_of(row.metric)
    if gone := session.missing(metric):
        return Check(row, "no weights", note=f"{gone.reason}; to fetch: {gone.command}")
    absent = [name for name in dict.fromkeys((row.restored, row.clean)) if name not in pictures]
    if absent:
        return Check(row, "no pictures", note=f"{', '.join(absent)} of {row.source}")
    first, clean = (read_image(pictures[name]) for name in (row.restored, row.clean))
    value = float(session.per_image(metric, [first], [clean])[0])
    return Check(row, "same" if abs(value - row.value) <= row.tolerance else "differs", value)


def _found(folders: Sequence[Path]) -> dict[str, Path]:
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.name: path
        for path in files
        if path.name in SHA256 and sha256_of(path) == SHA256[path.name]
    }
