"""Whether a training can begin: all that it is refused for before a model is loaded.

`train` and its dry run both ask here, so that what the one would refuse the other says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from e2r_adapters.editors.backbones import family_named
from e2r_adapters.editors.loading import sizes_of
from e2r_adapters.train.config import TrainConfig
from e2r_adapters.train.latents import MARKS as OF_LATENTS
from e2r_adapters.train.pictures import Pair, check_size
from e2r_adapters.train.profiles import repeats_for
from e2r_adapters.train.record import MARKS, Record, is_finished, record_of
from e2r_adapters.train.selection import Selection, select
from e2r_adapters.train.sources import is_painted
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import refuse_foreign_folder
from e2r_metrics.base.locks import refuse_other_folder


@dataclass(frozen=True)
class Ready:
    """A training that can begin.

    Attributes:
        selection: its pairs; without those that are painted, where they were not asked for.
        told: all that decides its weights; see `record_of`.
        finished: whether its folder holds the adapter already.
    """

    selection: Selection
    told: Record
    finished: bool


def make_ready(config: TrainConfig, painting: bool = True) -> Ready:
    """Choose the pairs of a training, and refuse what cannot be trained; nothing is written.

    Args:
        config: on a concrete backbone; see `made_concrete`.
        painting: paint pairs too, which takes a minute; of their size all is known before.

    Raises:
        UsageError: see `check_places` and `select`; a picture that is too small, a pair with a
            caption whose task has other wordings, or a folder that holds another training.
    """
    check_places(config)
    selection = select(config, painting)
    _check_pairs(config, selection.pairs)
    told = record_of(config, selection)
    whole = painting or not any(is_painted(config, task) for task in config.tasks)
    return Ready(selection, told, is_finished(config.out, told, whole))


def check_places(config: TrainConfig) -> None:
    """Refuse folders of something else, and numbers that do not go together; no picture is read.

    Raises:
        UsageError: which, and what to change.
    """
    refuse_other_folder(config.out, MARKS)
    if config.latents is not None:
        refuse_foreign_folder(config.latents, OF_LATENTS)
    profile = config.profile
    repeats_for(profile, config.pairs)
    samples = len(config.tasks) * profile.exposure
    if samples % profile.batch:
        raise UsageError(
            f"expected an epoch that divides into batches of {profile.batch}, found {samples} "
            "samples; change the number of tasks or the batch"
        )
    _check_sides(config)


def _check_sides(config: TrainConfig) -> None:
    """Refuse resolutions that the model does not take, or that painted scenes do not have."""
    sizes, profile = sizes_of(config.backbone), config.profile
    for side in config.variation.sides(profile.epochs, profile.resolution):
        if side < sizes.least or side % sizes.multiple:
            raise UsageError(
                f"{family_named(config.backbone).name}: expected training pictures whose side is a "
                f"multiple of {sizes.multiple} and {sizes.least} or more, found {side}; change "
                "--resolution or --curriculum"
            )
    painted = [task for task in config.tasks if is_painted(config, task)]
    if painted and _largest_window(config) > profile.painted:
        raise UsageError(
            f"{painted[0]}: expected sides of at most {profile.painted}, that of painted scenes, "
            f"found {_largest_window(config)}; change --resolution or --curriculum, or give --data "
            f"{painted[0]}=FOLDER"
        )


def _largest_window(config: TrainConfig) -> int:
    """Return the largest side that is cut out of pictures; 0 where they are squashed."""
    profile, variation = config.profile, config.variation
    if profile.fit != "crop" and "crop" not in variation.augment:
        return 0
    return max(variation.sides(profile.epochs, profile.resolution))


def _check_pairs(config: TrainConfig, pairs: Sequence[Pair]) -> None:
    """Refuse what a training would stop at later: each size is seen before the first step."""
    captioned = {pair.task for pair in pairs if pair.caption}
    both = sorted(captioned & config.variation.prompts.keys())
    if both:
        raise UsageError(
            f"--prompts: the pairs of {both[0]} have captions of their own; drop one of the two"
        )
    for pair in pairs:
        check_size(pair, _largest_window(config))
