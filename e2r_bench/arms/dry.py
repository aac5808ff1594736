"""What trainings and the runs of their adapters would take: steps, pictures, time, disk."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from e2r_baselines.method import MethodSpec, serves_all
from e2r_bench.arms.claims import Arm
from e2r_bench.arms.running import ArmRunner
from e2r_bench.arms.training import is_trained
from e2r_bench.run.dry import (
    Survey,
    clock_words,
    download_words,
    method_words,
    size_words,
    survey,
    time_words,
)
from e2r_bench.run.plan import Catalog, known_methods
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_adapters.train import TrainConfig

_BYTES = 4
_CHECKPOINTS = 3
"""The two that are kept, and the one that is being written."""
_STATE = 3
"""A checkpoint holds each number, AdamW's two moments of it, and the average where one is kept."""
NOTHING_DONE = "dry run: nothing was written, fetched, trained or restored"


@dataclass(frozen=True)
class Ahead:
    """What is ahead of one training.

    Attributes:
        config: the training, on a concrete backbone.
        steps: optimizer steps in all.
        done: of them, by the newest checkpoint or the finished adapter.
        timed: seconds of the steps that its log has.
        disk: bytes of its adapter and of the checkpoints that are there at once, at most.
    """

    config: "TrainConfig"
    steps: int
    done: int
    timed: tuple[float, ...]
    disk: int

    @property
    def words(self) -> str:
        """Return in words what is to be done."""
        asked = self.config
        what = f"{asked.out.name}: {asked.pairs} pairs of {', '.join(asked.tasks)}"
        if self.done == self.steps:
            return f"{what}; there already"
        return f"{what}; {self.steps - self.done} of {self.steps} steps to train"


def ahead_of(config: "TrainConfig") -> Ahead:
    """Look up what a training would do; no model is loaded and no picture is read.

    Raises:
        UsageError: settings that do not go together, a backbone that is not there, or a folder of
            something else.
    """
    from e2r_adapters.train import check_places, checkpoint, journal, made_concrete
    from e2r_adapters.train.profiles import total_steps

    config = made_concrete(config)
    check_places(config)
    steps = total_steps(config.profile, len(config.tasks))
    held = checkpoint.found(config.out)
    done = steps if is_trained(config) else int(held[-1].stem.removeprefix("step")) if held else 0
    rows = journal.read_log(config.out)
    timed = tuple(float(row["seconds"]) for row in rows if "seconds" in row)
    return Ahead(config, steps, done, timed, 0 if done == steps else _disk(config))


def _disk(config: "TrainConfig") -> int:
    from e2r_adapters.editors.backbones import family_named, shapes_of
    from e2r_adapters.lora.attach import parameters_of

    parts = family_named(config.backbone).lora.parts
    names = ("transformer", "text_encoder") if config.text_encoder else ("transformer",)
    numbers = sum(
        parameters_of(
            shapes_of(config.backbone, name),
            parts[name].targets[config.targets],
            config.profile.rank,
        )
        for name in names
        if name in parts
    )
    # A mixture has fewer: not every Linear has experts, and their routers are smaller than those.
    state = _STATE + bool(config.ema)
    return numbers * max(1, config.experts) * _BYTES * (1 + _CHECKPOINTS * state)


def dry_training(config: "TrainConfig") -> Iterator[str]:
    """Yield what a training would do, in lines; nothing is written, painted or trained.

    Raises:
        UsageError: all that the training itself would be refused for before its first step.
    """
    from e2r_adapters.train import make_ready

    one = ahead_of(config)
    make_ready(one.config, painting=False)
    yield f"train {one.words}; profile {one.config.profile.name} on {one.config.backbone}"
    yield f"time: {_training_time([one])}"
    yield f"disk: at most {size_words(one.disk)} of adapter and checkpoints in {config.out}"
    yield "downloads: none; a backbone is used from this machine"
    yield "dry run: nothing was written, fetched or trained"


def _training_time(found: Sequence[Ahead]) -> str:
    """Return the time of what is left, from steps that were timed in trainings like it."""
    seen: defaultdict[bool, list[float]] = defaultdict(list)
    for one in found:
        seen[one.config.text_encoder] += one.timed
    left = [one for one in found if one.done < one.steps]
    known = {kind: fmean(times) for kind, times in seen.items() if times}
    seconds = sum(
        known[one.config.text_encoder] * (one.steps - one.done)
        for one in left
        if one.config.text_encoder in known
    )
    said: list[str] = []
    unknown = sum(one.config.text_encoder not in known for one in left)
    if unknown < len(left) or not unknown:
        said.append(f"{clock_words(seconds)} to train what was timed in this folder before")
    if unknown:
        count = "one training" if unknown == 1 else f"{unknown} trainings"
        said.append(f"not known for {count}, of whose kind no step was done here yet")
    return "; ".join(said)


def dry_arms(runner: ArmRunner, wanted: Sequence[tuple[Arm, str]]) -> Iterator[str]:
    """Yield what running arms would take, in lines; nothing is trained, run or written.

    Args:
        runner: would train and run them.
        wanted: arms, each with a task that it is asked for on.

    Raises:
        UsageError: the user's mistakes.
    """
    trainings = list(_trainings(runner, [arm for arm, _ in wanted]).values())
    for one in trainings:
        yield f"train {one.words}"
    planned = runner.planning([arm for arm, _ in wanted])
    runs, untrained = planned.experiments(wanted), planned.untrained(wanted)
    known = known_methods() if runner.catalog is None else runner.catalog
    surveys: dict[str, Survey] = {}
    for key, run in runs.items():
        try:
            surveys[key] = survey(run, _trained(known) if key in untrained else known)
        except UsageError as error:
            # As in the judgement itself: an arm that cannot run stops no other.
            yield f"run {key}: {error}"
    for key, found in surveys.items():
        for method in runs[key].methods:
            yield f"run {key}, restore with {method}: {method_words(found, method)}"
    steps = sum(one.steps - one.done for one in trainings)
    todo = sum(one.done < one.steps for one in trainings)
    pictures = sum(sum(found.left.values()) for found in surveys.values())
    yield f"in all {todo} trainings of {steps} steps to do, {pictures} pictures to restore"
    yield f"time: {_training_time(trainings)}"
    yield time_words(list(surveys.values()))
    yield (
        f"disk: at most {size_words(sum(one.disk for one in trainings))} of adapters and "
        f"checkpoints, {size_words(sum(found.disk for found in surveys.values()))} of pictures "
        f"before PNG, in {runner.base.out}"
    )
    yield download_words(list(surveys.values()))
    yield NOTHING_DONE


def _trained(known: Catalog) -> Catalog:
    """Return methods as they are once their adapters are there, which serve every task."""
    return {name: replace(row, make=partial(_serving, row.make)) for name, row in known.items()}


def _serving(make: Callable[[Any], MethodSpec], options: Any) -> MethodSpec:
    return replace(make(options), unserved=serves_all)


def _trainings(runner: ArmRunner, arms: Sequence[Arm]) -> Mapping[Path, Ahead]:
    home = runner.base.out / "adapters"
    configs = {
        config.out: config
        for arm in arms
        if arm.training is not None
        for config in runner.training.configs(arm.training, home)
    }
    return {out: ahead_of(config) for out, config in configs.items()}
