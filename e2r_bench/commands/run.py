"""`e2r-bench run`: restore, score, report."""

from pathlib import Path
from typing import Any

import click

_LISTS = ("methods", "tasks", "data", "metrics")
_NUMBERS = ("seeds", "steps")


def _split(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """Turn "a,b" into ["a", "b"]; numbers for seeds and steps."""
    del ctx
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if parameter.name in _NUMBERS and not all(part.isdigit() for part in parts):
        raise click.BadParameter(f"expected whole numbers such as 0,1,2, found {value!r}")
    return [int(part) for part in parts] if parameter.name in _NUMBERS else parts


def _variants(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str] | None:
    del ctx, parameter
    pairs = [entry.partition("=") for group in value for entry in group.split(",")]
    if any(not (name and equals and variant) for name, equals, variant in pairs):
        raise click.BadParameter(
            f"expected METRIC=VARIANT such as psnr=y, found {','.join(value)!r}"
        )
    return {name: variant for name, _, variant in pairs} or None


@click.command("run", short_help="Restore, score and report.")
@click.argument("experiment", required=False, type=click.Path(path_type=Path))
@click.option(
    "--methods", callback=_split, help="e.g. kontext_lora,promptir; the controls always join."
)
@click.option(
    "--tasks", callback=_split, help="denoise15 denoise25 denoise50 derain dehaze dejpeg lowlight."
)
@click.option("--data", callback=_split, help="'mini', a folder, or TASK=FOLDER,...  [mini]")
@click.option("--protocol", help="Named protocol: crop, noise, rounding, metric variants.  [e2r]")
@click.option("--noise-seed", type=int, help="Seed of the degradations.  [0]")
@click.option("--seeds", callback=_split, help="Sampler seeds, e.g. 0,1,2.  [0]")
@click.option("--steps", callback=_split, help="Sampler steps, e.g. 4,8,28.  [28]")
@click.option("--metrics", callback=_split, help="e.g. psnr,ssim,lpips,fid,cmmd,clip_iqa.")
@click.option("--profile", help="Which variant a bare metric name means: default or paper.")
@click.option("--variant", multiple=True, callback=_variants, help="METRIC=VARIANT, e.g. psnr=y.")
@click.option("--limit", type=click.IntRange(min=1), help="The first so many images of each set.")
@click.option("--prompts", help="Edit2Restore's prompts: g1 (paper) or g2 (repository).  [g1]")
@click.option("--prompt", help="One prompt for all tasks instead.")
@click.option("--batch", type=click.IntRange(min=1), help="Pictures at once.  [4]")
@click.option("--device", help="A torch device.  [auto]")
@click.option("--dtype", help="float32 or bfloat16.  [float32]")
@click.option(
    "--tile", type=click.IntRange(min=64), help="Side of square tiles; whole pictures without."
)
@click.option("--backbone", help="auto, kontext-nano, a hub id or a folder.  [auto]")
@click.option("--adapter", type=click.Path(path_type=Path), help="LoRA file for kontext_lora.")
@click.option("--guidance", type=float, help="Kontext's guidance.  [2.5]")
@click.option("--resize", help="native, paper or aspect.  [native]")
@click.option("--offload", help="none, model or sequential.  [none]")
@click.option("--quantize", help="none, nf4 or int8.  [none]")
@click.option(
    "--weights", multiple=True, type=click.Path(path_type=Path), help="Folder of weight files."
)
@click.option("--offline", is_flag=True, default=None, help="Open no connection.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder.  [results/run]")
def command(experiment: Path | None, **flags: Any) -> int:
    """Restore photographs with several methods, score them, and report.

    EXPERIMENT is a TOML file with the same settings; flags override it.
    """
    from e2r_bench.config import make_experiment, read_toml
    from e2r_bench.console import Console
    from e2r_bench.runner import run_experiment

    given = {key: value for key, value in flags.items() if value not in (None, ())}
    settings = (read_toml(experiment) if experiment else {}) | given
    origin = str(experiment) if experiment else "the command line"
    with Console() as console:
        outcome = run_experiment(
            make_experiment(settings, origin), settings, console.watch, console.say
        )
    console.table(outcome.run)
    for (method, task, image), error in outcome.failures.items():
        click.echo(f"failed: {method} on {task}/{image}: {error}", err=True)
    return 1 if outcome.failures else 0
