"""Training an adapter from a few pairs: the loop, and what it leaves behind.

An output folder holds `training.json` (every setting), `pairs.json` (which pairs, by content),
`train.jsonl` and `loss.png`, `samples/`, `checkpoints/`, and at the end the adapter itself under
diffusers' own file name, so that `load_lora_weights(folder)` works. The same call on the same
folder goes on where it stopped, to the same bits on one device.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from e2r_adapters import checkpoint, journal, lora
from e2r_adapters.config import TrainConfig, TrainResult
from e2r_adapters.fewshot import Selection, hash_of, record, select
from e2r_adapters.profiles import Profile, prompt_for
from e2r_adapters.samples import draw_samples
from e2r_adapters.session import Session, open_session
from e2r_adapters.step import flow_matching_loss
from e2r_metrics.base.errors import UsageError

SETTINGS_FILE = "training.json"
PAIRS_FILE = "pairs.json"

Progress = Callable[[int, int, float], None]
"""Called after each step with the steps done, the steps in all, and the loss."""


def train(config: TrainConfig, progress: Progress | None = None) -> TrainResult:
    """Train one adapter, or go on with a training that was interrupted.

    Args:
        config: see `TrainConfig`.
        progress: told about every step.

    Raises:
        UsageError: a setting, pair or folder that cannot be used; a loss that is not finite; a
            disk that is full. What was checkpointed before stays.
    """
    _check(config)
    try:
        return _train(config, progress or _silent)
    except OSError as error:
        last = checkpoint.found(config.out)
        kept = f"{last[-1].name} is whole; " if last else ""
        raise UsageError(
            f"cannot write to {config.out}: {error.strerror or error}; {kept}"
            "free some space and give the same command again: it goes on from there"
        ) from error


def _silent(done: int, steps: int, loss: float) -> None:
    del done, steps, loss


def _check(config: TrainConfig) -> None:
    if config.replicate_prompt_cache_bug and config.text_encoder:
        raise UsageError(
            "--replicate-prompt-cache-bug with --text-encoder: the release's text-encoder runs "
            "encode the prompt in every step and do not have the defect; drop one of the two"
        )
    if len(set(config.tasks)) != len(config.tasks) or not config.tasks:
        raise UsageError(f"expected one or more different tasks, found {list(config.tasks)}")
    stray = sorted(config.data.keys() - set(config.tasks))
    if stray:
        raise UsageError(f"data for {stray[0]!r}, which is not trained: {list(config.tasks)}")


def _train(config: TrainConfig, progress: Progress) -> TrainResult:
    selection = select(
        config.tasks,
        config.pairs,
        config.pairs_seed,
        config.data,
        config.profile.painted,
        config.test,
        config.allow_overlap,
    )
    session = open_session(config, selection)
    told = _record(config, selection, session)
    if session.accelerator.is_main_process:
        _claim_folder(config.out, told, selection)
    session.accelerator.wait_for_everyone()
    start = _resume(config.out, session)
    began = time.perf_counter()
    _run(config, session, start, progress)
    seconds = time.perf_counter() - began
    if session.accelerator.is_main_process:
        lora.save(session.pipe, config.out, told)
        journal.draw_curve(config.out)
    session.accelerator.wait_for_everyone()
    losses = [row["loss"] for row in journal.read_log(config.out)[-50:]]
    adapter = config.out / lora.ADAPTER_FILE
    return TrainResult(adapter, session.steps, start, sum(losses) / len(losses), seconds)


def _record(config: TrainConfig, selection: Selection, session: Session) -> dict[str, Any]:
    """Return what decides the weights of the adapter; it travels in the adapter's header."""
    return {
        # A folder goes by its name: the path is this machine's affair, a hub id is not.
        "base": Path(config.backbone).name if Path(config.backbone).is_dir() else config.backbone,
        "base_fingerprint": lora.fingerprint(session.pipe.transformer),
        "profile": asdict(config.profile),
        "tasks": list(config.tasks),
        "prompts": {task: prompt_for(config.profile, task) for task in config.tasks},
        "pairs": config.pairs,
        "pairs_seed": config.pairs_seed,
        "pairs_sha256": hash_of(selection),
        "painted": sorted(set(config.tasks) - config.data.keys()),
        "seed": config.seed,
        "targets": config.targets,
        "text_encoder": config.text_encoder,
        "replicate_prompt_cache_bug": config.replicate_prompt_cache_bug,
        "steps": session.steps,
    }


