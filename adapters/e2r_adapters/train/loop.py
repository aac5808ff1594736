"""Training an adapter from a few pairs: the loop, and what it leaves behind.

An output folder holds `training.json` (every setting), `pairs.json` (which pairs, by content),
`train.jsonl` and `loss.png`, `samples/`, `checkpoints/`, and at the end the adapter itself under
diffusers' own file name, so that `load_lora_weights(folder)` works. The same call on the same
folder goes on where it stopped, to the same bits on one device.
"""

import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from e2r_adapters import lora
from e2r_adapters.editors.backbones import family_named, resolve_backbone
from e2r_adapters.train import checkpoint, ema, journal
from e2r_adapters.train.checks import check
from e2r_adapters.train.config import TrainConfig, TrainResult
from e2r_adapters.train.experts import save_trained
from e2r_adapters.train.profiles import Profile, for_family
from e2r_adapters.train.ready import make_ready
from e2r_adapters.train.record import MARKS, Record, digest_of, write_papers
from e2r_adapters.train.samples import draw_samples, sample_path
from e2r_adapters.train.session import Session, open_session
from e2r_adapters.train.step import Batch, flow_matching_loss
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.locks import locked

Progress = Callable[[int, int, float], None]
"""Called after each step with the steps done, the steps in all, and the loss."""


def train(config: TrainConfig, progress: Progress | None = None) -> TrainResult:
    """Train one adapter, or go on with a training that was interrupted.

    A folder that holds this very training, finished, is left as it is.

    Args:
        config: see `TrainConfig`.
        progress: told about every step.

    Raises:
        UsageError: a setting, pair or folder that cannot be used; a folder with another training;
            a loss that is not finite; a disk that is full. What was checkpointed before stays.
    """
    config = made_concrete(config)
    # Of several processes on one training the first one writes, and holds the folder for all.
    alone = locked(config.out, MARKS) if os.environ.get("RANK", "0") == "0" else nullcontext()
    try:
        with alone:
            return _train(config, progress or _silent)
    except OSError as error:
        last = checkpoint.found(config.out)
        kept = f"{last[-1].name} is whole; " if last else ""
        raise UsageError(
            f"cannot write to {config.out}: {error.strerror or error}; {kept}"
            "free some space and give the same command again: it goes on from there"
        ) from error


def made_concrete(config: TrainConfig) -> TrainConfig:
    """Return a training on the backbone that is meant, as its family is guided and told.

    Raises:
        UsageError: settings that do not go together.
    """
    config = replace(config, backbone=resolve_backbone(config.backbone))
    check(config)
    profile = for_family(config.profile, family_named(config.backbone))
    return replace(config, profile=profile)


def _silent(done: int, steps: int, loss: float) -> None:
    del done, steps, loss


def _train(config: TrainConfig, progress: Progress) -> TrainResult:
    ready = make_ready(config)
    selection, told = ready.selection, ready.told
    if ready.finished:
        return _result(config, told, told["steps"], 0.0)
    session = open_session(config, selection)
    main = session.accelerator.is_main_process
    if main:
        write_papers(config.out, told, selection)
    session.accelerator.wait_for_everyone()
    start = _resume(config, session, told)
    began = time.perf_counter()
    _run(config, session, start, digest_of(told), progress)
    seconds = time.perf_counter() - began
    if main:
        journal.draw_curve(config.out)
        with ema.in_place(session.average, session.trained):
            save_trained(session.editor, config, told)
    session.accelerator.wait_for_everyone()
    return _result(config, told, start, seconds)


def _result(config: TrainConfig, told: Record, resumed: int, seconds: float) -> TrainResult:
    return TrainResult(
        adapter=config.out / lora.ADAPTER_FILE,
        steps=told["steps"],
        resumed=resumed,
        loss=journal.last_loss(config.out),
        seconds=seconds,
        backbone=config.backbone,
        trained_on=told["trained_on"],
    )


def _resume(config: TrainConfig, session: Session, told: Record) -> int:
    """Put the newest checkpoint in place, if there is one, and return its step."""
    held = checkpoint.found(config.out)
    if not held:
        return 0
    done = checkpoint.read(
        held[-1], session.trained, session.optimizer, digest_of(told), session.average
    )
    # Killed between the checkpoint and its samples: they are drawn now.
    _draw_samples(config, session, done)
    return done


def _run(
    config: TrainConfig, session: Session, start: int, training: str, progress: Progress
) -> None:
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
                checkpoint.write(
                    config.out, step + 1, session.trained, session.optimizer, training,
                    session.average,
                )  # fmt: skip
            _draw_samples(config, session, step + 1)
    finally:
        if log is not None:
            log.close()


def _draw_samples(config: TrainConfig, session: Session, done: int) -> None:
    path = sample_path(config.out, done)
    due = _due(done, config.sample_every) and not path.is_file()
    if due and session.accelerator.is_main_process:
        with ema.in_place(session.average, session.trained):
            draw_samples(path, session.editor, session.shown, config.seed)


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
    half = profile.dtype == "bfloat16"
    batch = session.batch(step)
    with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=half):
        loss = _loss(session, batch)
    accelerator.backward(loss)
    norm = float(torch.nn.utils.clip_grad_norm_(session.trained, profile.clip))
    reduced: Any = accelerator.reduce(loss.detach(), "mean")
    mean = float(reduced)
    if not (math.isfinite(mean) and math.isfinite(norm)):
        raise _diverged(config.out, step + 1, mean, norm)
    session.optimizer.step()
    ema.follow(session.average, session.trained, step + 1, config.ema)
    session.optimizer.zero_grad()
    return {
        "step": step + 1,
        "epoch": step // session.feed.steps_per_epoch,
        "loss": mean,
        "gradient_norm": norm,
        "learning_rate": profile.learning_rate * rate,
        "seconds": round(time.perf_counter() - began, 4),
    }


def _loss(session: Session, batch: Batch) -> Any:
    mask = session.training.loss_mask(batch.conditioning.shape)

    def velocity(x: Any, sigma: Any) -> Any:
        return session.training.velocity(x, sigma, batch.conditioning)

    return flow_matching_loss(velocity, batch, session.levels, mask)


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
