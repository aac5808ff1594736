"""Which network a checkpoint is of, and loading it only where every tensor matches."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from e2r_metrics.base import layouts
from e2r_metrics.base.checkpoints import WRAPPERS, read_checkpoint, wrapper_of

_AVERAGED = frozenset({"params_ema", "ema"})

# A key that only this network has, the most specific first: PromptIR and AdaIR hold all of
# Restormer's keys, InstructIR all of NAFNet's.
_SIGNATURES = (
    ("PromptIR", "prompt1.prompt_param"),
    ("AdaIR", "fre1.para1"),
    ("BioIR", "encoder_level1.0.attn.l2h.conv.weight"),
    ("DiffUIR", "unet0.init_conv.weight"),
    ("LoRA-IR", "intro.lora_A_list"),
    ("LoRA-IR's router", "de_extractor.0.weight"),
    ("InstructIR (image network)", "enc_cond.0.fc.weight"),
    ("InstructIR (language head)", "fc2.weight"),
    ("MoCE-IR", "freq_embed.mlp.0.weight"),
    ("PReNet", "conv_i.0.weight"),
    ("AirNet", "E.E.encoder_q.E_pre.conv1.weight"),
    ("Restormer", "encoder_level1.0.attn.temperature"),
    ("NAFNet", "middle_blks.0.beta"),
    ("SwinIR", "layers.0.residual_group.blocks.0.norm1.weight"),
    ("SCUNet", "m_head.0.weight"),
    ("FFDNet", "intermediate_dncnn.itermediate_dncnn.0.weight"),
    ("DnCNN or another plain stack of convolutions", "model.0.weight"),
)


def looks_like(tensors: Mapping[str, Tensor]) -> str:
    """Name the network a checkpoint belongs to, by a key that only that network has."""
    return layouts.looks_like(tensors, _SIGNATURES)


def averaged(path: Path) -> str:
    """Return the key of the averaged weights that `read_tensors` takes from a checkpoint.

    "" where it holds one set of weights, so that nothing was chosen.

    Raises:
        UsageError: see `read_checkpoint`.
    """
    content = read_checkpoint(path)
    chosen = wrapper_of(content)
    beside = any(name in WRAPPERS and name != chosen for name in content)
    return chosen if chosen in _AVERAGED and beside else ""


def load_strict(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Copy a checkpoint into a network if all names and shapes agree.

    Args:
        network: receives the tensors, cast to its dtype.
        tensors: from `read_tensors`.
        path: the file they came from, for the message.
        name: what the network is called, for the message.

    Raises:
        UsageError: names the file, the network it looks like, and the first keys that differ.
    """
    layouts.load_strict(network, tensors, path, name, looks_like(tensors))
