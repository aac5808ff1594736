"""The seam to an instruction-editing model: everything that differs between families.

A sampler and a training step see velocity(x, sigma), as k-diffusion's do; the rest is behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from e2r_baselines.method import Photo, Pixels

if TYPE_CHECKING:
    import torch

Resize = Literal["paper", "aspect", "native", "icedit", "megapixel"]
"""How pictures of any size meet a model; see `e2r_adapters.resize.fit`."""
Targets = str
"""Which Linears of the transformer a LoRA is trained on: a name that the family's facts have."""
Shift = Literal["own", "fixed"]
"""How a schedule is shifted where that depends on the number of steps: by the number that is run,
as the model's own pipeline does, or always by the full number, so that steps change one thing."""
Networks = Mapping[str, "torch.nn.Module"]
"""The parts of an editor that may carry a LoRA, by the name that adapter files call them."""
LoraSource = Path | Mapping[str, "torch.Tensor"]
"""An adapter's file, or its tensors by key."""


@dataclass(frozen=True)
class Sizes:
    """What sizes a model takes.

    Attributes:
        multiple: heights and widths are multiples of it, in pixels.
        least: no side may be shorter, in pixels.
        preferred: the (width, height) that it was trained at.
    """

    multiple: int
    least: int
    preferred: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Instruction:
    """What an editor is told.

    Attributes:
        text: the prompt.
        guidance: the guidance scale, embedded or classifier-free as the family has it.
        length: tokens that the text is padded or cut to, in families whose pipelines do that.
    """

    text: str
    guidance: float
    length: int


class Conditioning(Protocol):
    """What some samples are steered by: all that seeds and steps share. Opaque to callers."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of the latents of one sample that it goes with."""
        ...

    @property
    def dtype(self) -> "torch.dtype":
        """What the network computes in."""
        ...

    @property
    def device(self) -> "torch.device":
        """Where it lies."""
        ...


@dataclass(frozen=True)
class LoraPart:
    """Where a LoRA sits in one network.

    Attributes:
        targets: set of targets -> endings of the names of the Linears; one that starts with a dot
            leaves out a Linear that is called just so.
        linear: regular expression of every Linear's whole name.
    """

    targets: Mapping[Targets, tuple[str, ...]]
    linear: str


@dataclass(frozen=True)
class LoraFacts:
    """What adapter files of a family look like.

    Attributes:
        parts: network -> where its LoRA sits.
        foreign: regular expression of the names that kohya's trainers have for the Linears.
        marked: the Linear of the transformer whose weights tell one base from another.
        width_of: endings of Linears whose input is as wide as the transformer.
        bases: width -> which base has it, in words.
        loader: diffusers' class that converts foreign names to the family's.
    """

    parts: Mapping[str, LoraPart]
    foreign: str
    marked: str
    width_of: tuple[str, ...]
    bases: Mapping[int, str]
    loader: str


class Editor(Protocol):
    """One loaded editing model: B samples, pictures (H, W, 3) float32, latents (B, c, h, w)."""

    @property
    def family(self) -> "Family":
        """What holds for every model of its family."""
        ...

    @property
    def sizes(self) -> Sizes:
        """The sizes that it takes."""
        ...

    @property
    def networks(self) -> Networks:
        """The parts that may carry a LoRA, as loaded."""
        ...

    @property
    def device(self) -> "torch.device":
        """Where its transformer runs."""
        ...

    def encode(self, pictures: Sequence[Pixels], sources: Sequence[Pixels]) -> "torch.Tensor":
        """Return the latents that a sampler should end at, on the editor's device.

        Args:
            pictures: of one size, nominally [0, 1]; values outside pass through.
            sources: what each was made from; families that see both side by side need it.
        """
        ...

    def decode(self, latents: "torch.Tensor") -> list[Pixels]:
        """Return the pictures of latents, clipped to [0, 1]."""
        ...

    def condition(
        self, photo: Photo, instructions: Sequence[Instruction]
    ) -> tuple[Conditioning, ...]:
        """Return one conditioning of a photo for each instruction, on the CPU.

        A picture is encoded once a call, and a text once until `forget`, where the family's text
        does not depend on the picture. Draws of a family derive from the photo's id.
        """
        ...

    def together(self, parts: Sequence[Conditioning]) -> Conditioning:
        """Return one conditioning for several samples of one size, on the editor's device."""
        ...

    def velocity(
        self, x: "torch.Tensor", sigma: "torch.Tensor", conditioning: Conditioning
    ) -> "torch.Tensor":
        """Return the predicted eps - z, (B, c, h, w), guidance included.

        Args:
            x: (B, c, h, w), (1 - sigma) z + sigma eps.
            sigma: (B,) float32 noise levels in [0, 1].
            conditioning: of the same samples; see `together`.
        """
        ...

    def schedule(
        self, steps: int, shape: tuple[int, int, int], shift: Shift = "own"
    ) -> "torch.Tensor":
        """Return (steps + 1,) float32 noise levels from 1 to 0 for latents of (c, h, w)."""
        ...

    def training_levels(self) -> "torch.Tensor":
        """Return the (L,) float32 noise levels that training draws from, evenly."""
        ...

    def loss_mask(self, shape: tuple[int, int, int]) -> "torch.Tensor | None":
        """Return the (c, h, w) weights of a training loss in latents, None where all count."""
        ...

    def through(self, networks: Networks) -> "Editor":
        """Return an editor whose velocity goes through these networks, wrapped or trained.

        A text encoder among them is run in every call, since training changes what it says.
        """
        ...

    def forget(self) -> None:
        """Drop what texts were encoded to: an adapter of a text encoder has changed."""
        ...

    def park(self) -> None:
        """Free what only `encode` and `condition` need; neither can be called afterwards."""
        ...

    def finish(self) -> None:
        """Send to the CPU what an offloaded editor no longer needs on the device."""
        ...

    def save_lora(
        self, folder: Path, layers: Mapping[str, Mapping[str, "torch.Tensor"]], trained: Networks
    ) -> None:
        """Write LoRA tensors by network, with the settings of the trained ones, as diffusers."""
        ...

    def lora_shapes(self, source: LoraSource) -> Mapping[str, tuple[int, ...]]:
        """Return the shapes of an adapter's tensors, converted to this family's names."""
        ...

    def load_lora(self, source: LoraSource, name: str) -> None:
        """Load an adapter under a name that is free."""
        ...


@dataclass(frozen=True)
class Family:
    """A family of editing models.

    Attributes:
        name: names the draws of the sampler's noise.
        pipeline: diffusers' class, as a pipeline folder names it.
        preferred: see `Sizes.preferred`.
        full_width: of the transformer of the real model; narrower ones are miniatures.
        quantized: the parts of a pipeline that are quantized when that is asked for.
        lora: see `LoraFacts`.
        open: from a loaded pipeline to its editor.
        guidance: the scale of inference unless another is set.
        least_length: text tokens; fewer would cut instructions off after a family's own words.
        training_guidance: the scale that is seen in training, None for what the profile says; 1
            where guidance is classifier-free, so that a step is one pass.
    """

    name: str
    pipeline: str
    preferred: tuple[tuple[int, int], ...]
    full_width: int
    quantized: tuple[str, ...]
    lora: LoraFacts
    open: Callable[[Any], Editor]
    guidance: float
    training_guidance: float | None = None
    least_length: int = 0
