"""Training the arms of claims and studies: on what, with what, and whether it was done already."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_baselines.tasks import TASKS
from e2r_bench.arms.claims import Training
from e2r_bench.run.config import Experiment
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.pairs import SUFFIXES

if TYPE_CHECKING:
    from e2r_adapters.train import TrainConfig
    from e2r_adapters.train.profiles import Profile

PAINTED = Path("painted")
_PAINTED_WORDS = "painted pairs (dead leaves)"
_FOLDER_OF_KINDS = "denoise=DIR,derain=DIR,dehaze=DIR"
# What a training's record holds of its pairs.
_DRAWN = frozenset({"pairs_sha256", "trained_on"})
_GENERIC = frozenset({"train", "training", "test", "val", "data", "pairs"})


@dataclass(frozen=True)
class TrainData:
    """What arms are trained on.

    Attributes:
        kinds: the kinds of task that are trained, in order.
        folders: kind -> folder of pairs (for denoise, of clean pictures or pairs), or `PAINTED`
            where that was asked for by name; a miniature is painted for without a word.
    """

    kinds: tuple[str, ...]
    folders: Mapping[str, Path]

    def words(self) -> str:
        """Return in words what the arms are trained on."""
        if all(folder == PAINTED for folder in self.folders.values()):
            return _PAINTED_WORDS
        return ", ".join(f"{kind}: {self._named(kind)}" for kind in self.kinds)

    def _named(self, kind: str) -> str:
        folder = self.folders.get(kind, PAINTED)
        if folder == PAINTED:
            return _PAINTED_WORDS
        whole = folder.resolve()
        return f"{whole.parent.name}/{whole.name}" if whole.name in _GENERIC else whole.name

    def digests(self) -> dict[str, str]:
        """Return kind -> digest of its folder's picture files, by name and content."""
        return {k: _digest(folder) for k, folder in self.folders.items() if folder != PAINTED}


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        whole.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
    return whole.hexdigest()


def train_data(
    given: Mapping[str, str] | None, tasks: Sequence[str], miniature: bool, backbone: str
) -> TrainData:
    """Decide what arms are trained on, before anything is trained.

    Args:
        given: kind of task -> folder, or "painted"; {"": "painted"} for all kinds; None where
            nothing was said.
        tasks: names of the tasks that arms are run on.
        miniature: whether the backbone is a small stand-in, which is trained on painted pairs
            unless told otherwise.
        backbone: its name, for the error.

    Raises:
        UsageError: a full-size backbone without data, an unknown kind, a kind without data, or a
            folder that is not there.
    """
    kinds = tuple(dict.fromkeys(TASKS[task].kind for task in tasks if task in TASKS))
    if given is None:
        if miniature:
            return TrainData(kinds, {})
        raise UsageError(
            f"arms on {backbone} are trained here: expected --train-data {_FOLDER_OF_KINDS}, found "
            "none; --train-data painted trains on painted pictures, which say little of photographs"
        )
    if given == {"": str(PAINTED)}:
        return TrainData(kinds, dict.fromkeys(kinds, PAINTED))
    for kind in given:
        if kind not in kinds:
            raise unknown("kind of task in --train-data", kind, kinds)
    gone = [kind for kind in kinds if kind not in given]
    if gone:
        raise UsageError(
            f"--train-data: expected a folder for each of {', '.join(kinds)}, found none for "
            f"{', '.join(gone)}; give {gone[0]}=DIR, or {gone[0]}={PAINTED}"
        )
    return TrainData(kinds, dict(_folders(given)))


