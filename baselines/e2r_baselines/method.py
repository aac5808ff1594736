"""The seam between the runner and a restorer: small types, and the rows of the method catalog.

A restorer is handed photographs, a task and the sampler settings wanted, and yields one picture of
the same size for each. It opens no connection and finds no file itself: the weights it needs are
named in its `MethodSpec`, and local paths are handed to `open`. All types here pickle, so that work
can be sent to another process: what they hold as functions are module-level ones, or partials.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from e2r_baselines.degrade import Pixels, Task
from e2r_metrics.base.errors import UsageError, unknown


@dataclass(frozen=True)
class Photo:
    """One picture to restore; every draw made for it derives from `id`.

    Attributes:
        id: its name.
        pixels: (H, W, 3) float32, what is restored.
        truth: what a restorer never sees: only a method that asks for "both" gets it, to choose
            among its own results as nobody could without it.
    """

    id: str
    pixels: Pixels
    truth: Pixels | None = None


@dataclass(frozen=True, order=True)
class Draw:
    """One sampler setting: the seed of the sampler's noise and the number of its steps."""

    seed: int
    steps: int


# A method that draws nothing has one result per image, filed under seed 0 and 0 steps.
DETERMINISTIC = Draw(seed=0, steps=0)


@dataclass(frozen=True)
class Restored:
    """One result: (H, W, 3) float32, the size of its input, nominally [0, 1].

    The runner clips and rounds it to 8 bits; values far outside [0, 1] are refused, since they
    come from a network with another range.
    """

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

        Raises:
            PictureError: a photo it cannot restore; the runner tries the others alone.
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
        name: such as "promptir" or "promptir-nano"; rows and reports say `title`.
        files: names of weight files, as in a `weights.toml`; empty for methods without weights.
        miniature: True for our own small stand-in, which is never passed off as the method.
        own_files: the user's files that it was given by path, hashed like weights: label -> path.
        edition: of the weights, where more than one have lain under one name.
    """

    name: str
    files: tuple[str, ...] = ()
    miniature: bool = False
    own_files: Mapping[str, Path] = field(default_factory=dict[str, Path], hash=False)
    edition: int | None = None

    @property
    def title(self) -> str:
        """Return what every row and report says, such as "kontext-nano (edition 3)"."""
        return self.name if self.edition is None else f"{self.name} (edition {self.edition})"


def serves_all(task: Task) -> None:
    """Return no reason against any task."""
    del task


Opener = Callable[[Build, Mapping[str, Path], Compute], Restorer]
Inputs = Callable[[str, str], Path | None]
"""From (task name, image id) to the file that holds a ready result; None if there is none."""


@dataclass(frozen=True)
class MethodSpec:
    """A method with its options decided.

    Attributes:
        name: the name on the command line.
        title: how a table names it.
        source: paper or project.
        licence: licence of the code and of the weights.
        builds: in order of preference; the first whose files are all present is used, and said.
        tasks: names of the task kinds it is meant for; others run too, and are marked as outside.
        unserved: from a task to why nothing of it can run that, which is not planned; else None.
        open: load a build; takes the build, its files as local paths, and the compute settings.
            Raises `UsageError` for a checkpoint of another network, or a package that is absent.
        version: of a plugin's distribution; a change of it is a change of the method.
        inputs: where its results lie on disk already; they are hashed, since they may be replaced.
        stochastic, stepped: whether the seed, and the steps, of a `Draw` change the result.
        feed: what it is given; "clean" and "both" are for controls. See `Photo.truth`.
        control: whether it shows what no restoration, a perfect one or the pipeline itself costs
            rather than what a method can do.
        extra_evaluations: of the model, for each picture, beyond the steps of its draw.
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
    unserved: Callable[[Task], str | None] = serves_all
    version: str = ""
    inputs: Inputs | None = None
    stochastic: bool = False
    stepped: bool = False
    feed: Literal["degraded", "clean", "both"] = "degraded"
    control: bool = False
    extra_evaluations: int = 0
    note: str = ""
    peak_bytes: Callable[[Build, int, int], int] | None = None


@dataclass(frozen=True)
class NoOptions:
    """The options of a method that has none."""


@dataclass(frozen=True)
class Method:
    """One row of the method catalog: a name, the options it takes, and the method that they make.

    Attributes:
        name: the name on the command line.
        options: a frozen dataclass with a default for each field; its fields are what
            `--set INSTANCE.FIELD=VALUE` may set.
        make: from an instance of `options` to the method; "auto" among them is decided here, on
            the machine that the work runs on.
        runs: the words of the command line that it would start on this machine, for methods that
            start somebody's program; whoever did not type them is asked first.
    """

    name: str
    options: type[Any]
    make: Callable[[Any], MethodSpec]
    runs: tuple[str, ...] = ()


def fixed(spec: MethodSpec) -> Method:
    """Return the catalog row of a method without options."""
    return Method(spec.name, NoOptions, partial(_fixed, spec))


def _fixed(spec: MethodSpec, options: NoOptions) -> MethodSpec:
    del options
    return spec


def spec_of(method: Method, given: Mapping[str, Any] | None = None) -> MethodSpec:
    """Return what a method becomes with some of its options set; see `options_of`.

    Raises:
        UsageError: an option that cannot be, or what it names is not to be had.
    """
    return method.make(options_of(method, given or {}))


def options_of(method: Method, given: Mapping[str, Any]) -> Any:
    """Return the options of a method with some fields set.

    Args:
        method: its row.
        given: field name to value; text is turned into what the field is declared as.

    Raises:
        UsageError: an unknown field (the nearest is named) or a value of the wrong kind.
    """
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in fields(method.options)]
    for key in given:
        if key not in known:
            if not known:
                raise UsageError(f"method {method.name!r} has no options, found {key!r}")
            raise unknown(f"option of {method.name}", key, known)
    try:
        return TypeAdapter(method.options).validate_python(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "options"
        raise UsageError(
            f"{method.name}.{where}: {first['msg']}, found {first['input']!r}"
        ) from error


def draws_of(spec: MethodSpec, seeds: Sequence[int], steps: Sequence[int]) -> tuple[Draw, ...]:
    """Return the distinct draws that `spec` needs for the seeds and step counts asked for."""
    own_seeds = seeds if spec.stochastic else (DETERMINISTIC.seed,)
    own_steps = steps if spec.stepped else (DETERMINISTIC.steps,)
    return tuple(Draw(seed, count) for seed in own_seeds for count in own_steps)
