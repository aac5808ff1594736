"""The seam to an instruction-editing transformer: everything that differs between families.

Training and inference speak to a `Backbone` alone. FLUX.1 Kontext is the one family so far; the
next one (FLUX.2-klein has its own ids, no guidance embedding and one text encoder) is one more
class in one more module, and one more line in `backbone_of`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from e2r_adapters.quiet import quiet_loading
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
        FlowMatchEulerDiscreteScheduler,
    )

NANO = "kontext-nano"
"""The embedded miniature; see docs/kontext.md."""
FULL = "black-forest-labs/FLUX.1-Kontext-dev"


class Backbone(Protocol):
    """One loaded editing model: B pictures, N target tokens, M condition tokens, C channels."""

    @property
    def pipe(self) -> "FluxKontextPipeline":
        """The diffusers pipeline; its parts are read, never changed."""
        ...

    @property
    def multiple(self) -> int:
        """Side of a token in pixels: heights and widths must be multiples of it."""
        ...

    def pack(self, latents: "torch.Tensor") -> "torch.Tensor":
        """Return (B, N, C) tokens of (B, c, h, w) latents."""
        ...

    def unpack(self, tokens: "torch.Tensor", height: int, width: int) -> "torch.Tensor":
        """Return (B, c, h, w) latents of (B, N, C) tokens of pictures of `height` x `width`."""
        ...

    def token_ids(self, target: "torch.Tensor", condition: "torch.Tensor") -> "torch.Tensor":
        """Return (N + M, 3) positions for (B, c, h, w) latents of target and condition."""
        ...

    def fresh_scheduler(self) -> "FlowMatchEulerDiscreteScheduler":
        """Return an own scheduler: calling a pipeline changes the state of its one."""
        ...

    def schedule(self, steps: int, target_tokens: int) -> "FlowMatchEulerDiscreteScheduler":
        """Return an own scheduler, set to so many steps, shifted for so many target tokens."""
        ...

    def predict(
        self,
        transformer: "torch.nn.Module",
        *,
        tokens: "torch.Tensor",
        token_ids: "torch.Tensor",
        timestep: "torch.Tensor",
        prompt: "torch.Tensor",
        pooled: "torch.Tensor",
        guidance: float,
    ) -> "torch.Tensor":
        """Return the predicted velocity of every token, (B, N + M, C).

        Args:
            transformer: the pipe's, perhaps wrapped for training.
            tokens: (B, N + M, C), the noisy target first, then the condition.
            token_ids: see `token_ids`.
            timestep: (B,) in [0, 1000].
            prompt: (B, L, D) text states.
            pooled: (B, P) text vector.
            guidance: the embedded guidance scale.
        """
        ...


def backbone_of(pipe: "FluxKontextPipeline") -> Backbone:
    """Return the seam to a loaded pipeline.

    Raises:
        UsageError: a pipeline of a family that is not supported.
    """
    from e2r_adapters.flux import FluxKontext

    if type(pipe).__name__ != "FluxKontextPipeline":
        raise UsageError(
            f"expected a FluxKontextPipeline, found {type(pipe).__name__}; "
            "choose another --backbone"
        )
    return FluxKontext(pipe)


def nano_folder() -> Path:
    """Return the folder of the embedded miniature."""
    return Path(__file__).parent / "embedded" / NANO


def folder_of(name: str) -> str:
    """Return what `from_pretrained` takes for "kontext-nano", a folder or a hub id."""
    return str(nano_folder()) if name == NANO else name


def load_pipeline(
    name: str,
    dtype: "torch.dtype",
    device: "torch.device | str",
    offload: str = "none",
    quantize: str = "none",
) -> "FluxKontextPipeline":
    """Load a pipeline from this machine; nothing is downloaded.

    Args:
        name: "kontext-nano", a folder as diffusers saves it, or a hub id in the local hub cache.
        dtype: of all its networks.
        device: where they go.
        offload: "none", "model" or "sequential": what waits on the CPU until it is needed.
        quantize: "none", "nf4" or "int8", of transformer and T5.

    Raises:
        UsageError: nothing there, something else than a Kontext pipeline, or no CUDA device for
            offloading or quantization.
    """
    import torch
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    from e2r_adapters.flux import PARTS

    if (offload, quantize) != ("none", "none") and "cuda" not in str(device):
        raise UsageError(
            f"--offload {offload} --quantize {quantize}: expected a CUDA device, found {device}; "
            "leave both at none"
        )
    options = _quantization(quantize, dtype)
    try:
        # Its class stands in the folder; `backbone_of` refuses what is not Kontext.
        with quiet_loading():
            pipe: Any = DiffusionPipeline.from_pretrained(
                folder_of(name), dtype=dtype, local_files_only=True, **options
            )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise UsageError(
            f"--backbone {name}: expected {NANO}, a pipeline folder, or a hub id in the local "
            f"cache: {reason}; `hf download {name}` fetches a hub id"
        ) from error
    backbone_of(pipe)
    for part in PARTS:
        getattr(pipe, part).eval().requires_grad_(False)
    # Convolutions on the CPU are faster this way; pictures move by float rounding.
    pipe.vae.to(memory_format=torch.channels_last)
    pipe.set_progress_bar_config(disable=True)
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    elif quantize == "none":
        pipe.to(device)
    return pipe


def _quantization(quantize: str, dtype: "torch.dtype") -> dict[str, Any]:
    """Return what `from_pretrained` takes for a quantized pipeline."""
    if quantize == "none":
        return {}
    from importlib.util import find_spec

    from diffusers.quantizers.pipe_quant_config import PipelineQuantizationConfig

    if find_spec("bitsandbytes") is None:
        raise UsageError(
            f"--quantize {quantize}: expected bitsandbytes, which is not installed; "
            "`pip install 'e2r-bench[quantize]'`"
        )
    if quantize == "nf4":
        backend = "bitsandbytes_4bit"
        settings: dict[str, Any] = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": dtype,
        }
    else:
        backend, settings = "bitsandbytes_8bit", {"load_in_8bit": True}
    config = PipelineQuantizationConfig(
        quant_backend=backend,
        quant_kwargs=settings,
        components_to_quantize=["transformer", "text_encoder_2"],
    )
    return {"quantization_config": config, "device_map": "cuda"}
