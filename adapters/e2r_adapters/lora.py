"""The LoRA of Edit2Restore: where it sits, what it is saved as, and what it is after loading.

Source: Hu et al., ICLR 2022; targets and sizes from Edit2Restore's release.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from e2r_adapters.compat import check_peft
from e2r_adapters.lint import (
    DIFFUSERS_ENTRY,
    RECORD_KEY,
    AdapterReport,
    Shapes,
    inspect,
    linears,
    read_header,
)
from e2r_adapters.profiles import Profile, Targets
from e2r_adapters.quiet import quiet_loading
from e2r_metrics.base.draws import seed_for
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline

ADAPTER_FILE = "pytorch_lora_weights.safetensors"
"""diffusers' own name, so that `load_lora_weights(folder)` finds it."""

_ATTENTION = ("to_k", "to_q", "to_v", "to_out.0")
_ADDED = ("add_k_proj", "add_q_proj", "add_v_proj", "to_add_out")
_FEED = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp")

TARGETS: Mapping[Targets, tuple[str, ...]] = MappingProxyType(
    {
        "full": (*(f"attn.{name}" for name in (*_ATTENTION, *_ADDED)), *_FEED),
        "attention": tuple(f"attn.{name}" for name in _ATTENTION),
    }
)
"""Module name endings: the release's list, and the four that the paper's text names."""

TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")
"""Every attention projection of CLIP-L; T5 stays frozen."""


def attach(
    model: "torch.nn.Module", targets: tuple[str, ...], profile: Profile, seed: int
) -> list["torch.nn.Parameter"]:
    """Add a fresh LoRA named "default" to a frozen network and return what is to be trained.

    Args:
        model: a diffusers transformer or a transformers text encoder; all of it is frozen first.
        targets: endings of the names of the Linears.
        profile: rank and alpha.
        seed: of the Gaussian draw of A (B starts at zero); PEFT draws from torch's global
            generator, which is put back afterwards.

    Returns:
        The LoRA parameters, float32 whatever the dtype of the network: bfloat16 would round away
        most updates at the text encoder's learning rate.

    Raises:
        MethodError: the installed PEFT is too old for the network's library.
    """
    import torch
    from peft import LoraConfig

    check_peft(model)
    model.requires_grad_(False)
    config = LoraConfig(
        r=profile.rank,
        lora_alpha=profile.alpha,
        init_lora_weights="gaussian",
        target_modules=list(targets),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, type(model).__name__, "lora-init"))
        # diffusers' and transformers' models both have the method; nn.Module's type has not.
        cast("Any", model).add_adapter(config)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    return trained


def scales(model: "torch.nn.Module") -> Mapping[str, float]:
    """Return the scale, alpha / rank times weight, of each adapter of a network.

    Raises:
        UsageError: an adapter with different scales in different layers.
    """
    found: dict[str, set[float]] = {}
    for layer in _lora_layers(model):
        for name, scale in layer.scaling.items():
            found.setdefault(name, set()).add(float(scale))
    for name, values in found.items():
        if len(values) > 1:
            raise UsageError(f"adapter {name!r} has several scales: {sorted(values)}; expected 1")
    return {name: values.pop() for name, values in found.items()}


def _lora_layers(model: "torch.nn.Module") -> Iterator[Any]:
    from peft.tuners.lora import LoraLayer

    return (module for module in model.modules() if isinstance(module, LoraLayer))


def fingerprint(transformer: "torch.nn.Module") -> str:
    """Return the sha256 of a base's output projection, rounded to bfloat16, in hexadecimal.

    Fine-tuning moves it, loading the base in another dtype does not, and a LoRA on top of it is
    looked through: so an adapter can tell its base from another of the same shape.
    """
    import torch

    layer = transformer.get_submodule("proj_out")
    linear = cast("Any", getattr(layer, "base_layer", layer))
    weight = linear.weight.detach().cpu().to(torch.bfloat16)
    return hashlib.sha256(weight.view(torch.int16).numpy().tobytes()).hexdigest()


def save(pipe: "FluxKontextPipeline", folder: Path, record: Mapping[str, Any]) -> Path:
    """Write the LoRA named "default" of a pipeline as a standard diffusers adapter, atomically.

    Args:
        pipe: its transformer, and its text encoder if that is trained, carry the LoRA.
        folder: receives `pytorch_lora_weights.safetensors`.
        record: what it was trained on and how; kept in the header beside diffusers' own entry.

    Returns:
        The path of the file.

    Raises:
        OSError: the disk is full or the folder cannot be written to; no file is left behind.
    """
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline
    from diffusers.training_utils import (
        _collate_lora_metadata,  # pyright: ignore[reportPrivateUsage]  # the only public way is a copy
    )

    parts = {"transformer": pipe.transformer, "text_encoder": pipe.text_encoder}
    trained = {name: part for name, part in parts.items() if _has_lora(part)}
    layers = {f"{name}_lora_layers": _portable(name, m) for name, m in trained.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".adapter.") as work:
        FluxKontextPipeline.save_lora_weights(work, **layers, **_collate_lora_metadata(trained))
        plain = Path(work, ADAPTER_FILE)
        whole = _with_record(plain.read_bytes(), record)
        plain.write_bytes(whole)
        os.replace(plain, folder / ADAPTER_FILE)
    return folder / ADAPTER_FILE


