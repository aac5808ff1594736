"""Pictures of how a training goes: the first pair of each task, restored with a few steps.

They are training pairs, and say nothing about pictures that the adapter has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2r_adapters.editors.editor import Conditioning, Editor
from e2r_adapters.sampling import noise_for, sample
from e2r_adapters.train.feed import instruction_for, prepared
from e2r_adapters.train.pictures import Pair
from e2r_adapters.train.profiles import Profile
from e2r_baselines.method import Pixels
from e2r_metrics.base.pictures import EightBit, eight_bit, write_png

_STEPS = 8


@dataclass(frozen=True)
class Shown:
    """One training pair that samples show.

    Attributes:
        key: content hash of the pair; names the noise.
        clean, degraded: (H, W, 3) float32.
        conditioning: of the degraded picture.
    """

    key: str
    clean: Pixels
    degraded: Pixels
    conditioning: Conditioning


def choose_shown(editor: Editor, pairs: Sequence[Pair], profile: Profile) -> tuple[Shown, ...]:
    """Return the first pair of each task, by task name, made ready while the editor can encode."""
    first = {pair.task: pair for pair in reversed(pairs)}
    return tuple(_shown(editor, pair, profile) for _, pair in sorted(first.items()))


def _shown(editor: Editor, pair: Pair, profile: Profile) -> Shown:
    clean, photo = prepared(pair, profile)
    said = instruction_for(profile, pair.task, editor.family.guidance)
    (given,) = editor.condition(photo, [said])
    return Shown(pair.key, clean, photo.pixels, given)


def sample_path(out: Path, done: int) -> Path:
    """Return where the samples of a step lie."""
    return out / "samples" / f"step{done:06d}.png"


def draw_samples(path: Path, editor: Editor, shown: Sequence[Shown], seed: int) -> None:
    """Write a row for each pair: degraded, restored and clean.

    Args:
        path: of the PNG.
        editor: with the adapter in training; not wrapped, since only one process is here.
        shown: see `choose_shown`.
        seed: of the training; the noise is the same every time.
    """
    transformer = editor.networks["transformer"]
    transformer.eval()
    try:
        rows = [_row(editor, one, seed) for one in shown]
    finally:
        transformer.train()
    write_png(path, np.concatenate(rows))


def _row(editor: Editor, one: Shown, seed: int) -> EightBit:
    given = editor.together([one.conditioning])
    noise = noise_for(seed, one.key, given.shape, "training-sample")
    (restored,) = editor.decode(sample(editor, given, noise, _STEPS))
    return eight_bit(np.concatenate([one.degraded, restored, one.clean], axis=1))
