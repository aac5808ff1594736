"""Which model a name means: the embedded miniature, the full one, a folder, a hub id."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from e2r_adapters.editors.editor import Family
from e2r_adapters.editors.families import family_called, family_of
from e2r_adapters.editors.miniatures import MINIATURES, miniature_folder, miniature_of
from e2r_adapters.editors.releases import (
    FILL_DEV,
    FULL,
    KLEIN_BASE,
    QWEN_EDIT_2511,
    RELEASES,
    SANA_1_5,
    Quantize,
)
from e2r_metrics.base.errors import UsageError

_AUTO: Mapping[str, str] = MappingProxyType(
    {
        "kontext": FULL,
        "klein": KLEIN_BASE,
        "fill": FILL_DEV,
        "qwen-edit": QWEN_EDIT_2511,
        "sana-concat": SANA_1_5,
    }
)


def resolve_backbone(name: str, quantize: Quantize = "none", family: str = "kontext") -> str:
    """Return what a backbone's name means on this machine.

    Args:
        name: "auto", a miniature's, a hub id in the local cache, or a pipeline folder.
        quantize: how the full model would be loaded.
        family: whose methods ask.

    Returns:
        `name` itself; for "auto" the family's release if it is in the hub cache and a CUDA device
        can hold it, else its miniature. A family without one has the release alone.
    """
    if name != "auto":
        return name
    release = _AUTO[family]
    if _cached(release) and _fits_cuda(RELEASES[release].needed[quantize]):
        return release
    return miniature_of(family) or release


def _cached(hub_id: str) -> bool:
    return _snapshot(hub_id) is not None


def _snapshot(hub_id: str) -> Path | None:
    """Return the folder of a hub id in the local cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(hub_id, "model_index.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def _fits_cuda(needed: int) -> bool:
    import torch

    if not torch.cuda.is_available():
        return False
    return torch.cuda.get_device_properties(0).total_memory >= needed


def folder_of(name: str) -> Path | None:
    """Return the pipeline folder of a resolved name, None where it is not on this machine."""
    if name in MINIATURES:
        return miniature_folder(name)
    return Path(name) if Path(name).is_dir() else _snapshot(name)


def title_of(name: str) -> str:
    """Return how records call a resolved backbone: a hub id whole, a folder by its last name."""
    return Path(name).name if Path(name).is_dir() else name


def read_family(name: str) -> Family:
    """Return the family of a resolved backbone, by the class that its folder names.

    Raises:
        UsageError: nothing there, no pipeline, or one of a family that is not known.
    """
    return family_of(str(read_index(name).get("_class_name")), f"backbone {name}")


def family_named(name: str) -> Family:
    """Return the family of a resolved backbone, also of a release that is not on this machine.

    Raises:
        UsageError: see `read_family`.
    """
    known = MINIATURES.get(name) or RELEASES.get(name)
    if known is None:
        return read_family(name)
    return family_called(known.family)


def read_index(name: str) -> dict[str, Any]:
    """Return model_index.json of a resolved backbone; errors as `read_family`'s first two."""
    return _read_config(_pipeline_folder(name) / "model_index.json", name)


def _pipeline_folder(name: str) -> Path:
    folder = folder_of(name)
    if folder is None or not (folder / "model_index.json").is_file():
        found = "no such folder or cached id" if folder is None else "no model_index.json in it"
        raise UsageError(
            f"backbone {name}: expected {', '.join(MINIATURES)}, a pipeline folder, or a hub id "
            f"in the local cache, found {found}; `hf download {name}` fetches a hub id"
        )
    return folder


def _read_config(path: Path, name: str) -> dict[str, Any]:
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"backbone {name}: expected a JSON file {path.name}, found: {error}"
        ) from error
    if not isinstance(config, dict):
        raise UsageError(f"backbone {name}: expected a JSON object in {path.name}")
    return config


def is_miniature(name: str) -> bool:
    """Return whether a resolved backbone has a narrower transformer than its family's real one."""
    if name in MINIATURES or name in RELEASES:
        return name in MINIATURES
    folder = folder_of(name)
    path = None if folder is None else folder / "transformer" / "config.json"
    if path is None or not path.is_file():
        return False
    config = _read_config(path, name)
    width = config.get("attention_head_dim", 0) * config.get("num_attention_heads", 0)
    return width < read_family(name).full_width


def own_files(name: str) -> Mapping[str, Path]:
    """Return what a result with a resolved backbone stands on: relative path -> file.

    Empty for the declared ones, whose hashes are known, and for what is not on this machine.
    """
    folder = None if name in MINIATURES or name in RELEASES else folder_of(name)
    if folder is None:
        return {}
    kept = {".json", ".safetensors", ".bin", ".model", ".txt"}
    found = sorted(path for path in folder.rglob("*") if path.suffix in kept and path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def fingerprint_of(name: str) -> str:
    """Return `weight_fingerprint` of a resolved backbone, from its files.

    Raises:
        UsageError: no such backbone, or its transformer is not kept as safetensors.
    """
    from safetensors import SafetensorError, safe_open

    key = f"{read_family(name).lora.marked}.weight"
    try:
        for path in sorted((_pipeline_folder(name) / "transformer").glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                if key in file.keys():  # noqa: SIM118  # not a mapping
                    return weight_fingerprint(file.get_tensor(key))
    except (OSError, SafetensorError) as error:
        raise UsageError(f"backbone {name}: expected whole weights, found: {error}") from error
    raise UsageError(f"backbone {name}: expected a transformer in safetensors with {key}")


def shapes_of(name: str, part: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of one network of a resolved backbone; none is loaded.

    Args:
        name: of the backbone.
        part: "transformer" or "text_encoder".

    Raises:
        UsageError: no such backbone, or a damaged file.
    """
    from safetensors import SafetensorError, safe_open

    found: dict[str, tuple[int, ...]] = {}
    try:
        for path in sorted((_pipeline_folder(name) / part).glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                keys = file.keys()
                found |= {key: tuple(file.get_slice(key).get_shape()) for key in keys}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"backbone {name}: expected whole weights, found: {error}") from error
    return found


def weight_fingerprint(weight: Any) -> str:
    """Return the sha256 of a weight rounded to bfloat16, in hexadecimal.

    Fine-tuning moves it, loading the base in another dtype does not.
    """
    import torch

    rounded = weight.detach().cpu().to(torch.bfloat16)
    return hashlib.sha256(rounded.view(torch.int16).numpy().tobytes()).hexdigest()
