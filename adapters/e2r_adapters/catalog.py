"""The Kontext rows of the method catalog, with and without adapters, and their controls."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from e2r_adapters.backbone import FULL, NANO
from e2r_baselines.method import Build, Compute, MethodSpec, Restorer
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_adapters.backbone import Backbone
    from e2r_adapters.resize import Resize

NANO_ADAPTERS = "kontext-nano-adapters"
FULL_WEIGHTS = "flux1-kontext-dev"
_FULL_WIDTH = 3072
_KINDS = frozenset(task.kind for task in TASKS.values())
Offload = Literal["none", "model", "sequential"]
Quantize = Literal["none", "nf4", "int8"]

# Bytes on the device while the transformer runs: weights as in docs/kontext.md, and 4 GB of work.
_NEEDED: Mapping[Quantize, int] = MappingProxyType(
    {"none": 38 * 10**9, "int8": 21 * 10**9, "nf4": 13 * 10**9}
)


@dataclass(frozen=True)
class KontextOptions:
    """What the Kontext methods run with.

    Attributes:
        backbone: "auto", "kontext-nano", a hub id in the local cache, or a pipeline folder. "auto"
            is the full model if it is in the hub cache and a CUDA device can hold it, else the
            miniature.
        adapter: for `kontext_lora`: a LoRA file, a folder that holds one, or a folder with one
            folder per task kind (task-specific adapters); None for those embedded with the
            miniature, one per task kind.
        guidance: the embedded guidance scale; the paper's inference uses 2.5.
        max_sequence_length: of T5; None for 512, and what the miniature was trained with for it.
        resize: the resize policy; see `e2r_adapters.resize.fit`.
        offload: keep networks on the CPU until they are needed: whole models, or layer by layer.
        quantize: load transformer and T5 in 4 or 8 bits (bitsandbytes, CUDA only).
    """

    backbone: str = "auto"
    adapter: Path | None = None
    guidance: float = 2.5
    max_sequence_length: int | None = None
    resize: "Resize" = "native"
    offload: Offload = "none"
    quantize: Quantize = "none"


def kontext_methods(options: KontextOptions) -> Mapping[str, MethodSpec]:
    """Return the Kontext methods and their controls, by name."""
    base = _base_build(options)
    adapted = _adapted_build(base, options)
    specs = (
        MethodSpec(
            name="kontext",
            title="FLUX.1 Kontext, no adapter",
            source="Black Forest Labs, FLUX.1 Kontext, 2025",
            licence=_licence(base),
            builds=(base,),
            tasks=_KINDS,
            open=partial(_open_kontext, options, False),
            stochastic=True,
            stepped=True,
        ),
        MethodSpec(
            name="kontext_lora",
            title="Edit2Restore (Kontext + LoRA)",
            source="Edit2Restore, 2026",
            licence=_licence(base),
            builds=(adapted,),
            tasks=_trained_kinds(adapted),
            open=partial(_open_kontext, options, True),
            stochastic=True,
            stepped=True,
        ),
        MethodSpec(
            name="clean_vae",
            title="ground truth through the autoencoder (control)",
            source="control",
            licence=_licence(base),
            builds=(base,),
            tasks=_KINDS,
            open=partial(_open_round_trip, options, True),
            feed="clean",
            control=True,
        ),
        MethodSpec(
            name="clean_resized",
            title=f"ground truth through --resize {options.resize} (control)",
            source="control",
            licence="none needed",
            builds=(Build("control"),),
            tasks=_KINDS,
            open=partial(_open_round_trip, options, False),
            feed="clean",
            control=True,
        ),
    )
    return {spec.name: spec for spec in specs}


def _base_build(options: KontextOptions) -> Build:
    name = _backbone(options)
    if name == NANO:
        return Build(NANO, files=(NANO,), miniature=True)
    if name == FULL:
        return Build("FLUX.1-Kontext-dev", files=(FULL_WEIGHTS,))
    return Build(name.rstrip("/").rpartition("/")[2], miniature=_is_small(Path(name)))


def _adapted_build(base: Build, options: KontextOptions) -> Build:
    if options.adapter is not None:
        path = options.adapter
        label = path.stem if path.suffix else path.name
        if label == "pytorch_lora_weights":
            label = path.resolve().parent.name
        return Build(f"{base.name}+{label}", base.files, base.miniature)
    if base.name == NANO:
        return Build(NANO, (NANO, NANO_ADAPTERS), miniature=True)
    return base


def _backbone(options: KontextOptions) -> str:
    """Return what "auto" means on this machine."""
    if options.backbone != "auto":
        return options.backbone
    return FULL if _cached(FULL) and _fits_cuda(options.quantize) else NANO


def _cached(hub_id: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, "model_index.json"), str)


def _fits_cuda(quantize: Quantize) -> bool:
    import torch

    if not torch.cuda.is_available():
        return False
    return torch.cuda.get_device_properties(0).total_memory >= _NEEDED[quantize]


def _is_small(folder: Path) -> bool:
    """Return whether a pipeline folder holds a narrower transformer than the real one."""
    path = folder / "transformer" / "config.json"
    if not path.is_file():
        return False
    config = json.loads(path.read_text(encoding="utf-8"))
    width = config.get("attention_head_dim", 0) * config.get("num_attention_heads", 0)
    return width < _FULL_WIDTH


def _licence(build: Build) -> str:
    if build.name == NANO:
        return "Apache-2.0"
    if build.files == (FULL_WEIGHTS,):
        return "FLUX.1 [dev] non-commercial"
    return "that of its weights"


def _trained_kinds(build: Build) -> frozenset[str]:
    return frozenset({"denoise", "derain", "dehaze"}) if NANO_ADAPTERS in build.files else _KINDS


def _open_kontext(
    options: KontextOptions,
    adapted: bool,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> Restorer:
    """Load the pipeline of a build, and its adapters if it has any."""
    from e2r_adapters.nano_text import LENGTH
    from e2r_adapters.restorer import KontextRestorer, Settings

    adapters = _adapters(options, build, files) if adapted else {}
    backbone = _open_backbone(options, build, files, compute)
    sequence = LENGTH if build.miniature else 512
    settings = Settings(
        guidance=options.guidance,
        sequence=options.max_sequence_length or sequence,
        resize=options.resize,
        batch=compute.batch,
    )
    return KontextRestorer(backbone, settings, adapters)


def _open_round_trip(
    options: KontextOptions,
    encoded: bool,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> Restorer:
    from e2r_adapters.restorer import RoundTrip

    backbone = _open_backbone(options, build, files, compute) if encoded else None
    return RoundTrip(options.resize, backbone)


def _open_backbone(
    options: KontextOptions, build: Build, files: Mapping[str, Path], compute: Compute
) -> "Backbone":
    import torch

    from e2r_adapters.backbone import backbone_of, load_pipeline

    # The weights are where the resolver found them, which need not be inside this package.
    place = str(files[build.files[0]]) if build.files else _backbone(options)
    pipe = load_pipeline(
        place, getattr(torch, compute.dtype), compute.device, options.offload, options.quantize
    )
    return backbone_of(pipe)


def _adapters(
    options: KontextOptions, build: Build, files: Mapping[str, Path]
) -> Mapping[str, Path]:
    """Return the adapter files by task kind, "" for one that serves every task.

    Raises:
        UsageError: no adapter was given where none is embedded, or there is none at its path.
    """
    given = options.adapter or files.get(NANO_ADAPTERS)
    if given is None:
        raise UsageError(
            f"kontext_lora on {build.name} needs --adapter FILE: train one with `e2r-bench train`, "
            f"or run the miniature with --backbone {NANO}"
        )
    from e2r_adapters.lora import ADAPTER_FILE

    if given.is_file():
        return {"": given}
    if (given / ADAPTER_FILE).is_file():
        return {"": given / ADAPTER_FILE}
    found = {kind: given / kind / ADAPTER_FILE for kind in sorted(_KINDS)}
    by_kind = {kind: path for kind, path in found.items() if path.is_file()}
    if not by_kind:
        raise UsageError(
            f"--adapter {given}: expected a LoRA file, a folder with {ADAPTER_FILE}, or one with a "
            "folder per task kind; found none"
        )
    return by_kind
