"""What a study of the early filter runs: the chosen draws, and rivals of the same cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2r_metrics.base.errors import UsageError

PLAIN, AVERAGED = "plain", "averaged"
"""Instances: the method without a filter, and the mean pictures of some of its draws."""


@dataclass(frozen=True)
class Asked:
    """What is studied.

    Attributes:
        method: that draws.
        judges: who choose, by name.
        candidates, filter_steps, steps: M, m and n.
        seeds: of the draws; the mean picture needs `averaged` of them.
    """

    method: str
    judges: tuple[str, ...]
    candidates: int
    filter_steps: int
    steps: int
    seeds: tuple[int, ...]

    @property
    def evaluations(self) -> int:
        """Return n + M m."""
        return self.steps + self.candidates * self.filter_steps

    @property
    def averaged(self) -> int:
        """Return k, the number of draws whose mean picture costs about as much; 2 at least."""
        return max(2, round(self.evaluations / self.steps))

    def chosen(self) -> Mapping[str, str]:
        """Return judge by the name of the instance that it chooses for."""
        return {f"by-{judge.partition(':')[0]}": judge for judge in self.judges}

    def first(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of the run of mean and chosen draws.

        Args:
            options: of methods, that were set already.
        """
        filtered = {
            name: {"candidates": self.candidates, "filter_steps": self.filter_steps, "judge": judge}
            for name, judge in self.chosen().items()
        }
        return {
            "methods": [f"{name}={self.method}" for name in (PLAIN, *filtered)],
            "method": {**options, **filtered}, "seeds": self.seeds, "steps": [self.steps],
        }  # fmt: skip

    def second(self, out: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of the run of the rivals of the same cost, below the first one's."""
        methods = [f"{PLAIN}={self.method}"]
        if len(self.seeds) >= self.averaged:
            methods.append(f"{AVERAGED}=folder:{out / AVERAGED}")
        return {
            "methods": methods, "method": dict(options), "seeds": self.seeds,
            "steps": [self.evaluations], "out": out / "same-cost",
        }  # fmt: skip


def check_asked(asked: Asked) -> None:
    """Refuse what leaves nothing to study; `UsageError`."""
    if len(asked.chosen()) < len(asked.judges):
        raise UsageError(f"--judges: expected different judges, found {', '.join(asked.judges)}")
    if asked.candidates < 2 or asked.filter_steps >= asked.steps:
        raise UsageError(
            "expected two candidates or more, of fewer steps than the full schedule, found "
            f"{asked.candidates} of {asked.filter_steps} steps for {asked.steps}"
        )
