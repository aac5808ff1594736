"""The seam between the runner and a restorer: four small types and one catalog row.

A restorer is handed photographs, a task and the sampler settings wanted, and yields one picture of
the same size for each. It opens no connection and finds no file itself: the weights it needs are
named in its `MethodSpec`, and local paths are handed to `open`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from e2r_baselines.tasks import Task

Pixels = npt.NDArray[np.float32]
"""(H, W, 3) float32 RGB, nominally [0, 1]; protocols with unclipped noise leave that range."""


class MethodError(Exception):
    """A user's mistake or a file that is not what it should be; one line, exit code 2.

    Say what was expected, what came in, and what to do.
    """


@dataclass(frozen=True)
class Photo:
    """One picture to restore; every draw made for it derives from `id`."""

    id: str
    pixels: Pixels


@dataclass(frozen=True, order=True)
class Draw:
    """One sampler setting: the seed of the sampler's noise and the number of its steps."""

    seed: int
    steps: int


# A method that draws nothing has one result per image, filed under seed 0 and 0 steps.
DETERMINISTIC = Draw(seed=0, steps=0)


@dataclass(frozen=True)
class Restored:
    """One result: (H, W, 3) float32, the size of its input; the runner clips and rounds it."""

    photo_id: str
    draw: Draw
    pixels: Pixels


class Restorer(Protocol):
    """A method that is ready to run."""

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield one `Restored` for each photo and draw, in any order; sizes may be mixed.

        A restorer may share work between the draws of a photo. It must return the same pixels for
        (photo, task, draw) whatever else is in the call, up to float rounding.
        """
        ...


@dataclass(frozen=True)
class Compute:
    """Where and how a restorer runs.

    Attributes:
        device: a torch device such as "cpu" or "cuda:0".
        dtype: the dtype of the network; "float32" or "bfloat16".
        batch: how many pictures go through the network at once, at most.
        tile: side of square tiles in pixels, None for whole pictures. A named mode, since global
            attention and prompts see the tile only.
    """

    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    batch: int = 1
    tile: int | None = None


@dataclass(frozen=True)
class Build:
    """One set of weights that a method can run with.

    Attributes:
        name: what every row and every report says, such as "promptir" or "promptir-nano".
        files: names of weight files, as in a `weights.toml`; empty for methods without weights.
        miniature: True for our own small stand-in, which is never passed off as the method.
    """

    name: str
    files: tuple[str, ...] = ()
    miniature: bool = False


Opener = Callable[[Build, Mapping[str, Path], Compute], Restorer]


@dataclass(frozen=True)
class MethodSpec:
    """One row of the method catalog.

    Attributes:
        name: the name on the command line.
        title: how a table names it.
        source: paper or project.
        licence: licence of the code and of the weights.
        builds: in order of preference; the first whose files are all present is used, and said.
        tasks: names of the task kinds it is meant for; others run too, and are marked as outside.
        open: load a build; takes the build, its files as local paths, and the compute settings.
            Raises `MethodError` for a checkpoint of another network.
        stochastic: whether the seed of a `Draw` changes the result.
        stepped: whether the steps of a `Draw` change the result.
        feed: what it is given; "clean" is for controls.
        control: whether it shows what no restoration, a perfect one or the pipeline itself costs
            rather than what a method can do.
        note: what a reader of its numbers has to know, in one line; "" for nothing.
        peak_bytes: estimated peak memory in bytes of a build on one picture of (height, width);
            None when unknown.
    """

    name: str
    title: str
    source: str
    licence: str
    builds: tuple[Build, ...]
    tasks: frozenset[str]
    open: Opener
    stochastic: bool = False
    stepped: bool = False
    feed: Literal["degraded", "clean"] = "degraded"
    control: bool = False
    note: str = ""
    peak_bytes: Callable[[Build, int, int], int] | None = None


def draws_of(spec: MethodSpec, seeds: Sequence[int], steps: Sequence[int]) -> tuple[Draw, ...]:
    """Return the distinct draws that `spec` needs for the seeds and step counts asked for."""
    own_seeds = seeds if spec.stochastic else (DETERMINISTIC.seed,)
    own_steps = steps if spec.stepped else (DETERMINISTIC.steps,)
    return tuple(Draw(seed, count) for seed in own_seeds for count in own_steps)
