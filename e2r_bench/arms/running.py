"""Running what a claim or a study compares: one run folder per adapter and prompt, resumable."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_baselines.tasks import TASKS, Task
from e2r_bench.arms.claims import Arm
from e2r_bench.arms.training import ArmTraining
from e2r_bench.run.config import Experiment
from e2r_bench.run.plan import Catalog, instance_of, known_methods, make_plan
from e2r_bench.run.restore import Watch
from e2r_bench.run.runner import refuse_idle_methods, run_experiment, unwatched
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_bench.studies.measure import MeasuredArm, arm_of
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_metrics import Session

Say = Callable[[str], None]
_NO_PROMPT = ""
_TRAINED = "kontext_lora"


@dataclass
class ArmRunner:
    """Runs arms below one folder; what is there already is kept, as `run_experiment` does.

    Attributes:
        base: data, tasks, metrics, limit, device and the rest; its methods are replaced.
        training: how and on what arms are trained; its backbone is the one that is run.
        say: told what is being done.
        planned: arms that will be asked for, so that one run serves all that share an adapter.
        catalog: the methods; None for ours and those of plugins.
        watch: told of the progress of trainings and runs.
    """

    base: Experiment
    training: ArmTraining
    say: Say
    planned: Sequence[Arm] = ()
    catalog: Catalog | None = None
    watch: Watch = unwatched
    failures: dict[Cell, str] = field(default_factory=dict[Cell, str])
    _stores: dict[str, Store] = field(default_factory=dict[str, Store])
    _refused: dict[str, UsageError] = field(default_factory=dict[str, UsageError])

    def planning(self, arms: Sequence[Arm]) -> "ArmRunner":
        """Return a runner that knows which arms it will be asked for."""
        return replace(self, planned=tuple(arms))

    def arm(self, arm: Arm, task: str) -> MeasuredArm:
        """Return an arm for a task, training and running what is not there yet.

        Raises:
            UsageError: of the training or of the run; the same one each time.
        """
        key = self._key(arm, task)
        if key in self._refused:
            raise self._refused[key]
        if key not in self._stores:
            try:
                self._stores[key] = self._run(arm, task, key)
            except UsageError as error:
                self._refused[key] = error
                raise
        return arm_of(self._stores[key], arm.method, arm.seed, arm.steps)

    def check(self, arm: Arm, session: "Session") -> Mapping[str, str]:
        """Look up everything that an arm needs which nothing trains; run nothing.

        Args:
            arm: the arm.
            session: finds the weights.

        Returns:
            The tasks that it will not be run on, each with the reason.

        Raises:
            UsageError: an unknown method, one whose weights are missing, or that serves no task.
        """
        changes: dict[str, Any] = {
            "methods": (arm.method,), "method": self._options((arm.method,), arm, None),
        }  # fmt: skip
        experiment = self.base.model_copy(update=changes)
        refuse_idle_methods(experiment, self.catalog)
        plan = make_plan(experiment, session.weights, session, self.catalog)
        return plan.methods[-1].unserved

    def name_of(self, arm: Arm) -> str:
        """Return what an arm stands on, as a name of folders: its adapter, or its method."""
        if arm.method != _TRAINED:
            # A run of its own: a method whose weights are missing stops no other arm.
            return re.sub(r"[^\w.-]+", "-", arm.method)
        return "built-in" if arm.training is None else self.training.folder_name(arm.training)

    def _key(self, arm: Arm, task: str) -> str:
        """Return the name of the run folder that holds an arm."""
        name = self.name_of(arm)
        if arm.prompt == "right":
            return name
        # A wrong prompt differs from task to task, and a run has one prompt for all.
        return f"{name}-{arm.prompt}" + (f"-{task}" if arm.prompt == "wrong" else "")

    def _run(self, arm: Arm, task: str, key: str) -> Store:
        experiment = self._experiment(arm, task, key, self._adapter(arm))
        self.say(f"run {key}: {', '.join(experiment.methods)}, steps {experiment.steps}")
        outcome = run_experiment(
            experiment, watch=partial(_within, self.watch, key), say=self.say, methods=self.catalog
        )
        # A part whose arms lack the same pictures says so; the other parts have their numbers.
        self.failures |= outcome.failures
        return outcome.store

    def experiments(self, wanted: Iterable[tuple[Arm, str]]) -> dict[str, Experiment]:
        """Return the runs that arms need, by name of their folder, without any adapter.

        Args:
            wanted: arms, each with a task that it is asked for on.
        """
        found: dict[str, Experiment] = {}
        for arm, task in wanted:
            key = self._key(arm, task)
            if key not in found:
                found[key] = self._experiment(arm, task, key, None)
        return found

    def untrained(self, wanted: Iterable[tuple[Arm, str]]) -> frozenset[str]:
        """Return which of `experiments` run with an adapter that is trained for them."""
        return frozenset(self._key(arm, task) for arm, task in wanted if arm.training is not None)

    def _experiment(self, arm: Arm, task: str, key: str, adapter: Path | None) -> Experiment:
        arms = [arm, *(other for other in self.planned if self._key(other, task) == key)]
        methods = tuple(dict.fromkeys(one.method for one in arms))
        changes: dict[str, Any] = {
            "methods": methods,
            "method": self._options(methods, arm, adapter),
            "steps": tuple(sorted({one.steps for one in arms})),
            "seeds": tuple(sorted({one.seed for one in arms})),
            "out": self.base.out / "runs" / key,
        }
        if arm.prompt == "wrong":
            changes |= {"tasks": (task,), "prompt": wrong_prompt(TASKS[task])}
        if arm.prompt == "empty":
            changes["prompt"] = _NO_PROMPT
        return self.base.model_copy(update=changes)

    def _options(self, methods: Sequence[str], arm: Arm, adapter: Path | None) -> Mapping[str, Any]:
        """Return the options that some method of a run has, and the adapter of a trained arm."""
        known = known_methods() if self.catalog is None else self.catalog
        rows = [instance_of(name, known)[1] for name in methods]
        has = {option.name for row in rows for option in fields(row.options)}
        asked = {**self.base.method, "backbone": self.training.backbone}
        options = {key: value for key, value in asked.items() if key in has}
        if adapter is not None:
            options[arm.method] = {"adapter": adapter}
        return options

    def _adapter(self, arm: Arm) -> Path | None:
        if arm.training is None:
            return None
        return self.training.train(arm.training, self.base.out / "adapters", self.say, self.watch)


def _within(watch: Watch, key: str, stage: str, done: int, total: int) -> None:
    watch(f"{key}: {stage}", done, total)


def wrong_prompt(task: Task) -> str:
    """Return the prompt of the next other kind of task, the same one every time."""
    others: Mapping[str, str] = {"denoise": "derain", "derain": "dehaze"}
    return TASKS[others.get(task.kind, "denoise25")].prompt
