"""What the methods of the catalog can be told, each only what it heeds."""

from dataclasses import dataclass
from pathlib import Path

from e2r_adapters.editors.editor import Resize, Shift
from e2r_adapters.editors.releases import Constraint, Offload, Quantize, Routing

FILTER_STEPS = 4
CONSISTENCY, ORACLE = "consistency", "oracle"
"""Judges of candidates: by the input, and by the truth."""


@dataclass(frozen=True)
class ResizeOptions:
    """What the control that only resizes runs with.

    Attributes:
        resize: the resize policy; see `e2r_adapters.resize.fit`.
    """

    resize: Resize = "native"


@dataclass(frozen=True)
class RoundTripOptions(ResizeOptions):
    """What the control that goes through the autoencoder runs with.

    Attributes:
        backbone: "auto", a miniature's name, a hub id in the local cache, or a pipeline folder, of
            the method's family; see `resolve_backbone`.
        offload: keep networks on the CPU until they are needed: whole models, or layer by layer.
        quantize: load the large parts in 4 or 8 bits (bitsandbytes, CUDA only).
    """

    backbone: str = "auto"
    offload: Offload = "none"
    quantize: Quantize = "none"


@dataclass(frozen=True)
class SampledOptions(RoundTripOptions):
    """What every editor runs with.

    Attributes:
        max_sequence_length: text tokens; None for 512, and what the miniature was trained with for
            it.
        consistency: how far samples are pulled towards what the input certainly shows, from 0 (not
            at all) to 1; see `e2r_adapters.fidelity`.
        constraint: what they are held to; see `Constraint`.
        candidates: noises that are tried for each picture; 1 for no early filter.
        filter_steps: steps that each of them is tried for.
        judge: who chooses: "consistency", a metric of one picture alone such as niqe, "oracle" (by
            the truth: an upper bound, no method), or `command:LINE`; see `e2r_adapters.judges`.
    """

    max_sequence_length: int | None = None
    consistency: float = 0.0
    constraint: Constraint = "task"
    candidates: int = 1
    filter_steps: int = FILTER_STEPS
    judge: str = CONSISTENCY


@dataclass(frozen=True)
class AdapterOptions:
    """Which adapters a method runs with.

    Attributes:
        adapter: a LoRA file, a folder that holds one, or a folder with one folder per task kind
            (task-specific adapters); None for those embedded with a miniature, one per task kind.
        alpha: what the adapter was trained with, for a file that does not say; in every row then.
    """

    adapter: Path | None = None
    alpha: float | None = None


@dataclass(frozen=True)
class EditorOptions(SampledOptions):
    """What bare Kontext runs with.

    Attributes:
        guidance: the guidance scale; the paper's inference uses 2.5.
    """

    guidance: float = 2.5


@dataclass(frozen=True)
class KontextLoraOptions(EditorOptions, AdapterOptions):
    """What Kontext with adapters runs with."""


@dataclass(frozen=True)
class KleinOptions(SampledOptions):
    """What bare klein runs with.

    Attributes:
        guidance: the scale of classifier-free guidance; None for 4, the release's. The distilled
            model heeds none.
        mu: "own" lets the shift of the noise levels depend on the number of steps, as the model's
            pipeline does; "fixed" keeps that of 50 steps, so that a study of steps changes one
            thing.
    """

    guidance: float | None = None
    mu: Shift = "own"


@dataclass(frozen=True)
class KleinLoraOptions(KleinOptions, AdapterOptions):
    """What klein with adapters runs with."""


@dataclass(frozen=True)
class QwenOptions(SampledOptions):
    """What bare Qwen-Image-Edit runs with; a `max_sequence_length` is refused, see the docs.

    Attributes:
        guidance: the scale of classifier-free guidance; 1 halves the passes, and is what adapters
            that were distilled to few steps are for.
    """

    guidance: float = 4.0


@dataclass(frozen=True)
class QwenLoraOptions(QwenOptions, AdapterOptions):
    """What Qwen-Image-Edit with adapters runs with."""


@dataclass(frozen=True)
class IceditOptions(SampledOptions, AdapterOptions):
    """What ICEdit with a plain adapter runs with.

    Attributes:
        guidance: the embedded guidance scale; the release's inference uses 50.
    """

    guidance: float = 50.0


@dataclass(frozen=True)
class MixtureOptions(SampledOptions):
    """What ICEdit with its mixture of adapters runs with.

    Attributes:
        adapter: the mixture's file, or a folder that holds it.
        routing: how experts are weighted; None as they were trained ("released" for other people's
            files), or a control that tells whether routing means anything: see
            `e2r_adapters.lora.mixture`.
        guidance: as ICEdit's.
    """

    adapter: Path | None = None
    routing: Routing | None = None
    guidance: float = 50.0


@dataclass(frozen=True)
class SanaOptions(SampledOptions, AdapterOptions):
    """What SANA after paired training runs with.

    Attributes:
        guidance: the scale of classifier-free guidance; 1 for none, as it was trained: the empty
            prompt, which others guide away from, is shown in no training here.
        max_sequence_length: text tokens; 300 as its pipeline's. What pads a text is masked.
    """

    guidance: float = 1.0
    max_sequence_length: int | None = 300


@dataclass(frozen=True)
class Sampling:
    """How a method samples.

    Attributes:
        guidance: the guidance scale.
        shift: see `Shift`.
    """

    guidance: float
    shift: Shift = "own"
