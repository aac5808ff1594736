"""Published values of metrics with weights, and whether this machine's files give them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.pairs import SUFFIXES
from e2r_metrics.base.pictures import read_image
from e2r_metrics.catalog import Metric, metric_of
from e2r_metrics.session import Session

Status = Literal["same", "differs", "no weights", "no pictures"]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Folder:
    """Pictures of a publisher that are known by their folder's name and number alone."""

    name: str
    count: int

    def __str__(self) -> str:
        return f"{self.name}/ ({self.count} pictures)"


@dataclass(frozen=True)
class Noise:
    """Pictures that need no file: whole levels from 0 or more up to below an end, all alike."""

    low: int
    end: int
    count: int
    side: int

    def __str__(self) -> str:
        return f"{self.count} of noise from {self.low} to {self.end - 1}"

    def drawn(self) -> list[Pixels]:
        """Return (side, side, 3) uint8 pictures; others' draws are others, their levels are not."""
        generator = rng_for(0, str(self), "noise of selfcheck")
        size = (self.count, self.side, self.side, 3)
        return list(generator.integers(self.low, self.end, size, np.uint8))


Source = str | Folder | Noise
"""Which pictures: the name of one that is known by its hash, or a set."""


@dataclass(frozen=True)
class Published:
    """A value that somebody published.

    Attributes:
        metric: an id of the catalog.
        restored: the first picture, or set.
        clean: its partner; the same where the metric looks at one picture.
        value: as published.
        tolerance: what rounding, and other versions of libraries, may move.
        source: who published it, and has the pictures.
    """

    metric: str
    restored: Source
    clean: Source
    value: float
    tolerance: float
    source: str


_LPIPS = "richzhang/PerceptualSimilarity, imgs/"
_PIQ = "photosynthesis-team/piq, tests/assets/"
_CMMD = "sayakpaul/cmmd-pytorch, its working example"
_TORCHMETRICS = "torchmetrics, example of KernelInceptionDistance, 0.0312 +- 0.0025 over subsets"
_FIDELITY = (
    "toshas/torch-fidelity, its test of versions: the first 5,000 pictures of CIFAR-10's training "
    "and test sets"
)
PUBLISHED = (
    Published("lpips:alex", "ex_p0.png", "ex_ref.png", 0.722, 0.001, _LPIPS),
    Published("lpips:alex", "ex_p1.png", "ex_ref.png", 0.138, 0.001, _LPIPS),
    Published("dists:piq", "i01_01_5.bmp", "I01.BMP", 0.17321, 2e-5, _PIQ),
    Published("clip_iqa:official", "I01.BMP", "I01.BMP", 0.8916, 0.0089, _PIQ),
    Published("clip_iqa:official", "i01_01_5.bmp", "i01_01_5.bmp", 0.45898, 0.0046, _PIQ),
    Published(
        "cmmd:v", Folder("generated_images", 3), Folder("reference_images", 3), 7.696, 0.005, _CMMD
    ),
    Published(
        "fid:tm17", Folder("cifar10-train-5000", 5000), Folder("cifar10-valid-5000", 5000),
        10.32333, 0.01, _FIDELITY,
    ),
    # Other draws of the same noise: within twice the spread that they state.
    Published(
        "kid:unbiased", Noise(100, 255, 100, 299), Noise(0, 200, 100, 299), 0.0312, 0.005,
        _TORCHMETRICS,
    ),
)  # fmt: skip
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
        note: what is missing, and how to get it; or what else may make it differ.
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


def _check(row: Published, session: Session, pictures: Mapping[Source, list[Path]]) -> Check:
    both = dict.fromkeys((row.restored, row.clean))
    absent = [str(s) for s in both if not isinstance(s, Noise) and s not in pictures]
    if absent:
        return Check(row, "no pictures", note=f"{', '.join(absent)} of {row.source}")
    metric = metric_of(row.metric)
    # Asked last: to ask is to fetch what is small.
    if why := session.lacks(metric):
        return Check(row, "no weights", note=why)
    restored, clean = (_images(source, pictures) for source in (row.restored, row.clean))
    value = _value(metric, restored, clean, session)
    same = abs(value - row.value) <= row.tolerance
    by_name = any(isinstance(source, Folder) for source in both)
    note = "" if same or not by_name else "pictures known by their folders' names alone"
    return Check(row, "same" if same else "differs", value, note)


def _value(metric: Metric, restored: list[Pixels], clean: list[Pixels], session: Session) -> float:
    if metric.extractor is None:
        return float(session.per_image(metric, restored, clean)[0])
    both = (session.features(metric.extractor, images) for images in (restored, clean))
    return session.set_value(metric, *both)


def _images(source: Source, pictures: Mapping[Source, list[Path]]) -> list[Pixels]:
    if isinstance(source, Noise):
        return source.drawn()
    return [read_image(path) for path in pictures[source]]


def _found(folders: Sequence[Path]) -> dict[Source, list[Path]]:
    """Return the files of each picture and set that is wanted and here."""
    paths = [path for folder in folders for path in (folder, *sorted(folder.rglob("*")))]
    found: dict[Source, list[Path]] = {
        path.name: [path]
        for path in paths
        if path.name in SHA256 and path.is_file() and sha256_of(path) == SHA256[path.name]
    }
    every = {source for row in PUBLISHED for source in (row.restored, row.clean)}
    wanted = {source.name: source for source in every if isinstance(source, Folder)}
    for path in paths:
        if path.name in wanted and path.is_dir():
            files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES]
            if len(files) == wanted[path.name].count:
                found[wanted[path.name]] = files
    return found
