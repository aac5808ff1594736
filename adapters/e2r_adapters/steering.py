"""What the options of a method say about steering its samples, checked and named."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_adapters.options import CONSISTENCY, FILTER_STEPS, ORACLE, SampledOptions
from e2r_baselines.method import MethodSpec
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_adapters.early_filter import EarlyFilter
    from e2r_adapters.fidelity import Fidelity
    from e2r_adapters.judges import JudgeRow


def fidelity_of(options: SampledOptions) -> "Fidelity | None":
    """Return the constraint on samples; None where nothing holds them.

    Raises:
        UsageError: a strength outside [0, 1], or a constraint that no strength applies.
    """
    if not 0 <= options.consistency <= 1:
        raise UsageError(
            f"--set consistency={options.consistency:g}: expected a strength from 0 to 1"
        )
    if options.consistency == 0 and options.constraint != "task":
        raise UsageError(
            f"--set constraint={options.constraint}: expected a strength too, found none; give "
            "--set consistency=1, or less"
        )
    if options.consistency == 0:
        return None
    from e2r_adapters.fidelity import Fidelity

    return Fidelity(options.consistency, options.constraint)


def judge_of(options: SampledOptions) -> "JudgeRow | None":
    """Return who chooses among candidates; None where there is one.

    Raises:
        UsageError: fewer than one candidate or step, an unknown judge, or settings of a filter that
            has nothing to choose from.
    """
    if options.candidates < 1 or options.filter_steps < 1:
        raise UsageError(
            f"expected candidates and filter_steps of at least 1, found {options.candidates} and "
            f"{options.filter_steps}"
        )
    if options.candidates > 1:
        from e2r_adapters.judges import judge_named

        return judge_named(options.judge)
    if (options.filter_steps, options.judge) != (FILTER_STEPS, CONSISTENCY):
        raise UsageError(
            "expected several candidates to choose from, found one; give --set candidates=6, or "
            "leave filter_steps and judge out"
        )
    return None


def filter_of(
    options: SampledOptions, files: Mapping[str, Path], device: str
) -> "EarlyFilter | None":
    """Return the filter that is ready to choose; see `judge_of`."""
    row = judge_of(options)
    if row is None:
        return None
    from e2r_adapters.early_filter import EarlyFilter
    from e2r_adapters.judges import open_judge

    judge = open_judge(row, files, device)
    return EarlyFilter(options.candidates, options.filter_steps, judge)


def steered(spec: MethodSpec, options: SampledOptions) -> MethodSpec:
    """Return a method whose builds say how its samples are steered, as every row then does."""
    held, judge = fidelity_of(options), judge_of(options)
    if held is not None:
        band = " low-band" if held.constraint == "low-band" else ""
        spec = _renamed(spec, f"consistency {held.strength:g}{band}")
    if judge is None:
        return spec
    by = "the truth (ORACLE, an upper bound)" if judge.name == ORACLE else judge.name
    spec = _renamed(spec, f"filter {options.candidates}x{options.filter_steps} by {by}", judge)
    return replace(
        spec,
        extra_evaluations=options.candidates * options.filter_steps,
        feed="both" if judge.name == ORACLE else spec.feed,
        control=judge.name == ORACLE,
    )


def _renamed(spec: MethodSpec, how: str, judge: "JudgeRow | None" = None) -> MethodSpec:
    weights = () if judge is None else judge.weights
    builds = (
        replace(build, name=f"{build.name} {how}", files=(*build.files, *weights))
        for build in spec.builds
    )
    return replace(spec, builds=tuple(builds))
