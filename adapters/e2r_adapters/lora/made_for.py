"""Which base an adapter was made for, as its file says, before any model is loaded."""

from pathlib import Path

from e2r_adapters.editors.backbones import family_named, fingerprint_of, folder_of
from e2r_adapters.editors.miniatures import MINIATURES
from e2r_adapters.editors.releases import RELEASES
from e2r_adapters.lora.dialects import read_adapter
from e2r_adapters.lora.header import RECORD_KEY, Shapes, entry, linears
from e2r_adapters.lora.inspection import likely_families
from e2r_adapters.lora.mixture_files import is_mixture
from e2r_metrics.base.errors import UsageError

_RUN_BY = {
    "kontext": "kontext_lora",
    "klein": "klein_lora",
    "fill": "icedit",
    "qwen-edit": "qwen_edit_lora",
    "sana-concat": "sana_paired",
}
"""Family -> the method that runs a plain adapter of it."""


def check_made_for(backbone: str, path: Path) -> None:
    """Refuse an adapter that was made for another base, by what its file says.

    Ours name their base, and the fingerprint of its weights; other people's are told by the names
    of their Linears. What neither decides is held against the network once that is loaded.

    Args:
        backbone: resolved; it need not be on this machine.
        path: the adapter's file.

    Raises:
        UsageError: another base; or a damaged file.
    """
    adapter = read_adapter(path)
    record = entry(path, adapter.header, RECORD_KEY) or {}
    base, wanted = record.get("base"), family_named(backbone).name
    families = _families(base, adapter.shapes)
    if wanted not in families:
        other = "icedit_moe" if is_mixture(path) else _RUN_BY[families[0]]
        raise _another(path, base or f"the family {' or '.join(families)}", backbone, other)
    if base is not None and not _same(str(base), record.get("base_fingerprint"), backbone):
        raise _another(path, base, backbone, "")


def _families(base: str | None, shapes: Shapes) -> tuple[str, ...]:
    """Return the families that an adapter may be of: that of a base that is known, or several."""
    known = MINIATURES.get(base or "") or RELEASES.get(base or "")
    if known is not None:
        return (known.family,)
    if not linears(shapes, "transformer"):
        return tuple(_RUN_BY)
    return tuple(dict.fromkeys(family.name for family in likely_families(shapes)))


def _same(base: str, fingerprint: str | None, backbone: str) -> bool:
    """Return whether a base is the backbone at hand, or may be: True where nothing tells."""
    found = _fingerprint(backbone)
    if found is not None and fingerprint is not None:
        return found == fingerprint
    declared = {*MINIATURES, *RELEASES}
    return base == backbone or not {base, backbone} <= declared


def _fingerprint(backbone: str) -> str | None:
    """Return what tells a backbone's weights; None for what is not here, or not as it was made."""
    folder = folder_of(backbone)
    config = None if folder is None else folder / "transformer" / "config.json"
    # Weights that were quantized before they were saved are others than those of a training.
    if config is None or not config.is_file() or b"quantization_config" in config.read_bytes():
        return None
    try:
        return fingerprint_of(backbone)
    except UsageError:  # another format than safetensors, or damaged: said when it is opened
        return None


def _another(path: Path, base: str, backbone: str, method: str) -> UsageError:
    advice = f"run {method} with it" if method else f"give --set backbone={base}, if it is meant"
    return UsageError(
        f"--set adapter={path}: an adapter for another base: made for {base}, found backbone "
        f"{backbone}; {advice}"
    )
