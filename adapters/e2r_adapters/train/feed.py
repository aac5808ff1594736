"""What training is fed: latents and conditionings, every draw a function of the step.

They go by the content hash of what is shown and by its wording, never by step number: that is how
the release came to show samples the prompts of others (see `prompt_cache`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from e2r_adapters.editors.editor import Conditioning, Editor, Instruction
from e2r_adapters.train.latents import Memory, Shelf
from e2r_adapters.train.pictures import Pair
from e2r_adapters.train.profiles import Profile, prompt_for, repeats_for
from e2r_adapters.train.prompt_cache import epoch_order, prompt_order
from e2r_adapters.train.step import Batch
from e2r_adapters.train.variation import Variation, wording
from e2r_adapters.train.views import Place, View, draw_view
from e2r_metrics.base.draws import seed_for

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Show:
    """How samples are shown.

    Attributes:
        profile: how pictures become square, the batch, the prompts and the guidance.
        variation: what differs from epoch to epoch.
        seed: of the training.
        replicate_bug: show the prompts that the release would have shown.
    """

    profile: Profile
    variation: Variation
    seed: int
    replicate_bug: bool = False

    def wordings(self, pair: Pair) -> tuple[str, ...]:
        """Return what a sample may be shown with: its caption, or its task's wordings."""
        if pair.caption:
            return (pair.caption,)
        return self.variation.wordings(pair.task, prompt_for(self.profile, pair.task))

    def instruction(self, text: str) -> Instruction:
        """Return what an editor is told in training."""
        return Instruction(text, self.profile.guidance, self.profile.sequence)

    def view(self, pair: Pair, place: Place) -> View:
        """Return a view of a sample; see `draw_view`."""
        return draw_view(pair, place, self.profile, self.variation, self.seed)


@dataclass(frozen=True)
class Feed:
    """The repeated pairs of a training.

    Attributes:
        pairs: sample -> pair, each pair standing in as often as it is repeated in an epoch.
        repeats: how often that is.
        show: see `Show`.
        keys: place -> the key of the view that was encoded before the training.
        store: what was encoded, by those keys.
    """

    pairs: tuple[Pair, ...]
    repeats: int
    show: Show
    keys: Mapping[Place, str]
    store: Memory | Shelf

    @property
    def steps_per_epoch(self) -> int:
        """Return the number of batches that an epoch is cut into."""
        return len(self.pairs) // self.show.profile.batch

    def samples(self, step: int) -> list[tuple[Pair, str]]:
        """Return the pair of each slot of a step's batch and the task whose prompt it is shown."""
        return [(self.pairs[i], self.pairs[other].task) for i, other in self._slots(step)]

    def _slots(self, step: int) -> list[tuple[int, int]]:
        """Return the sample of each slot and the sample whose prompt it is shown."""
        epoch, place = divmod(step, self.steps_per_epoch)
        slots = slice(place * self.show.profile.batch, (place + 1) * self.show.profile.batch)
        pairs, prompts = _orders(self.show.seed, epoch, len(self.pairs), self.show.replicate_bug)
        return list(zip(pairs[slots], prompts[slots], strict=True))

    def draw(self, step: int, rank: int, world: int, editor: Editor) -> Batch:
        """Return one process's part of a step's batch: every `world`-th slot from `rank` on."""
        import torch

        epoch = step // self.steps_per_epoch
        mine = list(enumerate(self._slots(step)))[rank::world]
        shown = [self._shown(index, other, epoch, editor) for _, (index, other) in mine]
        clean = torch.stack([latents for latents, _ in shown])
        draws = [_draw(self.show.seed, step, slot, clean.shape[1:]) for slot, _ in mine]
        device = editor.device
        return Batch(
            clean=clean.to(device),
            conditioning=editor.together([given for _, given in shown]),
            noise=torch.stack([noise for noise, _ in draws]).to(device),
            u=torch.stack([u for _, u in draws]).to(device),
        )

    def _shown(
        self, index: int, other: int, epoch: int, editor: Editor
    ) -> tuple["torch.Tensor", Conditioning]:
        """Return a sample as an epoch shows it, under the prompt of another or its own."""
        pool = self.show.wordings(self.pairs[other])
        said = wording(pool, self.show.seed, epoch, index)
        place = place_in(self.show, index, self.repeats, epoch)
        told = self.show.instruction(said)
        if not self.show.variation.live:
            return self.store.read(self.keys[place], sample_id(self.pairs[index]), told)
        view = self.show.view(self.pairs[index], place)
        latents, (given,) = encoded(editor, view, [told])
        return latents, given


def place_in(show: Show, index: int, repeats: int, epoch: int) -> Place:
    """Return which view of a sample an epoch shows; where nothing is drawn, repeats share one."""
    variation = show.variation
    sample = index if variation.drawn else index - index % repeats
    side = variation.side(epoch, show.profile.resolution)
    return Place(sample, variation.variant(epoch), side)


def encoded(
    editor: Editor, view: View, said: Sequence[Instruction]
) -> tuple["torch.Tensor", tuple[Conditioning, ...]]:
    """Return the latents of a view's clean picture and a conditioning for each instruction."""
    photo = view.photo()
    latents = editor.encode([view.target()], [photo.pixels])[0].float().cpu()
    return latents, editor.condition(photo, said)


@lru_cache(maxsize=2)
def _orders(seed: int, epoch: int, count: int, bug: bool) -> tuple[list[int], list[int]]:
    return epoch_order(seed, epoch, count), prompt_order(seed, epoch, count, bug)


def _draw(seed: int, step: int, slot: int, shape: Sequence[int]) -> tuple["torch.Tensor", ...]:
    """Return the noise of one slot, float32 of `shape`, and its uniform draw for the level."""
    import torch

    generator = torch.Generator().manual_seed(seed_for(seed, f"{step}/{slot}", "training-noise"))
    return torch.randn(tuple(shape), generator=generator), torch.rand((), generator=generator)


def sample_id(pair: Pair) -> str:
    """Return what a sample is called where it is kept."""
    return f"{pair.task}/{pair.name}"


def make_feed(editor: Editor, pairs: Sequence[Pair], show: Show, store: Memory | Shelf) -> Feed:
    """Encode each picture and each prompt once, unless they are drawn when they are shown.

    Args:
        editor: not parked yet.
        pairs: the same number for each task.
        show: how they are shown.
        store: what was encoded before, and where the rest is put.

    What cannot be shown was refused before; see `e2r_adapters.train.ready`.
    """
    tasks = {pair.task for pair in pairs}
    repeats = repeats_for(show.profile, len(pairs) // len(tasks))
    repeated = tuple(pair for pair in pairs for _ in range(repeats))
    keys: dict[Place, str] = {}
    for place in () if show.variation.live else _places(show, len(repeated), repeats):
        pair = repeated[place.index]
        view = show.view(pair, place)
        keys[place] = view.key
        said = _all_wordings(pairs, show) if show.replicate_bug else show.wordings(pair)
        told = [show.instruction(text) for text in said]
        if not store.has(view.key, sample_id(pair), told):
            store.put(view.key, sample_id(pair), told, *encoded(editor, view, told))
    return Feed(repeated, repeats, show, keys, store)


def _places(show: Show, count: int, repeats: int) -> Iterator[Place]:
    """Yield each view that a training shows, once."""
    epochs = range(show.profile.epochs)
    yield from dict.fromkeys(
        place_in(show, index, repeats, epoch) for epoch in epochs for index in range(count)
    )


def _all_wordings(pairs: Sequence[Pair], show: Show) -> list[str]:
    return list(dict.fromkeys(text for pair in pairs for text in show.wordings(pair)))
