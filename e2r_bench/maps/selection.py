"""Which pictures of a run are looked at: restorers rather than controls, one draw of each."""

from e2r_baselines.method import Draw
from e2r_bench.runs import Run


def restorers(run: Run) -> list[str]:
    """Return the methods that are not controls; all of them where a run has controls only."""
    named = [name for name, info in run.info.methods.items() if not info.control]
    return named or list(run.info.methods)


def shown_draw(run: Run, method: str) -> Draw:
    """Return the draw whose pictures are shown: the first seed, the longest schedule."""
    draws = run.draws(method)
    return max((d for d in draws if d.seed == draws[0].seed), key=lambda draw: draw.steps)


def seeds_of(run: Run, method: str) -> list[Draw]:
    """Return the draws that differ from the shown one in the seed alone, that one included."""
    steps = shown_draw(run, method).steps
    return [draw for draw in run.draws(method) if draw.steps == steps]
