"""Adapters taking turns in one editor: mixed layer by layer, or fused where one acts alone."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from e2r_adapters.editors.editor import Editor
from e2r_adapters.lora.attach import lora_layers
from e2r_adapters.lora.projections import projection_of

if TYPE_CHECKING:
    import torch

# Bytes of changed weights of which a copy is kept, so that fused adapters can take turns.
_SMALL = 2**28


class Mixer:
    """Puts mixes of loaded adapters into force; see `use`."""

    def __init__(self, editor: Editor, one_mix: bool) -> None:
        """Look at what is loaded.

        Args:
            editor: with all its adapters loaded.
            one_mix: there will be a single mix, so that nothing ever has to be taken back.
        """
        self._editor = editor
        transformer: Any = editor.networks["transformer"]
        self._transformer = transformer
        self._plain = [layer.base_layer.weight.detach() for layer in lora_layers(transformer)]
        # One set of products instead of three per layer; pictures move by float rounding.
        quantized = getattr(transformer, "hf_quantizer", None) is not None
        small = sum(weight.nbytes for weight in self._plain) <= _SMALL
        self._fuses = bool(self._plain) and not quantized and (one_mix or small)
        turns = self._fuses and not one_mix
        self._copies: list[torch.Tensor] = [w.clone() for w in self._plain] if turns else []
        self._used: dict[str, float] = {}
        self._fused = False

    def use(self, mix: Mapping[str, float]) -> None:
        """Let the named adapters act with these weights, and no other.

        What acted before leaves no trace, to the bit.
        """
        from diffusers.utils.peft_utils import set_weights_and_activate_adapters

        if mix == self._used:
            return
        # A text encoder's LoRA changes what prompts say.
        self._editor.forget()
        if self._fused:
            self._take_back()
        names, weights = list(mix), list(mix.values())
        for network in self._editor.networks.values():
            set_weights_and_activate_adapters(network, names, weights)
        if (projection := projection_of(self._editor)) is not None:
            projection.use(mix)
        if self._fuses and weights == [1.0]:
            self._transformer.fuse_lora(adapter_names=names)
            self._fused = True
        self._used = dict(mix)

    def _take_back(self) -> None:
        import torch

        self._transformer.unfuse_lora()
        # Subtracting leaves rounding behind: the order of tasks would change the pictures.
        with torch.no_grad():
            for weight, copy in zip(self._plain, self._copies, strict=True):
                cast("torch.Tensor", weight).copy_(copy)
        self._fused = False
