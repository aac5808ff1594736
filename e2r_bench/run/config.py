"""One experiment: what `e2r-bench run` is asked, from a TOML file, flags, or Python."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from e2r_bench.run.tasks import TaskTable
from e2r_metrics.base.addresses import fetched, is_address
from e2r_metrics.base.errors import UsageError, repeated, unknown
from e2r_metrics.base.files import read_text
from e2r_metrics.base.pairs import Matching
from e2r_metrics.base.pictures import MOST_PIXELS, Reading, parse_colour
from e2r_metrics.view import parse_crop

DEFAULT_TASKS = ("denoise15", "denoise25", "denoise50", "derain", "dehaze")
BLIND_METRICS = ("niqe", "brisque", "clip_iqa")
"""The default where there is no truth."""
_LEAST_SIDE = 32
DEFAULT_METRICS = ("psnr", "ssim", "lpips", "fd_effnet", "mmd_effnet", "fid", "cmmd", "clip_iqa")


def _here(value: Any) -> Any:
    # As a path, an address would lose a slash and name a folder of this machine.
    return fetched(value) if isinstance(value, str) and is_address(value) else value


def _cut(value: Any) -> Any:
    """Return a crop as it is written in run.json: 128, or "x16"."""
    if value is None:
        return value
    try:
        side, multiple = parse_crop(value)
    except UsageError as error:
        raise ValueError(str(error).removeprefix("--crop: ")) from error
    if side is not None and side < _LEAST_SIDE:
        raise ValueError(f"expected squares of {_LEAST_SIDE} pixels or more, found {side}")
    return f"x{multiple}" if side is None else side


class Experiment(BaseModel):
    """Every setting that can change a pixel or a number; the defaults are the paper's.

    Attributes:
        methods: names in the method catalog, or INSTANCE=NAME to have one of them several times;
            `degraded` and `clean` (controls) always join.
        method: options: INSTANCE -> {option: value}; an option that stands at the top level is for
            every method that has it.
        tasks: names of tasks; `custom:NAME` is a set of pairs of one's own.
        task: tables of tasks that are data; see `e2r_bench.run.tasks`.
        data: "mini" or a folder; or TASK=folder pairs, for tasks with a set of their own.
        recursive: search the folders' sub-folders; a sequence is one scene.
        pair: how a clean file is named for a degraded one, such as "{name}_GT".
        value_range: what white is in float files.
        flatten: the colour that translucent pictures are blended onto. This, the range and
            `recursive` hold for the results of `folder:` as well, unless it has options of its own.
        max_megapixels: larger pictures fail before they are decoded; None for 268.
        protocol: a named protocol: crop, noise, rounding, metric variants.
        noise_seed: seed of the degradations, with the image id; not the sampler's seed.
        seeds: seeds of the samplers of stochastic methods.
        steps: numbers of sampler steps, for methods that have steps.
        metrics: names such as `psnr` or `psnr:y`.
        profile: which variant a bare metric name means: "default" or "paper".
        variant: metric name to variant, over the profile and the protocol.
        crop: centre crops of so many pixels square, of any set; "x16" for sides that are multiples
            of 16; part of the protocol.
        shave: pixels of each border that no metric looks at; None for what the task says.
        channel: what PSNR and SSIM are computed on; None for the variants' own.
        scenes: a CSV file that says which scene an image shows; see `read_scenes`.
        no_truth: the pictures are inputs that nobody knows the truth of: they are restored as they
            are, and only what needs no truth is measured.
        limit: the first so many images of each set.
        prompts: which generation of Edit2Restore's prompts.
        prompt: one prompt for all tasks instead, for the study of prompts.
        batch: pictures at once, at most; never changes a result by more than float rounding.
        device: a torch device, or "auto".
        dtype: of the restorers' networks.
        tile: side of square tiles, None for whole pictures.
        weights: folders searched for weight files before anything else; those at an address, such
            as s3://lab/weights, are fetched into the cache first.
        offline: open no connection.
        shard: "i/n": only this part of the pictures, for `e2r-bench merge`.
        out: the run folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...]
    method: Mapping[str, Any] = Field(default_factory=dict)
    tasks: tuple[str, ...] = DEFAULT_TASKS
    task: tuple[TaskTable, ...] = ()
    data: tuple[str, ...] = ("mini",)
    recursive: bool = False
    pair: str | None = None
    value_range: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    flatten: str | None = None
    max_megapixels: int | None = Field(default=None, ge=1)
    protocol: str = "e2r"
    noise_seed: int = 0
    seeds: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)
    steps: tuple[PositiveInt, ...] = Field(default=(28,), min_length=1)
    metrics: tuple[str, ...] = Field(default=DEFAULT_METRICS, min_length=1)
    profile: Literal["default", "paper"] = "default"
    variant: Mapping[str, str] = Field(default_factory=dict)
    crop: Annotated[int | str | None, BeforeValidator(_cut)] = None
    shave: int | None = Field(default=None, ge=0)
    channel: str | None = None
    scenes: Path | None = None
    no_truth: bool = False
    limit: int | None = Field(default=None, ge=1)
    prompts: Literal["g1", "g2"] = "g1"
    prompt: str | None = None
    batch: int = Field(default=4, ge=1)
    device: str = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    tile: int | None = Field(default=None, ge=64)
    weights: tuple[Annotated[Path, BeforeValidator(_here)], ...] = ()
    offline: bool = False
    shard: str | None = None
    out: Path = Path("results/run")

    @model_validator(mode="before")
    @classmethod
    def _blind_by_default(cls, said: Any) -> Any:
        if isinstance(said, dict) and said.get("no_truth") is True and "metrics" not in said:
            return {**said, "metrics": BLIND_METRICS}
        return said

    @field_validator("methods", "tasks", "data", "seeds", "steps", "metrics", "weights")
    @classmethod
    def _each_once(cls, listed: tuple[Any, ...]) -> tuple[Any, ...]:
        if twice := repeated(listed):
            raise ValueError(f"expected each once, found {twice} twice")
        return listed

    def reading(self) -> Reading:
        """Return how files become pixels; UsageError for a colour that is none."""
        colour = None if self.flatten is None else parse_colour(self.flatten)
        most = MOST_PIXELS if self.max_megapixels is None else self.max_megapixels * 10**6
        return Reading(self.value_range, colour, most)

    def how_read(self) -> dict[str, Any]:
        """Return what was said of all picture files of the experiment, by setting."""
        said = {
            "value_range": self.value_range, "flatten": self.flatten,
            "recursive": self.recursive or None,
        }  # fmt: skip
        return {key: value for key, value in said.items() if value is not None}

    def matching(self) -> Matching:
        """Return how files find their partners; UsageError for a pattern without a name."""
        if self.pair is not None and "{name}" not in self.pair:
            raise UsageError(
                f'--pair: expected {{name}} in it, such as "{{name}}_GT", found {self.pair!r}'
            )
        return Matching(self.recursive, self.pair)


