"""`e2r-bench study plan`: several degradations, one tool each: which order, which tool?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import NAMES, OUTPUT

_TOOLS = "noise=ffdnet,noise=nlm,jpeg=waifu2x,haze=dcp,rain=gf-derain"


@click.command("plan", short_help="Several degradations: which order, which tool?")
@click.option(
    "--tasks", type=NAMES, default="noise+jpeg,haze+noise,rain+haze", show_default=True,
    help="Mixtures of two or three degradations; docs/data.md lists them.",
)  # fmt: skip
@click.option(
    "--tools", type=NAMES, default=_TOOLS, show_default=True,
    help="DEGRADATION=METHOD; the first of a degradation is the usual one; all=METHOD is one call.",
)  # fmt: skip
@click.option("--metric", default="psnr", show_default=True, help="One of single pictures.")
@options.studied
@click.option("--out", type=OUTPUT, default=Path("results/plan"), show_default=True)
def command(tasks: Sequence[str], tools: Sequence[str], metric: str, **asked: Any) -> None:
    """Run every order of the true degradations with every tool; hold plans against the best.

    Fixed rules, chance, a blind planner and single calls: gain, regret, calls and seconds.
    """
    from e2r_bench.api.page_studies import study_plan
    from e2r_bench.commands.arms import settings_of, told
    from e2r_bench.run.config import make_experiment
    from e2r_bench.studies.plan_study import parse_tools

    by_part = parse_tools(tools)
    settings = settings_of(asked | {"tasks": tasks, "metrics": (metric,)})
    # The tools are its methods.
    base = make_experiment(settings | {"methods": ()}, "the command line")
    told(study_plan(base, by_part, say=click.echo))
