"""Adapter files: written as diffusers writes them, read back only if they are what they say."""

import json
import math
import shutil
import tempfile
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_adapters.compat import check_peft, known_settings
from e2r_adapters.editors.backbones import weight_fingerprint
from e2r_adapters.editors.editor import Editor, LoraFacts
from e2r_adapters.lora.attach import layer_scales
from e2r_adapters.lora.conversion import as_diffusers, content_of, is_native, signed
from e2r_adapters.lora.dialects import AdapterFile, read_adapter
from e2r_adapters.lora.header import (
    ADAPTER_FILE,
    DIFFUSERS_ENTRY,
    RECORD_KEY,
    Shapes,
    linears,
    read_header,
)
from e2r_adapters.lora.inspection import inspect
from e2r_adapters.lora.scaling import scaling_of
from e2r_adapters.quiet import quiet_loading
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import replacing, unfinished_name

if TYPE_CHECKING:
    import torch

_PARTS = ("transformer", "text_encoder")


def fingerprint(editor: Editor) -> str:
    """Return what tells an editor's base from another of the same shape; see `fingerprint_of`.

    A LoRA on top of it is looked through.
    """
    return weight_fingerprint(_marked(editor).weight)


def _marked(editor: Editor) -> Any:
    layer = editor.networks["transformer"].get_submodule(editor.family.lora.marked)
    return getattr(layer, "base_layer", layer)


def save(editor: Editor, folder: Path, record: Mapping[str, Any]) -> Path:
    """Write the LoRA named "default" of an editor as a standard diffusers adapter, atomically.

    Args:
        editor: those of its networks that were trained carry the LoRA.
        folder: receives `pytorch_lora_weights.safetensors`.
        record: what it was trained on and how; kept in the header beside diffusers' own entry.

    Returns:
        The path of the file.

    Raises:
        OSError: the disk is full or the folder cannot be written to; no file is left behind.
    """
    trained = {name: part for name, part in editor.networks.items() if _has_lora(part)}
    layers = {name: _portable(name, part) for name, part in trained.items()}
    folder.mkdir(parents=True, exist_ok=True)
    # Named as what is not whole yet: whoever locks the folder after a kill removes it.
    work = folder / unfinished_name("adapter")
    try:
        work.mkdir()
        editor.save_lora(work, layers, trained)
        whole = _with_record((work / ADAPTER_FILE).read_bytes(), record)
        with replacing(folder / ADAPTER_FILE) as stream:
            stream.write(whole)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder / ADAPTER_FILE


def _with_record(content: bytes, record: Mapping[str, Any]) -> bytes:
    """Add our entry to a file of diffusers', whose targets PEFT keeps in a set."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    entries: dict[str, str] = header["__metadata__"]
    peft = json.loads(entries[DIFFUSERS_ENTRY])
    for key in peft:
        if key.endswith(".target_modules"):
            peft[key] = sorted(peft[key])
    entries[DIFFUSERS_ENTRY] = json.dumps(peft, sort_keys=True)
    entries[RECORD_KEY] = json.dumps(record, sort_keys=True)
    return signed(content, entries)


def _portable(name: str, model: "torch.nn.Module") -> Mapping[str, "torch.Tensor"]:
    """Return the LoRA's tensors by name, as every version of transformers can read them."""
    from peft import get_peft_model_state_dict

    # The base's embeddings are not trained, and looking for them would ask the hub.
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    if name == "transformer" or hasattr(model, "text_model"):
        return tensors
    return {f"text_model.{key}": tensor for key, tensor in tensors.items()}


def _has_lora(model: "torch.nn.Module | None") -> bool:
    return model is not None and "default" in getattr(model, "peft_config", {})


