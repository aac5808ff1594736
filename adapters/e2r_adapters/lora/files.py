"""Adapter files: written as diffusers writes them, read back only if they are what they say."""

import json
import shutil
import tempfile
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_adapters.compat import check_peft, known_settings
from e2r_adapters.editors.editor import Editor, LoraFacts
from e2r_adapters.lora.attach import layer_scales
from e2r_adapters.lora.conversion import as_diffusers, content_of, is_native, signed
from e2r_adapters.lora.dialects import AdapterFile, read_adapter, tensor_file
from e2r_adapters.lora.fitting import check_base, check_scales, check_shapes
from e2r_adapters.lora.header import (
    ADAPTER_FILE,
    DIFFUSERS_ENTRY,
    RECORD_KEY,
    linears,
    read_header,
)
from e2r_adapters.lora.inspection import inspect
from e2r_adapters.lora.projections import projection_of, read_projection, save_projection
from e2r_adapters.lora.scaling import scaling_of
from e2r_adapters.quiet import quiet_loading
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import replacing, unfinished_name

if TYPE_CHECKING:
    import torch

    from e2r_adapters.editors.projection import Projection

_PARTS = ("transformer", "text_encoder")


def save(editor: Editor, folder: Path, record: Mapping[str, Any]) -> Path:
    """Write the LoRA named "default" of an editor as a standard diffusers adapter, atomically.

    Args:
        editor: those of its networks that were trained carry the LoRA.
        folder: receives `pytorch_lora_weights.safetensors`, and the projection of a family that
            has one.
        record: what it was trained on and how; kept in the header beside diffusers' own entry.

    Returns:
        The path of the file.

    Raises:
        OSError: the disk is full or the folder cannot be written to; no file is left behind.
    """
    trained = {name: part for name, part in editor.networks.items() if _has_lora(part)}
    layers = {name: _portable(name, part) for name, part in trained.items()}
    folder.mkdir(parents=True, exist_ok=True)
    if (projection := projection_of(editor)) is not None:
        # First, since the LoRA's file says that a training is finished.
        save_projection(projection, folder, record)
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
            scale than its metadata says; its projection is not beside it, in a family that has
            one; or the installed PEFT is too old.
    """
    report = inspect(path, alpha, editor.family)
    if report.problems:
        raise UsageError(f"{path}: {report.problems[0]}")
    beside = _beside(editor, path, report.record)
    with _native(read_adapter(path), editor.family.lora, alpha) as (source, expected):
        with _named_failures(path, "convert"):
            shapes = editor.lora_shapes(source)
        for part, network in editor.networks.items():
            check_shapes(network, part, shapes, path)
            if linears(shapes, part):
                check_peft(network)
        check_base(editor, report.record, path)
        with _named_failures(path, "load"), warnings.catch_warnings():
            # PEFT warns whoever loads a second adapter that there will be several; that is meant.
            warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
            editor.load_lora(source, name)
    if beside is not None:
        beside[0].load(name, beside[1])
    for part, network in editor.networks.items():
        check_scales(network, expected.get(part, {}), f"{path}: {part}", name)
    return max(layer_scales(editor.networks["transformer"], name).values(), default=1.0)


def _beside(
    editor: Editor, path: Path, record: Mapping[str, Any] | None
) -> "tuple[Projection, torch.Tensor] | None":
    """Return a family's projection and the weight that it has with an adapter."""
    projection = projection_of(editor)
    if projection is None:
        return None
    return projection, read_projection(tensor_file(path), len(projection.weight), record)


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