def _folders(given: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    for kind, where in given.items():
        folder = Path(where).expanduser()
        if folder != PAINTED and not folder.is_dir():
            raise UsageError(f"--train-data {kind}={where}: expected a folder, found no such one")
        yield kind, folder


@dataclass(frozen=True)
class ArmTraining:
    """How arms are trained.

    Attributes:
        backbone: a concrete name: "auto" was decided once, for training and running alike.
        data: on what.
        profile: how, and for how many epochs.
        device: a torch device, or "auto".
        test: folders of the pictures that arms are judged on; none of them may be trained on.
    """

    backbone: str
    data: TrainData
    profile: "Profile"
    device: str
    test: tuple[Path, ...] = ()

    def describe(self) -> str:
        """Return in words what every verdict about trained arms stands on."""
        return (
            f"arms trained on {self.data.words()}, profile {self.profile.name}, backbone "
            f"{self.backbone}"
        )

    def folder_name(self, training: Training) -> str:
        """Return a folder name that says what differs between trainings, and hashes the rest."""
        parts = ["te" if training.text_encoder else "tf", str(training.pairs)]
        parts += ["specific"] if training.per_task else []
        parts += ["defect"] if training.replicate_prompt_cache_bug else []
        rest = [self.backbone, self.data.kinds, self.data.digests(), asdict(self.profile)]
        digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
        return "-".join([*parts, f"seed{training.seed}", digest[:8]])

    def train(self, training: Training, home: Path, say: Callable[[str], None]) -> Path:
        """Train an arm's adapter, or one per task kind, unless just that is there already.

        Args:
            training: what is asked.
            home: gets a folder of its own for each training.
            say: told what is being done.

        Returns:
            The folder that `adapter` takes.

        Raises:
            UsageError: see `e2r_adapters.train.train`.
        """
        kinds = self.data.kinds
        folder = home / self.folder_name(training)
        groups = [(kind,) for kind in kinds] if training.per_task else [kinds]
        for group in groups:
            self._train_one(
                training, group, folder / group[0] if training.per_task else folder, say
            )
        return folder

    def _train_one(
        self, training: Training, kinds: tuple[str, ...], out: Path, say: Callable[[str], None]
    ) -> None:
        from e2r_adapters.train import train

        config = self.config(training, kinds, out)
        if is_trained(config):
            return
        say(
            f"train {out.name}: {training.pairs} pairs of {', '.join(kinds)}, "
            f"{self.profile.name}, {self.data.words()}"
        )
        made = train(config)
        say(f"trained {made.steps} steps in {made.seconds:.0f} s, loss {made.loss:.4f}")

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
            device=self.device,
            sample_every=0,
        )


def is_trained(config: "TrainConfig") -> bool:
    """Return whether the adapter in a training's folder was trained just so.

    The pairs are not drawn again: painting them takes a minute. They follow from the settings,
    which are compared, and from the data, whose digest is in the folder's name. Where it returns
    False and another adapter is there, `train` refuses.
    """
    from e2r_adapters.train import record_of, trained_as
    from e2r_adapters.train.selection import Selection

    held = trained_as(config.out)
    if held is None:
        return False
    asked = record_of(config, Selection((), config.pairs_seed, {}))
    return all(held.get(key) == asked[key] for key in asked.keys() - _DRAWN)


def plan_training(
    backbone: str, data: Mapping[str, str] | None, base: Experiment, epochs: int | None
) -> ArmTraining:
    """Decide once what arms are trained and run with.

    Args:
        backbone: a name, or "auto".
        data: see `train_data`.
        base: what arms are run on.
        epochs: of each training; None for the profile's own.

    Raises:
        UsageError: see `train_data`.
    """
    from e2r_adapters.editors import NANO, is_miniature, resolve_backbone
    from e2r_adapters.train.profiles import PROFILES, with_changes

    name = resolve_backbone(backbone, base.method.get("quantize", "none"))
    profile = with_changes(PROFILES["nano" if name == NANO else "g1"], epochs=epochs)
    chosen = train_data(data, base.tasks, is_miniature(name), name)
    return ArmTraining(name, chosen, profile, base.device, tuple(_judged_on(base)))


def _judged_on(base: Experiment) -> Iterator[Path]:
    """Yield the folders of an experiment's pictures."""
    for entry in base.data:
        name, equals, where = entry.partition("=")
        folder = where if equals and name in TASKS else entry
        if folder != "mini":
            yield Path(folder).expanduser()