# What two invocations on one folder may differ in: they add cells, and change none.
ADDITIVE = frozenset({"methods", "method", "tasks", "data", "seeds", "steps", "metrics"})
# What cannot change a result by more than float rounding, or is not about the result; which scenes
# a file names is compared by content, not by the file's name.
NEUTRAL = frozenset({"batch", "device", "weights", "offline", "out", "max_megapixels", "scenes"})


def read_toml(path: Path) -> dict[str, Any]:
    """Read the settings of a TOML file; UsageError if it is missing or not TOML."""
    try:
        return tomllib.loads(read_text(path))
    except OSError as error:
        raise UsageError(f"{path}: expected a TOML file, found: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected TOML, found: {error}") from error


def make_experiment(
    settings: Mapping[str, Any], origin: str, allow_commands: bool = False
) -> Experiment:
    """Check settings and return the experiment.

    Args:
        settings: keys are the attributes of `Experiment`.
        origin: where they come from, for the error.
        allow_commands: whether an option may name a program that is started.

    Raises:
        UsageError: an unknown key (the nearest is named), a value of the wrong kind, or a program
            that nobody allowed.
    """
    for key in settings:
        if key not in Experiment.model_fields:
            raise unknown(f"key in {origin}", key, Experiment.model_fields)
    try:
        made = Experiment.model_validate(dict(settings))
        if not allow_commands:
            _refuse_judges(made.method, origin)
        return made
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(".".join(str(part) for part in first["loc"]).split())
        if first["type"] == "missing":
            raise UsageError(f"{origin}: expected {where}, found none; give --{where}") from error
        if first["type"] == "value_error":
            # Our own words, which say what was found.
            said = first["msg"].removeprefix("Value error, ")
            raise UsageError(f"{origin}: {where}: {said}") from error
        raise UsageError(f"{origin}: {where}: {first['msg']}, found {first['input']!r}") from error


def _refuse_judges(options: Mapping[str, Any], origin: str) -> None:
    """Refuse judges that are programs: one starts for each pair of candidates."""
    for value in (options, *(one for one in options.values() if isinstance(one, Mapping))):
        judge = str(value.get("judge", ""))
        if judge.startswith("command:"):
            raise UsageError(
                f"{origin}: judge={judge}: would start that program; expected --allow-commands of "
                "`e2r-bench run` beside it; read it, then give that"
            )
