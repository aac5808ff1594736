"""Edit2Restore's inference: an instruction-editing model, with or without adapters."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from e2r_adapters.early_filter import EarlyFilter, candidate
from e2r_adapters.editors.editor import Editor, Instruction, Resize, Shift, Sizes
from e2r_adapters.fidelity import Fidelity, Held, correction_of
from e2r_adapters.lora.files import load
from e2r_adapters.lora.mixing import Mixer
from e2r_adapters.resize import Fitted, fit
from e2r_adapters.routing import Router, Unified
from e2r_adapters.sampling import sample
from e2r_adapters.windows import Windowed, WindowedConditioning
from e2r_baselines.method import Draw, Photo, Pixels, Restored
from e2r_baselines.tasks import Task

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
_Cell = tuple["_Prepared", Draw]


@dataclass(frozen=True)
class Settings:
    """How pictures are sampled.

    Attributes:
        guidance: the guidance scale.
        length: text tokens.
        resize: the resize policy.
        batch: cells of (picture, draw) that go through the model at once.
        shift: see `Shift`.
        tile: side of the windows that larger pictures are sampled in; None for whole pictures.
        fidelity: what samples are held to; None for nothing.
        early: chooses among several noises; None for one.
    """

    guidance: float
    length: int
    resize: Resize
    batch: int
    shift: Shift = "own"
    tile: int | None = None
    fidelity: Fidelity | None = None
    early: EarlyFilter | None = None


@dataclass(frozen=True)
class _Prepared:
    """One photo, fitted and encoded; shared by all its draws."""

    photo: Photo
    fitted: Fitted
    conditioning: WindowedConditioning


class EditorRestorer:
    """See `e2r_baselines.method.Restorer`."""

    def __init__(
        self,
        editor: Editor,
        settings: Settings,
        adapters: Mapping[str, Path] | None = None,
        router: Router | None = None,
        alpha: float | None = None,
    ) -> None:
        """Load the adapters.

        Args:
            editor: one of its own: adapters stay in it.
            settings: see `Settings`.
            adapters: name -> adapter file.
            router: chooses among them by name; None for the bare model.
            alpha: what they were trained with, for files that do not say.

        Raises:
            UsageError: an adapter that is damaged or made for another base; a tile of a size that
                the model does not take.
        """
        self._editor = editor
        self._windowed = Windowed(editor, settings.tile)
        self._settings = settings
        self._router = router
        for name, path in (adapters or {}).items():
            load(editor, path, name, alpha)
        self._mixer = Mixer(editor, one_mix=isinstance(router, Unified))

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield every (photo, draw); see `Restorer.restore`."""
        for mix, same in self._by_mix(photos, task):
            if mix:
                self._mixer.use(dict(mix))
            yield from self._restore(same, task, draws)
        self._editor.finish()

    def _by_mix(
        self, photos: Sequence[Photo], task: Task
    ) -> list[tuple[tuple[tuple[str, float], ...], list[Photo]]]:
        """Group photos by what restores them, so that every adapter is put in place once."""
        groups: dict[tuple[tuple[str, float], ...], list[Photo]] = defaultdict(list)
        for photo in photos:
            mix = {} if self._router is None else self._router(task, photo)
            groups[tuple(sorted(mix.items()))].append(photo)
        return list(groups.items())

    def _restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        said = Instruction(task.prompt, self._settings.guidance, self._settings.length)
        cells: dict[tuple[int, tuple[int, ...]], list[_Cell]] = defaultdict(list)
        for photo in photos:
            prepared = self._prepare(photo, said)
            for draw in draws:
                cells[draw.steps, prepared.fitted.pixels.shape].append((prepared, draw))
        for (steps, _), same in cells.items():
            for batch in _chunks(same, self._settings.batch):
                yield from self._sample(batch, task, steps)

    def _prepare(self, photo: Photo, said: Instruction) -> _Prepared:
        fitted = fit(photo.pixels, self._settings.resize, self._editor.sizes)
        (conditioning,) = self._windowed.condition(Photo(photo.id, fitted.pixels), [said])
        return _Prepared(photo, fitted, conditioning)

    def _sample(self, cells: Sequence[_Cell], task: Task, steps: int) -> Iterator[Restored]:
        early, family = self._settings.early, self._editor.family.name
        prepared = [one for one, _ in cells]
        together = self._windowed.together([one.conditioning for one in prepared])
        shape = together.whole
        sampled = partial(self._pictures, prepared, together, task)
        wanted = [(one.photo, draw) for one, draw in cells]
        if early is None:
            noise = [candidate(draw, photo, shape, family) for photo, draw in wanted]
        else:
            noise = early.choose(wanted, task, shape, family, sampled)
        for (photo, draw), picture in zip(wanted, sampled(noise, steps), strict=True):
            yield Restored(photo.id, draw, picture)

    def _pictures(
        self,
        prepared: Sequence[_Prepared],
        together: WindowedConditioning,
        task: Task,
        noise: Sequence["torch.Tensor"],
        steps: int,
    ) -> list[Pixels]:
        """Return what the sampler makes of some noise, at the pictures' own sizes."""
        import torch

        settings = self._settings
        how = settings.fidelity
        held = [Held(one.photo.pixels, one.fitted) for one in prepared]
        correct = how and correction_of(self._editor, held, task, how, settings.resize)
        latents = sample(
            self._windowed, together, torch.cat(list(noise)), steps, settings.shift, correct
        )
        made = [
            one.fitted.restore(picture)
            for one, picture in zip(prepared, self._editor.decode(latents), strict=True)
        ]
        if how is None:
            return made
        return [
            how.pulled(picture, one.given, task) for picture, one in zip(made, held, strict=True)
        ]


@dataclass(frozen=True)
class RoundTrip:
    """Control: the ground truth through the autoencoder, or through the resizing alone.

    Attributes:
        resize: the resize policy.
        sizes: that the resizing goes by.
        editor: whose autoencoder; None for the resizing alone.
    """

    resize: Resize
    sizes: Sizes
    editor: Editor | None = None

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield what the pipeline itself leaves of each photo; see `Restorer.restore`."""
        del task
        for photo in photos:
            picture = self._through(photo.pixels)
            for draw in draws:
                yield Restored(photo.id, draw, picture)

    def _through(self, pixels: Pixels) -> Pixels:
        fitted = fit(pixels, self.resize, self.sizes)
        if self.editor is None:
            return fitted.restore(fitted.pixels)
        (decoded,) = self.editor.decode(self.editor.encode([fitted.pixels], [fitted.pixels]))
        return fitted.restore(decoded)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items in order, at most `size` at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
