"""The header of an adapter file: shapes, dtypes and entries, read without the tensors."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2r_metrics.base.errors import UsageError

ADAPTER_FILE = "pytorch_lora_weights.safetensors"
"""diffusers' own name, so that `load_lora_weights(folder)` finds it."""
RECORD_KEY = "e2r_adapters"
"""Header entry of our own adapters: a JSON object that says what they were trained on and how."""
DIGEST_KEY = "e2r_sha256"
"""Header entry of our own adapters: sha256 of all that follows the header."""
DIFFUSERS_ENTRY = "lora_adapter_metadata"
"""Header entry of diffusers: PEFT's settings, of which alpha stands nowhere else."""

Shapes = Mapping[str, tuple[int, ...]]

PART = re.compile(r"^(transformer|text_encoder)\.(.+)\.lora_(A|B)\.weight$")
# kohya's names, and ComfyUI's, which are those of the original model behind a prefix.
_FOREIGN = re.compile(
    r"^(?:(?:lora_unet|lora_te1?)_|diffusion_model\.).+\.lora_(down|up|A|B)\.weight$"
)
_PARTS = {
    "transformer": "transformer",
    "text_encoder": "text_encoder",
    "lora_unet": "transformer",
    "lora_te": "text_encoder",
    "lora_te1": "text_encoder",
    "diffusion_model": "transformer",
}
_HALVES = {"A": "A", "B": "B", "down": "A", "up": "B"}


def read_header(path: Path) -> tuple[Shapes, tuple[str, ...], Mapping[str, str]]:
    """Return the shapes by key, the distinct dtypes, and the header entries of a safetensors file.

    Raises:
        UsageError: the file is missing or not a whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if path.is_dir():
        raise UsageError(f"{path}: expected a whole safetensors file, found a folder")
    try:
        with safe_open(path, framework="numpy") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118  # not a dict
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            dtypes = tuple(sorted({str(part.get_dtype()) for part in slices.values()}))
            return shapes, dtypes, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: expected a whole safetensors file, found: {error}") from error


def linears(shapes: Shapes, part: str) -> Mapping[str, tuple[tuple[int, int], tuple[int, int]]]:
    """Return Linear name -> (shape of A, shape of B) for one network, "transformer" or such.

    Names of kohya's kind are kept, with "_" for "."; halves without a partner are left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for key, shape in shapes.items():
        half = half_of(key)
        if half and len(shape) == 2 and split_key(key)[0] == part:
            found.setdefault(split_key(key)[1], {})[half] = shape
    return {name: (m["A"], m["B"]) for name, m in found.items() if m.keys() == {"A", "B"}}


def half_of(key: str) -> str:
    """Return "A" or "B", "" for what is no matrix of a LoRA."""
    if match := PART.match(key):
        return match[3]
    match = _FOREIGN.match(key)
    return _HALVES[match[1]] if match else ""


def split_key(key: str) -> tuple[str, str]:
    """Return network and Linear of a key, whatever it holds of that Linear; ("", key) for others.

    "transformer.proj_out.alpha" is ("transformer", "proj_out").
    """
    stem = re.sub(r"\.(alpha|lora_(A|B|down|up)\.weight)$", "", key)
    for prefix, part in _PARTS.items():
        if stem.startswith(f"{prefix}_") and prefix.startswith("lora_"):
            return part, stem.removeprefix(f"{prefix}_")
        if stem.startswith(f"{prefix}."):
            name = stem.removeprefix(f"{prefix}.")
            return part, name.replace(".", "_") if prefix == "diffusion_model" else name
    return "", stem


def read_record(path: Path) -> dict[str, Any] | None:
    """Return what e2r-bench wrote about an adapter's training; None where it did not write it.

    Raises:
        UsageError: the file is missing or damaged.
    """
    header = read_header(path)[2]
    if changed := damage(path, header):
        raise UsageError(f"{path}: {changed}")
    return entry(path, header, RECORD_KEY)


def damage(path: Path, header: Mapping[str, str]) -> str:
    """Return in words how the tensors of an adapter of ours changed since; "" where they did not.

    safetensors has no checksum: a flipped bit would be another adapter, and nobody told.
    """
    if DIGEST_KEY not in header:
        return ""
    with path.open("rb") as stream:
        stream.seek(int.from_bytes(stream.read(8), "little"), 1)
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found == header[DIGEST_KEY]:
        return ""
    return (
        f"expected tensors of sha256 {header[DIGEST_KEY][:12]}, as they were written, found "
        f"{found[:12]}: the file was damaged or changed; copy or train it again"
    )


def entry(path: Path, header: Mapping[str, str], key: str) -> dict[str, Any] | None:
    """Return one header entry, a JSON object; None where there is none.

    Raises:
        UsageError: it is no JSON object.
    """
    if key not in header:
        return None
    try:
        content: Any = json.loads(header[key])
    except ValueError as error:
        raise UsageError(f"{path}: expected JSON in its header entry {key}: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected a JSON object in its header entry {key}")
    return content