def _claim_folder(out: Path, told: Mapping[str, Any], selection: Selection) -> None:
    """Write the settings into a new folder; refuse one that holds another training."""
    path = out / SETTINGS_FILE
    if path.is_file():
        held = json.loads(path.read_text(encoding="utf-8"))
        new = json.loads(json.dumps(told))
        differ = sorted(key for key in held.keys() | new.keys() if held.get(key) != new.get(key))
        if differ:
            key = differ[0]
            raise UsageError(
                f"{out} holds a training with {key} = {held.get(key)!r}, asked is "
                f"{new.get(key)!r}; choose another --out"
            )
        return
    journal.write_json(path, told)
    journal.write_json(out / PAIRS_FILE, record(selection))


def _resume(out: Path, session: Session) -> int:
    """Put the newest checkpoint in place, if there is one, and return its step."""
    held = checkpoint.found(out)
    if not held:
        return 0
    return checkpoint.read(held[-1], session.trained, session.optimizer)


def _run(config: TrainConfig, session: Session, start: int, progress: Progress) -> None:
    """Do the steps from `start` on; only the main process writes."""
    main = session.accelerator.is_main_process
    log = journal.Journal(config.out, start) if main else None
    try:
        for step in range(start, session.steps):
            row = _step(config, session, step)
            progress(step + 1, session.steps, row["loss"])
            if log is None:
                continue
            log.add(row)
            if _due(step + 1, config.checkpoint_every) or step + 1 == session.steps:
                log.flush()
                checkpoint.write(config.out, step + 1, session.trained, session.optimizer)
            if _due(step + 1, config.sample_every):
                draw_samples(config.out, session, config.profile, config.seed, step + 1)
    finally:
        if log is not None:
            log.close()


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0


def _step(config: TrainConfig, session: Session, step: int) -> dict[str, Any]:
    """Do one optimizer step and return its row of the log.

    Raises:
        UsageError: loss or gradient are not finite; the weights are left as they were.
    """
    import torch

    began = time.perf_counter()
    profile, accelerator = config.profile, session.accelerator
    rate = rate_at(profile, step, session.steps)
    for group in session.optimizer.param_groups:
        group["lr"] = group["base_lr"] * rate
    batch = session.batch(step)
    half = profile.dtype == "bfloat16"
    with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=half):
        loss = flow_matching_loss(
            session.backbone, session.transformer, batch, session.levels, profile.guidance
        )
    accelerator.backward(loss)
    norm = float(torch.nn.utils.clip_grad_norm_(session.trained, profile.clip))
    reduced: Any = accelerator.reduce(loss.detach(), "mean")
    mean = float(reduced)
    if not (math.isfinite(mean) and math.isfinite(norm)):
        raise _diverged(config.out, step + 1, mean, norm)
    session.optimizer.step()
    session.optimizer.zero_grad()
    return {
        "step": step + 1,
        "epoch": step // session.feed.steps_per_epoch,
        "loss": mean,
        "gradient_norm": norm,
        "learning_rate": profile.learning_rate * rate,
        "seconds": round(time.perf_counter() - began, 4),
    }


def rate_at(profile: Profile, step: int, steps: int) -> float:
    """Return the factor on the learning rate at a step, 1 at the first."""
    if profile.schedule == "constant":
        return 1.0
    return 0.1 + 0.45 * (1 + math.cos(math.pi * step / steps))


def _diverged(out: Path, step: int, loss: float, norm: float) -> UsageError:
    held = checkpoint.found(out)
    kept = f"the last good checkpoint is {held[-1]}" if held else "there is no checkpoint yet"
    return UsageError(
        f"step {step}: expected a finite loss and gradient, found loss {loss:g} and norm {norm:g}; "
        f"stopped before the update, {kept}; check the pairs or lower the learning rate"
    )
