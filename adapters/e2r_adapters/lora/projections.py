"""The file of a projection beside an adapter's LoRA: written with it, and read only with its own.

Both carry the record of one training in their headers, so that neither is taken for another's.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_adapters.editors.editor import Editor
from e2r_adapters.editors.sana_facts import PROJECTION, PROJECTION_FILE
from e2r_adapters.lora.conversion import signed
from e2r_adapters.lora.header import RECORD_KEY, damage, entry, read_header
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_bytes

if TYPE_CHECKING:
    import torch

    from e2r_adapters.editors.projection import Projection

_KEY = "weight"


def projection_of(editor: Editor) -> "Projection | None":
    """Return how an editor joins the condition to the latents; None where that is not trained."""
    from e2r_adapters.editors.projection import Projection

    found = editor.networks.get(PROJECTION)
    return found if isinstance(found, Projection) else None


def save_projection(projection: "Projection", folder: Path, record: Mapping[str, Any]) -> None:
    """Write `condition_projection.safetensors` into a folder, whole or not at all.

    Args:
        projection: on any device.
        folder: of the adapter.
        record: of the training, which the LoRA's file has too.

    Raises:
        OSError: the disk is full.
    """
    from safetensors.torch import save

    content = save({_KEY: projection.weight.detach().cpu().contiguous()})
    told = {RECORD_KEY: json.dumps(record, sort_keys=True)}
    write_bytes(folder / PROJECTION_FILE, signed(content, told))


def read_projection(
    adapter: Path, channels: int, record: Mapping[str, Any] | None
) -> "torch.Tensor":
    """Return the (c, 2c, 1, 1) weight that stands beside an adapter's file.

    Args:
        adapter: the file with the LoRA.
        channels: c, of the latents.
        record: what the LoRA's file says of its training.

    Raises:
        UsageError: it is missing, damaged, of another training, or for another number of condition
            pictures or channels.
    """
    from safetensors.torch import load_file

    path = adapter.with_name(PROJECTION_FILE)
    if not path.is_file():
        raise UsageError(
            f"{adapter}: expected {PROJECTION_FILE} beside it, by which the degraded picture joins "
            "the latents, found none; copy the whole folder that `train --recipe channel-concat` "
            "left"
        )
    shapes, _, header = read_header(path)
    if changed := damage(path, header):
        raise UsageError(f"{path}: {changed}")
    wanted = {_KEY: (channels, 2 * channels, 1, 1)}
    if shapes != wanted:
        raise UsageError(
            f"{path}: expected one tensor {wanted} for one condition picture of {channels} "
            f"channels, found {dict(shapes)}; choose its own backbone, and give one condition only"
        )
    if entry(path, header, RECORD_KEY) != record:
        raise UsageError(
            f"{path}: expected the projection of the same training as {adapter.name}, found "
            "another one's; copy the two files from one folder"
        )
    return load_file(path)[_KEY]
