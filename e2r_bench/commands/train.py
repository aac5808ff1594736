"""`e2r-bench train`: a few-shot adapter for an instruction-editing model."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options, varying
from e2r_bench.commands.types import FILE, NAMES, OUTPUT, Folders
from e2r_bench.mistakes import reason
from e2r_metrics.base.errors import UsageError, unknown

if TYPE_CHECKING:
    from e2r_adapters.editors.releases import Routing
    from e2r_adapters.train import TrainConfig
    from e2r_bench.console import Console

# The settings that a training takes as they are.
_PLAIN = (
    "backbone", "pairs_seed", "seed", "targets", "text_encoder", "replicate_prompt_cache_bug",
    "allow_overlap", "device", "checkpoint_every", "sample_every", "experts", "recipe", "latents",
    "ema", "optimizer",
)  # fmt: skip


@click.command("train", short_help="Train a few-shot adapter.")
@click.argument("settings", required=False, type=FILE)
@click.option("--backbone", help="A miniature, a hub id or a folder.  [kontext-nano]")
@click.option("--profile", help="g1 (the paper), g2 (its repository) or nano.  [nano]")
@click.option("--tasks", type=NAMES, help="Trained together, such as denoise,derain.  [profile's]")
@click.option(
    "--pairs", type=click.IntRange(min=1), help="Per task: 16, 32, 64 or 128.  [profile's]"
)
@click.option("--pairs-seed", type=click.IntRange(min=0), help="Which pairs.  [0]")
@click.option(
    "--data",
    type=Folders(),
    help="TASK=FOLDER,... of pairs, or lists (.csv, .json, .jsonl).",
)
@options.pixels
@varying.flags
@click.option(
    "--seed", type=click.IntRange(min=0), help="Of everything but the choice of pairs.  [42]"
)
@click.option("--targets", help="full, attention; klein: common too; SANA: full, qkv.  [full]")
@click.option(
    "--recipe",
    type=click.Choice(["edit2restore", "channel-concat"]),
    help="channel-concat: SANA, with the degraded picture as channels.  [edit2restore]",
)
@click.option("--text-encoder", is_flag=True, default=None, help="Train CLIP's LoRA too.")
@click.option(
    "--experts",
    type=click.IntRange(min=0),
    help="ICEdit's mixture of so many; 0 for a plain LoRA.  [0]",
)
@click.option("--top-k", type=click.IntRange(1, 2), help="Experts that a token sees.  [1]")
@click.option(
    "--router",
    type=click.Choice(["trained", "released"]),
    help="released: as ICEdit's, whose router gets no gradient at top-k 1.  [trained]",
)
@click.option(
    "--replicate-prompt-cache-bug",
    is_flag=True,
    default=None,
    help="Show samples the prompts that the paper's release shows them.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the profile's.")
@click.option("--resolution", type=click.IntRange(min=16), help="Instead of the profile's.")
@click.option("--test", type=NAMES, help="FOLDER,... of test pictures; training on one is refused.")
@click.option("--allow-overlap", is_flag=True, default=None, help="Record such pictures instead.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where it is trained.  [auto]"
)
@click.option("--checkpoint-every", type=click.IntRange(min=0), help="Steps.  [500]")
@click.option("--sample-every", type=click.IntRange(min=0), help="Steps; 0 for none.  [500]")
@click.option("--dry-run", is_flag=True, help="Say what it takes; write and train nothing.")
@click.option("--out", type=OUTPUT, help="Folder of the adapter.")
def command(settings: Path | None, dry_run: bool, **flags: Any) -> int:
    """Train a few-shot LoRA adapter.

    SETTINGS is a TOML file with the same keys as the flags (dashes become underscores); flags
    override it. The same command on the same --out goes on with an interrupted training.
    """
    from e2r_adapters.train import train
    from e2r_bench.arms.dry import dry_training
    from e2r_bench.console import Console
    from e2r_bench.run.config import read_toml
    from e2r_bench.run.services import choose_device

    said = read_toml(settings) if settings else {}
    said |= {key: value for key, value in flags.items() if value is not None}
    config = train_config(said, str(settings) if settings else "the command line")
    # Without it the library would train on the CPU and not say so.
    if config.device != "auto":
        choose_device(config.device)
    if dry_run:
        for line in dry_training(config):
            click.echo(line)
        return 0
    with Console() as console:
        result = train(config, partial(_watched, console))
    click.echo(
        f"{result.adapter}: {result.steps} steps of profile {config.profile.name} on "
        f"{config.backbone}, {config.pairs} pairs for each of {', '.join(config.tasks)}; loss "
        f"{result.loss:.4f} (mean of the last 50 steps), {result.seconds:.0f} s"
    )
    return 0


def train_config(said: Mapping[str, Any], origin: str) -> "TrainConfig":
    """Turn settings, from flags or TOML, into a training.

    Args:
        said: flag name with underscores -> value.
        origin: where they come from, for errors.

    Raises:
        UsageError: an unknown key, or a value that is not what it should be.
    """
    from e2r_adapters.train import TrainConfig
    from e2r_adapters.train.profiles import PROFILES, with_changes

    given = _converted(said, origin)
    if "out" not in given:
        raise UsageError(f"{origin}: expected a folder for the adapter; give --out DIR")
    name = given.get("profile", "nano")
    if name not in PROFILES:
        raise unknown("training profile", name, PROFILES)
    profile = with_changes(
        PROFILES[name], epochs=given.get("epochs"), resolution=given.get("resolution")
    )
    return TrainConfig(
        out=given["out"],
        profile=profile,
        tasks=given.get("tasks", profile.tasks),
        pairs=given.get("pairs", profile.pairs),
        data={task: Path(folder).expanduser() for task, folder in given.get("data", {}).items()},
        test=tuple(Path(folder).expanduser() for folder in given.get("test", ())),
        reading=options.reading_of(given),
        variation=varying.variation_of(given),
        routing=_routing(given),
        **{key: given[key] for key in _PLAIN if key in given},
    )


def _routing(given: Mapping[str, Any]) -> "Routing":
    """Return how experts are weighted; UsageError where there are none to weigh."""
    idle = [f"--{key.replace('_', '-')}" for key in ("top_k", "router") if key in given]
    if idle and not given.get("experts"):
        raise UsageError(f"{idle[0]}: expected experts too, found none; give --experts 4")
    if given.get("top_k", 1) == 2:
        # With two the release's weights do depend on the logits: both routers are one.
        return "top2"
    return "released" if given.get("router") == "released" else "switch"


def _converted(said: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return settings as their flags' types make them, wherever they were written."""
    flags = {
        str(flag.name): flag for flag in command.params if flag.name not in ("settings", "dry_run")
    }
    found: dict[str, Any] = {}
    for key, value in said.items():
        if key not in flags:
            raise unknown(f"key in {origin}", key, flags)
        # As text, so that neither 1.5 nor true is a whole number.
        plain = str(value) if isinstance(value, int | float) else value
        try:
            found[key] = flags[key].type.convert(plain, None, None)
        except (click.BadParameter, TypeError, ValueError) as error:
            why = f"expected another type, found {value!r}"
            if isinstance(error, click.BadParameter):
                why = reason(flags[key].type, error.message)
            raise UsageError(f"{origin}: {key}: {why}") from error
    return found


def _watched(console: "Console", done: int, steps: int, loss: float) -> None:
    """Move the live line; see `e2r_adapters.train.loop.Progress`."""
    console.watch("training", done, steps, f"loss {loss:.4f}")
