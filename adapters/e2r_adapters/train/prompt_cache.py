"""Which prompt a training sample is shown with: its own, or the one that the release showed.

Edit2Restore's release, when the text encoder is not trained, keeps one prompt embedding per
dataloader step and reads it back by step number, but its sampler reshuffles every epoch. So most
samples are trained with the prompt of another one. Here embeddings go by task; the defect can be
replayed, so that a claim that it confounds can be measured.
"""

from collections.abc import Sequence

import numpy as np

from e2r_metrics.base.draws import rng_for

_FILLING = "prompt-cache"


def epoch_order(seed: int, epoch: int, count: int) -> list[int]:
    """Return the order in which an epoch visits `count` samples."""
    return _permutation(seed, f"epoch{epoch}", count)


def prompt_order(seed: int, epoch: int, count: int, replicate_bug: bool) -> list[int]:
    """Return, for each place of an epoch, the sample whose prompt is shown there.

    Args:
        seed: of the training.
        epoch: number of the epoch, from 0.
        count: number of samples.
        replicate_bug: the prompts of the pass that filled the release's cache, in its order,
            instead of the samples' own.
    """
    if replicate_bug:
        return _permutation(seed, _FILLING, count)
    return epoch_order(seed, epoch, count)


def _permutation(seed: int, name: str, count: int) -> list[int]:
    return [int(i) for i in rng_for(seed, name, "training-order").permutation(count)]


def misaligned_share(tasks: Sequence[str], seed: int, epochs: int) -> float:
    """Return the share of samples that the defect shows another task's prompt, over all epochs.

    Args:
        tasks: the task of each sample.
        seed: of the training.
        epochs: number of epochs.
    """
    names = np.asarray(tasks)
    shown = names[prompt_order(seed, 0, len(names), replicate_bug=True)]
    wrong = [shown != names[epoch_order(seed, epoch, len(names))] for epoch in range(epochs)]
    return float(np.mean(wrong))
