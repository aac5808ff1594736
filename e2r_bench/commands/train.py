"""`e2r-bench train`: a few-shot adapter for a Kontext backbone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_adapters.config import TrainConfig


@click.command("train", short_help="Train a few-shot adapter.")
@click.argument("settings", required=False, type=click.Path(path_type=Path))
@click.option("--backbone", help="kontext-nano, a hub id or a folder.  [kontext-nano]")
@click.option("--profile", help="g1 (the paper), g2 (its repository) or nano.  [nano]")
@click.option("--tasks", help="Trained together, such as denoise,derain.  [profile's]")
@click.option("--pairs", type=int, help="Pairs per task: 16, 32, 64 or 128.  [profile's]")
@click.option("--pairs-seed", type=int, help="Which pairs.  [0]")
@click.option("--data", help="TASK=FOLDER,... of pairs; tasks without one are painted.")
@click.option("--seed", type=int, help="Of everything but the choice of pairs.  [42]")
@click.option("--targets", help="full (the release) or attention (the paper's text).  [full]")
@click.option("--text-encoder", is_flag=True, default=None, help="Train CLIP's LoRA too.")
@click.option(
    "--replicate-prompt-cache-bug",
    is_flag=True,
    default=None,
    help="Show samples the prompts that the paper's release shows them.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the profile's.")
@click.option("--resolution", type=click.IntRange(min=16), help="Instead of the profile's.")
@click.option("--test", help="FOLDER,... of test pictures; training on one is refused.")
@click.option("--allow-overlap", is_flag=True, default=None, help="Record such pictures instead.")
@click.option("--device", help="auto, cpu or cuda.  [auto]")
@click.option("--checkpoint-every", type=click.IntRange(min=0), help="Steps.  [500]")
@click.option("--sample-every", type=click.IntRange(min=0), help="Steps; 0 for none.  [500]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the adapter.")
def command(settings: Path | None, **flags: Any) -> int:
    """Train a few-shot LoRA adapter for a Kontext backbone.

    SETTINGS is a TOML file with the same keys as the flags (dashes become underscores); flags
    override it. The same command on the same --out goes on with an interrupted training.
    """
    from e2r_adapters.loop import train
    from e2r_bench.config import read_toml

    said = read_toml(settings) if settings else {}
    said |= {key: value for key, value in flags.items() if value is not None}
    config = train_config(said, str(settings) if settings else "the command line")
    with _Bar() as bar:
        result = train(config, bar.update)
    click.echo(
        f"{result.adapter}: {result.steps} steps of profile {config.profile.name} on "
        f"{config.backbone}, {config.pairs} pairs for each of {', '.join(config.tasks)}; loss "
        f"{result.loss:.4f} (mean of the last 50 steps), {result.seconds:.0f} s"
    )
    return 0


def train_config(said: Mapping[str, Any], origin: str) -> "TrainConfig":
    """Turn settings, from flags or TOML, into a training.

    Args:
        said: flag name with underscores -> value; lists may be comma-separated text.
        origin: where they come from, for errors.

    Raises:
        UsageError: an unknown key, or a value that is not what it should be.
    """
    from e2r_adapters.config import TrainConfig
    from e2r_adapters.lora import TARGETS
    from e2r_adapters.profiles import PROFILES, with_changes
    from e2r_metrics.base.errors import unknown

    keys = [str(flag.name) for flag in command.params if flag.name != "settings"]
    for key in said:
        if key not in keys:
            raise unknown(f"key in {origin}", key, keys)
    if "out" not in said:
        raise UsageError(f"{origin}: expected a folder for the adapter; give --out DIR")
    name = said.get("profile", "nano")
    if name not in PROFILES:
        raise unknown("training profile", name, PROFILES)
    profile = with_changes(
        PROFILES[name], epochs=said.get("epochs"), resolution=said.get("resolution")
    )
    if said.get("targets", "full") not in TARGETS:
        raise unknown("set of targets", said["targets"], TARGETS)
    plain = ("backbone", "pairs_seed", "seed", "targets", "text_encoder", "allow_overlap")
    plain += ("replicate_prompt_cache_bug", "device", "checkpoint_every", "sample_every")
    return TrainConfig(
        out=Path(said["out"]),
        profile=profile,
        tasks=tuple(_listed(said["tasks"])) if "tasks" in said else profile.tasks,
        pairs=said.get("pairs", profile.pairs),
        data=_folders(said.get("data", {})),
        test=tuple(Path(folder) for folder in _listed(said.get("test", []))),
        **{key: said[key] for key in plain if key in said},
    )


def _listed(value: str | Sequence[str]) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value)


def _folders(value: str | Mapping[str, str]) -> dict[str, Path]:
    if not isinstance(value, str):
        return {task: Path(folder) for task, folder in value.items()}
    pairs = [part.partition("=") for part in _listed(value)]
    if not all(task and folder for task, _, folder in pairs):
        raise UsageError(f"--data: expected TASK=FOLDER,..., found {value!r}")
    return {task: Path(folder) for task, _, folder in pairs}


class _Bar:
    """A progress bar with the time left and the loss."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
        )
        self._task = self._progress.add_task("training", total=None, loss=float("nan"))

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        self._progress.stop()
        return False

    def update(self, done: int, steps: int, loss: float) -> None:
        """Move the bar; see `e2r_adapters.loop.Progress`."""
        self._progress.update(self._task, completed=done, total=steps, loss=loss)
