"""What an adapter was trained with, and whether a folder holds that training or another one.

The record stands in the adapter's header and in `training.json`; the checkpoints carry its digest.
So nothing that was trained for other tasks, epochs, data or backbone is ever gone on with or used.
"""

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

from e2r_adapters.editors.backbones import fingerprint_of, title_of
from e2r_adapters.editors.sana_facts import PROJECTION_FILE
from e2r_adapters.lora.header import ADAPTER_FILE, read_record
from e2r_adapters.train import ema, selection, variation
from e2r_adapters.train.config import TrainConfig
from e2r_adapters.train.profiles import prompt_for, total_steps
from e2r_adapters.train.selection import Selection
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text, write_json

SETTINGS_FILE = "training.json"
PAIRS_FILE = "pairs.json"
MARKS = (SETTINGS_FILE, PAIRS_FILE, ADAPTER_FILE)
"""What tells the folder of a training."""
DRAWN = frozenset({"pairs_sha256", "trained_on"})
"""What a record holds of its pairs."""

Record = dict[str, Any]


def trained_as(folder: Path) -> Record | None:
    """Return what the finished adapter in a folder was trained with; compare with `record_of`.

    None where there is no adapter, or one that was not trained here.

    Raises:
        UsageError: the adapter file is damaged.
    """
    path = folder / ADAPTER_FILE
    return read_record(path) if path.exists() else None


def record_of(config: TrainConfig, chosen: Selection) -> Record:
    """Return all that decides the weights of an adapter, as JSON has it.

    Args:
        config: with a concrete backbone; see `resolve_backbone`.
        chosen: its pairs.
    """
    told = {
        # A folder goes by its name: the path is this machine's affair, a hub id is not.
        "base": title_of(config.backbone),
        "base_fingerprint": fingerprint_of(config.backbone),
        "profile": asdict(config.profile),
        "tasks": list(config.tasks),
        "prompts": {task: prompt_for(config.profile, task) for task in config.tasks},
        "pairs": config.pairs,
        "pairs_seed": config.pairs_seed,
        "pairs_sha256": selection.hash_of(chosen),
        "trained_on": dict(chosen.sources),
        "seed": config.seed,
        "targets": config.targets,
        "text_encoder": config.text_encoder,
        "replicate_prompt_cache_bug": config.replicate_prompt_cache_bug,
        "steps": total_steps(config.profile, len(config.tasks)),
    }
    if config.recipe == "channel-concat":
        told["recipe"] = config.recipe
    if config.ema:
        told["ema"] = {"decay": config.ema, "warm_up": ema.WARM_UP, "saved": "the average"}
    if config.optimizer != "adamw":
        told["optimizer"] = config.optimizer
    if varied := variation.record_of(config.variation):
        told["variation"] = varied
    if config.experts:
        # The layout of mixtures has no other place for the scale.
        scale = config.profile.alpha / config.profile.rank
        told |= {"experts": config.experts, "routing": config.routing, "scale": scale}
    return json.loads(json.dumps(told))


def digest_of(told: Mapping[str, Any]) -> str:
    """Return the sha256 of a record."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def is_finished(out: Path, told: Record, whole: bool = True) -> bool:
    """Return whether a folder holds the finished adapter of this training.

    Args:
        out: the folder.
        told: the training's record.
        whole: whether all of its pairs were drawn; else what it holds of them is not compared.

    Raises:
        UsageError: it holds something of another training, finished or not, or a damaged file.
    """
    settings, apart = out / SETTINGS_FILE, frozenset[str]() if whole else DRAWN
    if settings.is_file():
        _refuse_other(out, _read(settings), told, apart)
    kept = [ADAPTER_FILE, PROJECTION_FILE] if "recipe" in told else [ADAPTER_FILE]
    if not all((out / name).exists() for name in kept):
        return False
    held = trained_as(out)
    if held is None:
        raise UsageError(f"{out} holds an adapter that was not trained here; choose another --out")
    _refuse_other(out, held, told, apart)
    return True


def _read(path: Path) -> Record:
    try:
        content: Any = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        content = str(error)
    if not isinstance(content, dict):
        raise UsageError(
            f"{path}: expected the settings of a training, found a damaged file; delete it to go "
            "on with the checkpoints beside it, or choose another --out"
        )
    return content


def _refuse_other(out: Path, held: Record, told: Record, apart: Set[str]) -> None:
    keys = (held.keys() | told.keys()) - apart
    differ = sorted(key for key in keys if held.get(key) != told.get(key))
    if differ:
        key = differ[0]
        raise UsageError(
            f"{out} holds a training with {key} = {held.get(key)!r}, asked is "
            f"{told.get(key)!r}; choose another --out"
        )


def write_papers(out: Path, told: Record, chosen: Selection) -> None:
    """Write the settings and the pairs; a kill may have taken either from an earlier try."""
    write_json(out / SETTINGS_FILE, told)
    write_json(out / PAIRS_FILE, selection.record(chosen))
