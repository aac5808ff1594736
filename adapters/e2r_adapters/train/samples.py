"""Pictures of how a training goes: the first pair of each task, restored with a few steps.

They are training pairs, and say nothing about pictures that the adapter has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2r_adapters.editors.editor import Conditioning, Editor, Instruction
from e2r_adapters.sampling import noise_for, sample
from e2r_adapters.train.feed import Show
from e2r_adapters.train.pictures import Pair
from e2r_adapters.train.views import Place
from e2r_baselines.method import Pixels
from e2r_metrics.base.pictures import EightBit, eight_bit, write_png

_STEPS = 8


@dataclass(frozen=True)
class Shown:
    """One training pair that samples show.

    Attributes:
        key: content hash of what is shown; names the noise.
        clean, degraded: (H, W, 3) float32.
        conditioning: of the degraded picture.
    """

    key: str
    clean: Pixels
    degraded: Pixels
    conditioning: Conditioning


def choose_shown(editor: Editor, pairs: Sequence[Pair], show: Show) -> tuple[Shown, ...]:
    """Return the first pair of each task, by task name, made ready while the editor can encode."""
    first = {pair.task: pair for pair in reversed(pairs)}
    return tuple(_shown(editor, pair, show) for _, pair in sorted(first.items()))


def _shown(editor: Editor, pair: Pair, show: Show) -> Shown:
    """Make the first view of a pair ready, at the last resolution, under its first wording."""
    profile = show.profile
    side = show.variation.side(profile.epochs, profile.resolution)
    view = show.view(pair, Place(0, 0, side))
    photo = view.photo()
    told = Instruction(show.wordings(pair)[0], editor.family.guidance, profile.sequence)
    (given,) = editor.condition(photo, [told])
    return Shown(view.key, view.target(), photo.pixels, given)


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
