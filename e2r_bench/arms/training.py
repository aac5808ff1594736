"""Training the arms of claims and studies: with what, and whether it was done already."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_bench.arms.claims import Training
from e2r_bench.arms.train_data import TrainData, digest_of_folder, judged_on, train_data
from e2r_bench.run.config import Experiment
from e2r_bench.run.restore import Watch
from e2r_bench.run.runner import unwatched

if TYPE_CHECKING:
    from e2r_adapters.train import TrainConfig
    from e2r_adapters.train.profiles import Profile


@dataclass(frozen=True)
class ArmTraining:
    """How arms are trained.

    Attributes:
        backbone: a concrete name: "auto" was decided once, for training and running alike.
        data: on what.
        profile: how, and for how many epochs.
        device: a torch device, or "auto".
        test: folders of the pictures that arms are judged on; none of them may be trained on.
        drop_overlap: leave those out of the training folders, instead of refusing.
    """

    backbone: str
    data: TrainData
    profile: "Profile"
    device: str
    test: tuple[Path, ...] = ()
    drop_overlap: bool = False

    def describe(self) -> str:
        """Return in words what every verdict about trained arms stands on."""
        without = ", without what stands in a test set" if self.drop_overlap else ""
        return (
            f"arms trained on {self.data.words()}{without}, profile {self.profile.name}, backbone "
            f"{self.backbone}"
        )

    def folder_name(self, training: Training) -> str:
        """Return a folder name that says what differs between trainings, and hashes the rest."""
        parts = ["te" if training.text_encoder else "tf", str(training.pairs)]
        parts += ["specific"] if training.per_task else []
        parts += ["defect"] if training.replicate_prompt_cache_bug else []
        rest = [self.backbone, self.data.kinds, self.data.digests(), asdict(self.profile)]
        # What is left out depends on what is judged on, and the pairs on what is left out.
        rest += [[digest_of_folder(folder) for folder in self.test]] if self.drop_overlap else []
        digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
        return "-".join([*parts, f"seed{training.seed}", digest[:8]])

    def train(
        self, training: Training, home: Path, say: Callable[[str], None], watch: Watch = unwatched
    ) -> Path:
        """Train an arm's adapter, or one per task kind, unless just that is there already.

        Args:
            training: what is asked.
            home: gets a folder of its own for each training.
            say: told what is being done.
            watch: told of its progress.

        Returns:
            The folder that `adapter` takes.

        Raises:
            UsageError: see `e2r_adapters.train.train`.
        """
        for config in self.configs(training, home):
            self._train_one(config, say, watch)
        return home / self.folder_name(training)

    def configs(self, training: Training, home: Path) -> "list[TrainConfig]":
        """Return the training of an arm's adapter, or those of one for each kind of task."""
        kinds, folder = self.data.kinds, home / self.folder_name(training)
        if training.per_task:
            return [self.config(training, (kind,), folder / kind) for kind in kinds]
        return [self.config(training, kinds, folder)]

    def _train_one(self, config: "TrainConfig", say: Callable[[str], None], watch: Watch) -> None:
        from e2r_adapters.train import train

        if is_trained(config):
            return
        out = config.out
        say(
            f"train {out.name}: {config.pairs} pairs of {', '.join(config.tasks)}, "
            f"{self.profile.name}, {self.data.words()}"
        )
        made = train(config, lambda done, steps, _: watch(f"train {out.name}", done, steps))
        told = "; ".join(dict.fromkeys(made.trained_on.values())) if self.drop_overlap else ""
        end = f", on {told}" if told else ""
        say(f"trained {made.steps} steps in {made.seconds:.0f} s, loss {made.loss:.4f}{end}")

    def config(self, training: Training, kinds: tuple[str, ...], out: Path) -> "TrainConfig":
        """Return the training of one adapter."""
        from e2r_adapters.train import TrainConfig

        return TrainConfig(
            out=out,
            profile=self.profile,
            tasks=kinds,
            pairs=training.pairs,
            backbone=self.backbone,
            data={kind: path for kind, path in self.data.folders.items() if kind in kinds},
            seed=training.seed,
            pairs_seed=training.seed,
            text_encoder=training.text_encoder,
            replicate_prompt_cache_bug=training.replicate_prompt_cache_bug,
            test=self.test,
            drop_overlap=self.drop_overlap,
            device=self.device,
            sample_every=0,
        )


def is_trained(config: "TrainConfig") -> bool:
    """Return whether the adapter in a training's folder was trained just so.

    The pairs are not drawn again: painting them takes a minute. They follow from the settings,
    which are compared, and from the data, whose digest is in the folder's name. Where it returns
    False and another adapter is there, `train` refuses.
    """
    from e2r_adapters.train import DRAWN, record_of, trained_as
    from e2r_adapters.train.selection import Selection

    held = trained_as(config.out)
    if held is None:
        return False
    asked = record_of(config, Selection((), config.pairs_seed, {}))
    return all(held.get(key) == asked[key] for key in asked.keys() - DRAWN)


def plan_training(
    backbone: str,
    data: Mapping[str, str] | None,
    base: Experiment,
    epochs: int | None,
    drop_overlap: bool = False,
) -> ArmTraining:
    """Decide once what arms are trained and run with.

    Args:
        backbone: a name, or "auto".
        data: see `train_data`.
        base: what arms are run on.
        epochs: of each training; None for the profile's own.
        drop_overlap: see `ArmTraining`.

    Raises:
        UsageError: see `train_data`.
    """
    from e2r_adapters.editors import MINIATURES, is_miniature, resolve_backbone
    from e2r_adapters.train.profiles import PROFILES, with_changes

    name = resolve_backbone(backbone, base.method.get("quantize", "none"))
    profile = with_changes(PROFILES["nano" if name in MINIATURES else "g1"], epochs=epochs)
    chosen = train_data(data, base.tasks, is_miniature(name), name)
    return ArmTraining(name, chosen, profile, base.device, tuple(judged_on(base)), drop_overlap)
