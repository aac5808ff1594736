"""What the methods of the catalog can be told, each only what it heeds."""

from dataclasses import dataclass
from pathlib import Path

from e2r_adapters.editors.backbones import Offload, Quantize
from e2r_adapters.editors.editor import Resize


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
        backbone: "auto", "kontext-nano", a hub id in the local cache, or a pipeline folder; see
            `resolve_backbone`.
        offload: keep networks on the CPU until they are needed: whole models, or layer by layer.
        quantize: load the large parts in 4 or 8 bits (bitsandbytes, CUDA only).
    """

    backbone: str = "auto"
    offload: Offload = "none"
    quantize: Quantize = "none"


@dataclass(frozen=True)
class EditorOptions(RoundTripOptions):
    """What the bare editor runs with.

    Attributes:
        guidance: the guidance scale; the paper's inference uses 2.5.
        max_sequence_length: text tokens; None for 512, and what the miniature was trained with for
            it.
    """

    guidance: float = 2.5
    max_sequence_length: int | None = None


@dataclass(frozen=True)
class KontextOptions(EditorOptions):
    """What the editor with adapters runs with.

    Attributes:
        adapter: a LoRA file, a folder that holds one, or a folder with one folder per task kind
            (task-specific adapters); None for those embedded with the miniature, one per task kind.
        alpha: what the adapter was trained with, for a file that does not say; in every row then.
    """

    adapter: Path | None = None
    alpha: float | None = None