def load(editor: Editor, path: Path, name: str, alpha: float | None = None) -> float:
    """Load an adapter into an editor under a name, and check what diffusers made of it.

    Args:
        editor: with the base that the adapter was trained on.
        path: an adapter file in diffusers' layout, or one that is converted to it first.
        name: of the adapter in the editor; must be free.
        alpha: what it was trained with, for a file that does not say.

    Returns:
        The scale with which its transformer part acts, alpha / rank; the largest where layers
        differ, 1 where it has none.

    Raises:
        UsageError: `inspect` finds a problem, the file is for another base, or it loads at another
            scale than its metadata says; or the installed PEFT is too old.
    """
    report = inspect(path, alpha, editor.family)
    if report.problems:
        raise UsageError(f"{path}: {report.problems[0]}")
    with _native(read_adapter(path), editor.family.lora, alpha) as (source, expected):
        with _named_failures(path, "convert"):
            shapes = editor.lora_shapes(source)
        for part, network in editor.networks.items():
            _check_shapes(network, part, shapes, path)
            if linears(shapes, part):
                check_peft(network)
        check_base(editor, report.record, path)
        with _named_failures(path, "load"), warnings.catch_warnings():
            # PEFT warns whoever loads a second adapter that there will be several; that is meant.
            warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
            editor.load_lora(source, name)
    for part, network in editor.networks.items():
        _check_scales(network, expected.get(part, {}), f"{path}: {part}", name)
    return max(layer_scales(editor.networks["transformer"], name).values(), default=1.0)


@contextmanager
def _native(
    adapter: AdapterFile, facts: LoraFacts, alpha: float | None
) -> Generator[tuple[Path, Mapping[str, Mapping[str, float]]]]:
    """Lend a file in diffusers' own form, with the scale of each Linear by network."""
    if is_native(adapter, alpha):
        scales = {part: scaling_of(adapter, part, None).scales for part in _PARTS}
        content = _for_this_peft(adapter.path)
    else:
        converted = as_diffusers(adapter, facts, alpha)
        scales, content = converted.scales, content_of(converted, {})
    if content is None:
        yield adapter.path, scales
        return
    # Given tensors instead of a file, diffusers' loaders have no place for settings.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / ADAPTER_FILE
        path.write_bytes(content)
        yield path, scales


def _for_this_peft(path: Path) -> bytes | None:
    """Return a file with the settings that the installed PEFT knows; None where it knows all."""
    from safetensors.torch import load_file
    from safetensors.torch import save as packed

    _, _, entries = read_header(path)
    said = json.loads(entries.get(DIFFUSERS_ENTRY, "{}"))
    known = known_settings(said, str(path))
    if known == said:
        return None
    return packed(load_file(path), {**entries, DIFFUSERS_ENTRY: json.dumps(known)})


@contextmanager
def _named_failures(path: Path, what: str) -> Generator[None]:
    """Turn what diffusers and PEFT raise about a file into one line about it."""
    try:
        with quiet_loading():
            yield
    except (ValueError, KeyError, RuntimeError, IndexError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UsageError(
            f"{path}: an adapter for another base, or a damaged one: diffusers cannot {what} it "
            f"({reason}); choose its own backbone"
        ) from error


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
                f"{a[1]} -> {b[0]}, this base has {found}; choose its own backbone"
            )


def check_base(editor: Editor, record: Mapping[str, Any] | None, path: Path) -> None:
    """Compare the base that one of our own adapters was trained on with the one at hand.

    Raises:
        UsageError: another one.
    """
    import torch

    told = record or {}
    trained_on = told.get("base_fingerprint")
    quantized = not torch.is_floating_point(_marked(editor).weight)
    if trained_on is None or quantized or trained_on == fingerprint(editor):
        return
    raise UsageError(
        f"{path}: an adapter for another base: trained on {told.get('base')} with other weights "
        f"({trained_on[:12]}) than this one; train it again or choose its backbone"
    )


def _check_scales(
    network: "torch.nn.Module", expected: Mapping[str, float], what: str, name: str
) -> None:
    """Compare the scale that each layer of an adapter loaded at with what its file says."""
    found = layer_scales(network, name)
    # transformers 5 dropped the level `text_model`, which files keep for older versions.
    wanted = {_known_name(key, found): scale for key, scale in expected.items()}
    for layer in sorted(wanted.keys() | found.keys()):
        says, acts = wanted.get(layer), found.get(layer)
        if says is None or acts is None or not math.isclose(says, acts, rel_tol=1e-6):
            raise UsageError(
                f"{what}.{layer}: expected scale {says}, loaded at {acts}; the installed diffusers "
                "misreads this file"
            )


def _known_name(key: str, found: Mapping[str, float]) -> str:
    return key if key in found else key.removeprefix("text_model.")
