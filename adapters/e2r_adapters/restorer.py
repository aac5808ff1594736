"""Edit2Restore's inference: a Kontext pipeline, with or without adapters, for the runner."""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from e2r_adapters.backbone import Backbone
from e2r_adapters.encode import PromptState, decode_latents, encode_images, encode_prompt
from e2r_adapters.resize import Fitted, Resize, fit
from e2r_adapters.sampler import Guide, noise_for, sample
from e2r_baselines.method import Draw, Photo, Pixels, Restored
from e2r_baselines.tasks import Task
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
ANY_KIND = ""
_SMALL = 2**28


@dataclass(frozen=True)
class Settings:
    """How pictures are sampled.

    Attributes:
        guidance: the embedded guidance scale.
        sequence: length of the T5 sequence in tokens.
        resize: the resize policy.
        batch: cells of (picture, seed) that go through the transformer at once.
    """

    guidance: float
    sequence: int
    resize: Resize
    batch: int


@dataclass(frozen=True)
class _Prepared:
    """One photo, fitted and encoded; shared by all its draws."""

    photo: Photo
    fitted: Fitted
    latents: "torch.Tensor"


class KontextRestorer:
    """See `e2r_baselines.method.Restorer`."""

    def __init__(
        self, backbone: Backbone, settings: Settings, adapters: Mapping[str, Path]
    ) -> None:
        """Load the adapters.

        Args:
            backbone: a pipeline of its own: adapters stay in it.
            settings: see `Settings`.
            adapters: task kind -> adapter file, `ANY_KIND` for one that serves all the others;
                empty for the bare model.

        Raises:
            UsageError: an adapter that is damaged or made for another base.
        """
        self._backbone = backbone
        self._settings = settings
        self._names = {kind: f"for-{kind or 'any'}" for kind in adapters}
        self._prompts: dict[str, PromptState] = {}
        for kind, path in adapters.items():
            _load(backbone, path, self._names[kind])
        self._active = ""
        self._plain = _adapted_weights(backbone)
        quantized = getattr(backbone.pipe.transformer, "hf_quantizer", None)
        # One set of products instead of three per layer; pictures move by float rounding. Several
        # adapters take turns if there is room for a copy of the weights that they change.
        size = sum(weight.nbytes for weight in self._plain)
        self._fuses = bool(adapters) and not quantized and (len(adapters) == 1 or size <= _SMALL)
        turns = self._fuses and len(adapters) > 1
        self._copies = [weight.clone() for weight in self._plain] if turns else []
        if len(adapters) == 1:
            self._activate(*self._names.values())

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield every (photo, draw); see `Restorer.restore`."""
        self._use_adapter(task)
        prompt = self._prompt(task.prompt)
        cells: dict[tuple[int, tuple[int, ...]], list[tuple[_Prepared, Draw]]] = defaultdict(list)
        for photo in photos:
            prepared = self._prepare(photo)
            for draw in draws:
                cells[draw.steps, prepared.fitted.pixels.shape].append((prepared, draw))
        for (steps, _), same in cells.items():
            for batch in _chunks(same, self._settings.batch):
                yield from self._sample(batch, prompt, steps)
        self._backbone.pipe.maybe_free_model_hooks()

    def _prepare(self, photo: Photo) -> _Prepared:
        fitted = fit(photo.pixels, self._settings.resize, self._backbone.multiple)
        return _Prepared(photo, fitted, encode_images(self._backbone.pipe, [fitted.pixels]))

    def _sample(
        self, cells: Sequence[tuple[_Prepared, Draw]], prompt: PromptState, steps: int
    ) -> Iterator[Restored]:
        import torch

        condition = torch.cat([prepared.latents for prepared, _ in cells])
        noise = torch.cat([noise_for(d.seed, p.photo.id, p.latents) for p, d in cells])
        guide = Guide(condition, prompt, self._settings.guidance)
        pictures = decode_latents(self._backbone.pipe, sample(self._backbone, guide, noise, steps))
        for (prepared, draw), picture in zip(cells, pictures, strict=True):
            yield Restored(prepared.photo.id, draw, prepared.fitted.restore(picture))

    def _prompt(self, text: str) -> PromptState:
        if text not in self._prompts:
            self._prompts[text] = encode_prompt(self._backbone.pipe, text, self._settings.sequence)
        return self._prompts[text]

    def _use_adapter(self, task: Task) -> None:
        if not self._names:
            return
        name = self._names.get(task.kind) or self._names.get(ANY_KIND)
        if name is None:
            trained = ", ".join(sorted(self._names))
            raise UsageError(
                f"expected an adapter for {task.kind}, found adapters for {trained}; train it with "
                "`e2r-bench train`, or give one that serves all tasks"
            )
        if name != self._active:
            self._activate(name)

    def _activate(self, name: str) -> None:
        pipe = self._backbone.pipe
        # A text encoder's LoRA changes what prompts say.
        self._prompts.clear()
        if not self._fuses:
            pipe.set_adapters(name)
        else:
            if self._active:
                pipe.unfuse_lora()
                # Subtracting leaves rounding behind: the order of tasks would change the pictures.
                for weight, copy in zip(self._plain, self._copies, strict=True):
                    weight.copy_(copy)
            pipe.fuse_lora(adapter_names=[name])
        self._active = name


@dataclass(frozen=True)
class RoundTrip:
    """Control: the ground truth through the autoencoder, or through the resizing alone."""

    resize: Resize
    backbone: Backbone | None

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
        multiple = 1 if self.backbone is None else self.backbone.multiple
        fitted = fit(pixels, self.resize, multiple)
        if self.backbone is None:
            return fitted.restore(fitted.pixels)
        pipe = self.backbone.pipe
        (decoded,) = decode_latents(pipe, encode_images(pipe, [fitted.pixels]))
        return fitted.restore(decoded)


def _adapted_weights(backbone: Backbone) -> "list[torch.Tensor]":
    """Return the weights of the layers that the loaded adapters change."""
    networks = (backbone.pipe.transformer, backbone.pipe.text_encoder)
    layers = [m for network in networks for m in network.modules() if hasattr(m, "base_layer")]
    return [layer.base_layer.weight.detach() for layer in layers]


def _load(backbone: Backbone, path: Path, name: str) -> None:
    from e2r_adapters.lora import load

    with warnings.catch_warnings():
        # PEFT warns whoever loads a second adapter that there will be several; that is meant.
        warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
        load(backbone.pipe, path, name)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items in order, at most `size` at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
