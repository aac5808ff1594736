"""What a training is refused for before anything is loaded."""

from e2r_adapters.editors.backbones import family_named, is_miniature
from e2r_adapters.editors.families import FAMILIES
from e2r_adapters.train.config import PAINTED, TRAINED_ROUTINGS, Recipe, TrainConfig
from e2r_adapters.train.optimizers import check_optimizer
from e2r_adapters.train.profiles import kind_of
from e2r_adapters.train.variation import UNVARIED, check_variation
from e2r_metrics.base.errors import UsageError, unknown

_WITH_MIXTURES = "fill"
"""The family whose method `icedit_moe` runs mixtures."""
_BY_CHANNELS = "sana-concat"
"""The family whose condition is joined by what training makes of a projection."""


def check(config: TrainConfig) -> None:
    """Refuse settings that do not go together.

    Args:
        config: with a concrete backbone.

    Raises:
        UsageError: which, and what to change.
    """
    if config.replicate_prompt_cache_bug and config.text_encoder:
        raise UsageError(
            "--replicate-prompt-cache-bug with --text-encoder: the release's text-encoder runs "
            "encode the prompt in every step and do not have the defect; drop one of the two"
        )
    if len(set(config.tasks)) != len(config.tasks) or not config.tasks:
        raise UsageError(f"expected one or more different tasks, found {list(config.tasks)}")
    stray = sorted(config.data.keys() - set(config.tasks))
    if stray:
        raise UsageError(f"data for {stray[0]!r}, which is not trained: {list(config.tasks)}")
    for task in config.tasks:
        kind_of(task)
    _check_painted(config)
    _check_recipe(config)
    _check_showing(config)
    known = family_named(config.backbone).lora.parts["transformer"].targets
    if config.targets not in known:
        raise unknown("set of targets", config.targets, known)
    if config.experts:
        _check_experts(config)


def _check_showing(config: TrainConfig) -> None:
    """Refuse what cannot be shown, encoded, averaged or stepped as asked."""
    check_variation(config.variation, config.tasks, config.profile.epochs)
    check_optimizer(config.optimizer, config.device)
    if not 0 <= config.ema < 1:
        raise UsageError(f"--ema: expected a decay from 0 to below 1, found {config.ema:g}")
    if config.latents and config.variation.live:
        raise UsageError(
            "--latents: expected --variants too, found draws that are encoded when they are shown; "
            "give --variants 8, or drop --latents"
        )
    if config.replicate_prompt_cache_bug and config.variation != UNVARIED:
        raise UsageError(
            "--replicate-prompt-cache-bug replays the release, which shows each sample alike in "
            "all epochs; drop it, or --augment, --degrade, --prompts and --curriculum"
        )


def _check_recipe(config: TrainConfig) -> None:
    """Refuse a recipe that is another family's: what a condition is joined by cannot be chosen."""
    found = family_named(config.backbone).name
    wanted: Recipe = "channel-concat" if found == _BY_CHANNELS else "edit2restore"
    if config.recipe == wanted:
        return
    others = sorted({one.name for one in FAMILIES.values()} - {_BY_CHANNELS})
    fitting = [_BY_CHANNELS] if config.recipe == "channel-concat" else others
    raise UsageError(
        f"--recipe {config.recipe}: expected a backbone of the family {' or '.join(fitting)}, "
        f"found {config.backbone} of {found}; give --recipe {wanted}, or another --backbone"
    )


def _check_painted(config: TrainConfig) -> None:
    """Refuse pictures that nobody asked to be painted, and a name that means two things."""
    if PAINTED in config.data.values() and PAINTED.exists():
        raise UsageError(
            f"data {PAINTED}: expected the word for painted pictures, found a file of that name "
            "too; give a folder by its full path"
        )
    silent = [task for task in config.tasks if task not in config.data]
    if silent and not is_miniature(config.backbone):
        raise UsageError(
            f"{config.backbone} is no miniature: expected pictures to train {silent[0]} on, found "
            f"none; give --data {silent[0]}=FOLDER, or ask for painted ones by name: "
            f"--data {silent[0]}={PAINTED}"
        )


def _check_experts(config: TrainConfig) -> None:
    """Refuse a mixture that could not be run, or that is none."""
    family = family_named(config.backbone).name
    if family != _WITH_MIXTURES:
        raise UsageError(
            f"--experts: expected a backbone of the family {_WITH_MIXTURES}, whose mixtures "
            f"icedit_moe runs, found {config.backbone} of {family}; leave --experts out"
        )
    if config.experts < 2:
        raise UsageError(
            f"--experts: expected two or more, found {config.experts}; one expert is a plain LoRA: "
            "leave --experts out"
        )
    if config.routing not in TRAINED_ROUTINGS:
        raise unknown("routing of a training", config.routing, TRAINED_ROUTINGS)
    if config.text_encoder:
        raise UsageError("--experts with --text-encoder: expected one of them; drop one of the two")