def _with_record(content: bytes, record: Mapping[str, Any]) -> bytes:
    """Add our entry to a safetensors file's header and put the header in order.

    The same training then gives the same bytes: PEFT keeps the targets in a set, and safetensors
    its entries in a hash map.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    entries: dict[str, str] = header["__metadata__"]
    peft = json.loads(entries[DIFFUSERS_ENTRY])
    for key in peft:
        if key.endswith(".target_modules"):
            peft[key] = sorted(peft[key])
    entries[DIFFUSERS_ENTRY] = json.dumps(peft, sort_keys=True)
    entries[RECORD_KEY] = json.dumps(record, sort_keys=True)
    header["__metadata__"] = dict(sorted(entries.items()))
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _portable(name: str, model: "torch.nn.Module") -> Mapping[str, "torch.Tensor"]:
    """Return the LoRA's tensors by name, as every version of transformers can read them."""
    from peft import get_peft_model_state_dict

    # No target is an embedding; asked to find out, PEFT looks for the base on the hub.
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    if name == "transformer" or hasattr(model, "text_model"):
        return tensors
    return {f"text_model.{key}": tensor for key, tensor in tensors.items()}


def _has_lora(model: "torch.nn.Module | None") -> bool:
    return model is not None and "default" in getattr(model, "peft_config", {})


def load(pipe: "FluxKontextPipeline", path: Path, name: str) -> float:
    """Load an adapter into a pipeline under a name, and check what diffusers made of it.

    Args:
        pipe: a pipeline with the base that the adapter was trained on.
        path: an adapter file in diffusers' layout.
        name: of the adapter in the pipeline; must be free.

    Returns:
        The scale with which its transformer part acts, alpha / rank; 1 if it has none.

    Raises:
        UsageError: the file fails the lint, is for another base, or loads at another scale than
            its metadata says; or the installed PEFT is too old.
    """
    report = inspect(path)
    if report.problems:
        raise UsageError(f"{path}: {report.problems[0]}")
    shapes = read_header(path)[0]
    parts = {"transformer": report.transformer, "text_encoder": report.text_encoder}
    for part, said in parts.items():
        _check_shapes(getattr(pipe, part), part, shapes, path)
        if said is not None:
            check_peft(getattr(pipe, part))
    _check_fingerprint(pipe, report, path)
    with quiet_loading():
        pipe.load_lora_weights(str(path), adapter_name=name)
    for part, said in parts.items():
        found = scales(getattr(pipe, part)).get(name)
        if said is not None and found != said.scale:
            raise UsageError(f"{path}: {part}: expected scale {said.scale}, loaded at {found}")
    return scales(pipe.transformer).get(name, 1.0)


def _check_shapes(model: "torch.nn.Module", part: str, shapes: Shapes, path: Path) -> None:
    """Compare every LoRA matrix with the Linear it is for; UsageError where they do not fit."""
    import torch

    modules = dict(model.named_modules())
    for name, (a, b) in linears(shapes, part).items():
        # transformers 5 dropped the level `text_model`, which files keep for older versions.
        target = modules.get(name, modules.get(name.removeprefix("text_model.")))
        linear = getattr(target, "base_layer", target)
        fits = isinstance(linear, torch.nn.Linear)
        if not fits or (linear.in_features, linear.out_features) != (a[1], b[0]):
            found = f"{linear.in_features} -> {linear.out_features}" if fits else "no such Linear"
            raise UsageError(
                f"{path}: an adapter for another base: {part}.{name} expects a Linear "
                f"{a[1]} -> {b[0]}, this base has {found}; choose its own --backbone"
            )


def _check_fingerprint(pipe: "FluxKontextPipeline", report: AdapterReport, path: Path) -> None:
    """Compare the base that one of our own adapters was trained on with the one at hand."""
    import torch

    trained_on = (report.record or {}).get("base_fingerprint")
    quantized = not torch.is_floating_point(pipe.transformer.get_submodule("proj_out").weight)
    if trained_on is None or quantized or trained_on == fingerprint(pipe.transformer):
        return
    raise UsageError(
        f"{path}: an adapter for another base: trained on {report.base} with other weights "
        f"({trained_on[:12]}) than this one; train it again or choose its --backbone"
    )
