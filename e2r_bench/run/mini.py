"""`mini`, the embedded set: crops of free colour pictures that lie in our dependencies' wheels.

Nothing is copied into this repository, and no weight that ships was trained on any of them. Which
picture is whose, and under which licence: docs/data.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from e2r_bench.run.data import Dataset, Source
from e2r_metrics.base.errors import UsageError

EDITION = 2
"""Raised whenever a crop below changes: numbers of two editions are never put side by side."""
NAME = f"mini (edition {EDITION})"
SIDE = 128


@dataclass(frozen=True)
class Photograph:
    """One picture in a wheel.

    Attributes:
        package: the import name of what ships it.
        path: below the package.
        corners: (top, left) of its crops, `SIDE` pixels square.
        licence: whose it is and what its package says that one may do; None where it says nothing.
        disparity: file of true disparities below the package.
    """

    package: str
    path: str
    corners: tuple[tuple[int, int], ...]
    licence: str | None
    disparity: str | None = None

    def file(self, path: str) -> Path:
        """Return a file of the package, without importing it; UsageError if it is not there."""
        spec = find_spec(self.package)
        found = None if spec is None or spec.origin is None else Path(spec.origin).parent / path
        if found is None or not found.is_file():
            name = _DISTRIBUTIONS.get(self.package, self.package)
            raise UsageError(
                f"data set 'mini': expected {path} in {name}, found none; "
                f"pip install --force-reinstall {name}"
            )
        return found


_DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
_IMAGES = "datasets/images"
PHOTOGRAPHS: Mapping[str, Photograph] = MappingProxyType(
    {
        "astronaut": Photograph(
            "skimage", "data/astronaut.png", ((0, 170), (0, 320), (140, 20), (280, 170)),
            "public domain: Eileen Collins, NASA",
        ),
        "chelsea": Photograph(
            "skimage", "data/chelsea.png", ((22, 160), (22, 290), (150, 30), (150, 160)),
            "CC0: Stéfan van der Walt",
        ),
        "china": Photograph(
            "sklearn", f"{_IMAGES}/china.jpg", ((60, 130), (190, 100), (290, 240), (170, 500)),
            "CC BY 2.0: danielbuechele on Flickr; cropped",
        ),
        "coffee": Photograph(
            "skimage", "data/coffee.png", ((8, 236), (136, 100), (136, 372), (264, 372)),
            "CC0: Rachel Michetti",
        ),
        "flower": Photograph(
            "sklearn", f"{_IMAGES}/flower.jpg", ((72, 200), (72, 330), (202, 200), (202, 330)),
            "CC BY 2.0: vultilion on Flickr; cropped",
        ),
        "hopper": Photograph(
            "matplotlib", "mpl-data/sample_data/grace_hopper.jpg",
            ((10, 180), (150, 180), (90, 0), (420, 330)),
            "public domain: James S. Davis, US Navy",
        ),
        "hubble": Photograph(
            "skimage", "data/hubble_deep_field.jpg", ((60, 240), (330, 70), (420, 650), (680, 700)),
            "public domain: NASA and ESA",
        ),
        "ihc": Photograph(
            "skimage", "data/ihc.png", ((30, 60), (130, 330), (320, 220), (340, 10)),
            "no known copyright restrictions: CMMI",
        ),
        # Its right-hand partner shows the same scene and is left out.
        "motorcycle": Photograph(
            "skimage", "data/motorcycle_left.png", ((150, 40), (150, 430), (290, 170), (290, 560)),
            None, "data/motorcycle_disp.npz",
        ),
        "retina": Photograph(
            "skimage", "data/retina.jpg", ((530, 280), (300, 300), (260, 620), (960, 760)),
            "CC0: Mikael Häggström",
        ),
        "rocket": Photograph(
            "skimage", "data/rocket.jpg", ((140, 310), (280, 180), (280, 310), (280, 440)),
            "public domain: SpaceX",
        ),
    }
)  # fmt: skip
"""By scene."""


def mini() -> Dataset:
    """Return the embedded default.

    The order goes round the photographs, so that a limited run still sees as many scenes as it can.

    Raises:
        UsageError: a package without its picture.
    """
    crops = [_crops(scene, photo) for scene, photo in PHOTOGRAPHS.items()]
    longest = max(len(mine) for mine in crops)
    order = [mine[k] for k in range(longest) for mine in crops if k < len(mine)]
    return Dataset(NAME, tuple(order))


def _crops(scene: str, photo: Photograph) -> list[Source]:
    clean = photo.file(photo.path)
    disparity = None if photo.disparity is None else photo.file(photo.disparity)
    return [
        Source(
            id=f"{scene}_{top:03d}_{left:03d}",
            scene=scene,
            clean=clean,
            box=(top, left, SIDE),
            disparity=disparity,
        )
        for top, left in photo.corners
    ]
