"""Running what a claim or a study compares: one run folder per adapter and prompt, resumable."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2r_baselines.method import Draw
from e2r_baselines.tasks import TASKS, Task
from e2r_bench.config import Experiment
from e2r_bench.runner import run_experiment
from e2r_bench.runs import Run
from e2r_bench.studies.claims import Arm, Training
from e2r_bench.studies.measure import Cell
from e2r_metrics.base.errors import UsageError

Say = Callable[[str], None]
PROMPT_OF_NOTHING = ""


@dataclass
class Workshop:
    """Runs arms below one folder; what is there already is kept, as `run_experiment` does.

    Attributes:
        base: data, tasks, metrics, limit, device and the rest; its methods are replaced.
        folder: gets `adapters/` and `runs/`.
        epochs: of each few-shot training; None for the profile's own.
        say: told what is being done.
        planned: arms that will be asked for, so that one run serves all that share an adapter.
    """

    base: Experiment
    folder: Path
    epochs: int | None
    say: Say
    planned: Sequence[Arm] = ()
    _runs: dict[str, Run] = field(default_factory=dict[str, Run])
    _refused: dict[str, UsageError | UsageError] = field(
        default_factory=dict[str, UsageError | UsageError]
    )

    def cell(self, arm: Arm, task: str) -> Cell:
        """Return the arm's cell for a task, running what is not there yet.

        Raises:
            UsageError, UsageError, UsageError: of the training or of the run.
        """
        key = self._key(arm, task)
        if key in self._refused:
            raise self._refused[key]
        if key not in self._runs:
            try:
                self._runs[key] = self._run(arm, task, key)
            except UsageError as error:
                self._refused[key] = error
                raise
        run = self._runs[key]
        info = run.info.methods[arm.method]
        draw = Draw(arm.seed if info.stochastic else 0, arm.steps if info.stepped else 0)
        return Cell(run, arm.method, draw)

    def _key(self, arm: Arm, task: str) -> str:
        if arm.method != "kontext_lora":
            # A run of its own: a method whose weights are missing stops no other arm.
            name = re.sub(r"[^\w.-]+", "-", arm.method)
        else:
            name = "built-in" if arm.training is None else training_name(arm.training)
        if arm.prompt == "right":
            return name
        # A wrong prompt differs from task to task, and a run has one prompt for all.
        return f"{name}-{arm.prompt}" + (f"-{task}" if arm.prompt == "wrong" else "")

    def _run(self, arm: Arm, task: str, key: str) -> Run:
        arms = [arm, *(other for other in self.planned if self._key(other, task) == key)]
        changes: dict[str, Any] = {
            "methods": tuple(dict.fromkeys(one.method for one in arms)),
            "steps": tuple(sorted({one.steps for one in arms})),
            "seeds": tuple(sorted({one.seed for one in arms})),
            "out": self.folder / "runs" / key,
        }
        if arm.prompt == "wrong":
            changes |= {"tasks": (task,), "prompt": wrong_prompt(TASKS[task])}
        if arm.prompt == "empty":
            changes["prompt"] = PROMPT_OF_NOTHING
        if arm.training is not None:
            changes["adapter"] = self._train(arm.training)
        self.say(f"run {key}: {', '.join(changes['methods'])}, steps {changes['steps']}")
        outcome = run_experiment(self.base.model_copy(update=changes), say=self.say)
        if outcome.failures:
            raise UsageError(
                f"{outcome.run.folder}: {len(outcome.failures)} images failed; look at its table "
                "and give the same command again"
            )
        return outcome.run

    def _train(self, training: Training) -> Path:
        """Train the adapter, or one per task kind, and return where `--adapter` finds it."""
        kinds = tuple(dict.fromkeys(TASKS[task].kind for task in self.base.tasks))
        home = self.folder / "adapters" / training_name(training)
        groups = [(kind,) for kind in kinds] if training.per_task else [kinds]
        for tasks in groups:
            out = home / tasks[0] if training.per_task else home
            self._train_one(training, tasks, out)
        return home

    def _train_one(self, training: Training, tasks: tuple[str, ...], out: Path) -> None:
        from e2r_adapters.config import TrainConfig
        from e2r_adapters.loop import train
        from e2r_adapters.lora import ADAPTER_FILE
        from e2r_adapters.profiles import PROFILES, with_changes

        if (out / ADAPTER_FILE).is_file():
            return
        small = self.base.backbone in ("auto", "kontext-nano")
        profile = with_changes(PROFILES["nano" if small else "g1"], epochs=self.epochs)
        self.say(f"train {out.name}: {training.pairs} pairs of {', '.join(tasks)}, {profile.name}")
        result = train(
            TrainConfig(
                out=out,
                profile=profile,
                tasks=tasks,
                pairs=training.pairs,
                backbone="kontext-nano" if small else self.base.backbone,
                seed=training.seed,
                pairs_seed=training.seed,
                text_encoder=training.text_encoder,
                replicate_prompt_cache_bug=training.replicate_prompt_cache_bug,
                device=self.base.device,
                sample_every=0,
            )
        )
        self.say(f"trained {result.steps} steps in {result.seconds:.0f} s, loss {result.loss:.4f}")


def training_name(training: Training) -> str:
    """Return a folder name that says every setting that differs between trainings."""
    parts = ["te" if training.text_encoder else "tf", str(training.pairs)]
    parts += ["specific"] if training.per_task else []
    parts += ["defect"] if training.replicate_prompt_cache_bug else []
    return "-".join([*parts, f"seed{training.seed}"])


def wrong_prompt(task: Task) -> str:
    """Return the prompt of the next other kind of task, the same one every time."""
    others: Mapping[str, str] = {"denoise": "derain", "derain": "dehaze"}
    return TASKS[others.get(task.kind, "denoise25")].prompt
