"""From a backbone's name to an editor that is ready to run; nothing is downloaded."""

import math
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_adapters.editors.backbones import folder_of, read_family, read_index
from e2r_adapters.editors.editor import Editor, Sizes
from e2r_adapters.editors.releases import Offload, Quantize
from e2r_adapters.quiet import quiet_loading
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch


def open_editor(
    name: str,
    dtype: "torch.dtype",
    device: "torch.device | str",
    offload: Offload = "none",
    quantize: Quantize = "none",
) -> Editor:
    """Load a model from this machine.

    Args:
        name: a miniature's, a folder as diffusers saves it, or a hub id in the local hub cache;
            see `resolve_backbone` for "auto".
        dtype: of all its networks.
        device: where they go.
        offload: "none", "model" or "sequential": what waits on the CPU until it is needed.
        quantize: "none", "nf4" or "int8", of the large parts.

    Raises:
        UsageError: nothing there, a family that is not known, or no CUDA device for offloading or
            quantization.
    """
    import torch

    if (offload, quantize) != ("none", "none") and "cuda" not in str(device):
        raise UsageError(
            f"offload={offload} quantize={quantize}: expected a CUDA device, found {device}; "
            "leave both at none"
        )
    family = read_family(name)
    pipe = _load(name, dtype, _quantization(quantize, dtype, family.quantized))
    for part, network in pipe.components.items():
        if isinstance(network, torch.nn.Module):
            _check_loaded(name, part, network)
            network.eval().requires_grad_(False)
    if all(weight.dim() < 5 for weight in pipe.vae.parameters()):
        # Convolutions on the CPU are faster this way; pictures move by float rounding.
        pipe.vae.to(memory_format=torch.channels_last)
    pipe.set_progress_bar_config(disable=True)
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    elif quantize == "none":
        pipe.to(device)
    return family.open(pipe)


def sizes_of(name: str) -> Sizes:
    """Return the sizes that a resolved backbone takes, by its settings alone: no weight is read.

    Raises:
        UsageError: nothing there, a family that is not known, or settings that make no pipeline.
    """
    import diffusers
    import torch

    family, index, folder = read_family(name), read_index(name), Path(str(folder_of(name)))
    pipeline: Any = getattr(diffusers, family.pipeline)
    asked = signature(pipeline.__init__).parameters.values()
    parts: dict[str, Any] = {one.name: None for one in asked if one.default is one.empty}
    try:
        with quiet_loading():
            for part in ("scheduler", "vae", "transformer"):
                kind: Any = getattr(diffusers, index[part][1])
                # Networks without memory; a scheduler computes with its levels.
                with torch.device("cpu" if part == "scheduler" else "meta"):
                    parts[part] = kind.from_config(kind.load_config(str(folder / part)))
        parts.pop("self")
        return family.open(pipeline(**parts)).sizes
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UsageError(
            f"backbone {name}: expected the settings of a whole pipeline, found: {reason}; "
            "download it again"
        ) from error


def _load(name: str, dtype: "torch.dtype", options: dict[str, Any]) -> Any:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    try:
        with quiet_loading():
            return DiffusionPipeline.from_pretrained(
                str(folder_of(name)), dtype=dtype, local_files_only=True, **options
            )
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise UsageError(
            f"backbone {name}: expected a whole pipeline, found: {reason}; download it again"
        ) from error


def _check_loaded(name: str, part: str, network: "torch.nn.Module") -> None:
    """Compare one matrix of a network with its file.

    Where a library knows the file's tensors by other names, it starts from random weights and says
    so in a log that nobody reads.

    Raises:
        UsageError: the network has other weights than the file.
    """
    import torch

    files = sorted(Path(str(folder_of(name)), part).glob("*.safetensors"))
    found = _smallest_matrix(files[0]) if files else None
    if found is None:
        return
    key, held = found
    # Levels above a name come and go with versions; what is below them stays.
    below, own = key.removeprefix("text_model."), dict(network.named_parameters())
    alike = [below] if below in own else [one for one in own if one.endswith(f".{below}")]
    weight = own[alike[0]] if len(alike) == 1 else None
    if weight is None or not torch.is_floating_point(weight) or weight.shape != held.shape:
        return
    if not torch.equal(weight.cpu(), held.to(weight.dtype)):
        raise UsageError(
            f"backbone {name}: {part}: expected its weights in the network, found {key} to be "
            "another there: the installed libraries know the file's tensors by other names; "
            "pip install -U transformers diffusers"
        )


def _smallest_matrix(path: Path) -> "tuple[str, torch.Tensor] | None":
    """Return name and values of the smallest matrix in a safetensors file, None without any."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        shapes: dict[str, list[int]] = {
            key: file.get_slice(key).get_shape()
            for key in file.keys()  # noqa: SIM118 - not a dict
        }
        matrices = [key for key, shape in shapes.items() if len(shape) == 2]
        if not matrices:
            return None
        key = min(matrices, key=lambda one: math.prod(shapes[one]))
        return key, file.get_tensor(key)


def _quantization(
    quantize: Quantize, dtype: "torch.dtype", parts: tuple[str, ...]
) -> dict[str, Any]:
    """Return what `from_pretrained` takes for a quantized pipeline."""
    if quantize == "none":
        return {}
    from importlib.util import find_spec

    from diffusers.quantizers.pipe_quant_config import PipelineQuantizationConfig

    if find_spec("bitsandbytes") is None:
        raise UsageError(
            f"quantize={quantize}: expected bitsandbytes, which is not installed; "
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
        quant_backend=backend, quant_kwargs=settings, components_to_quantize=list(parts)
    )
    return {"quantization_config": config, "device_map": "cuda"}
