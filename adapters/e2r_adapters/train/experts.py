"""Training a mixture: which Linears have experts, and the file that is left behind.

Source: ICEdit (arXiv 2504.20690) and its released training settings: of the Linears that a LoRA is
trained on, those of the feed-forward parts have experts and a router, the others one expert.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from e2r_adapters import lora
from e2r_adapters.editors.editor import Editor
from e2r_adapters.lora.attach import linears_of
from e2r_adapters.lora.mixture_files import save_mixture
from e2r_adapters.train.config import TrainConfig
from e2r_adapters.train.record import Record
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch

_MIXED = ("ff.net", "proj_out")
"""What the names of Linears with experts contain."""


def attach_trained(editor: Editor, name: str, config: TrainConfig) -> list["torch.nn.Parameter"]:
    """Add what is trained to one of an editor's networks, and return its parameters.

    Args:
        editor: frozen.
        name: of the network; one that carries no LoRA is trained whole.
        config: says whether it gets a LoRA or a mixture.

    Raises:
        UsageError: see `lora.attach`.
    """
    profile, network = config.profile, editor.networks[name]
    if name not in editor.family.lora.parts:
        return list(network.requires_grad_(True).parameters())
    targets = editor.family.lora.parts[name].targets[config.targets]
    if not config.experts:
        return lora.attach(network, targets, profile.rank, profile.alpha, config.seed)
    from e2r_adapters.lora.mixture import attach_mixture

    counts = expert_counts(network, targets, config.experts)
    return attach_mixture(network, counts, profile.rank, profile.alpha, config.routing, config.seed)


def expert_counts(
    network: "torch.nn.Module", targets: tuple[str, ...], experts: int
) -> Mapping[str, int]:
    """Return the number of experts of each Linear that is trained, by its name.

    Raises:
        UsageError: see `linears_of`; or a set of targets without any that has experts.
    """
    found = {
        name: experts if any(part in name for part in _MIXED) else 1
        for name in linears_of(network, targets)
    }
    if set(found.values()) == {1}:
        raise UsageError(
            f"--experts: expected targets with {' or '.join(_MIXED)} in their names, found "
            f"{', '.join(targets)}; give --targets full"
        )
    return found


def save_trained(editor: Editor, config: TrainConfig, told: Record) -> None:
    """Write what was trained into the training's folder; see `lora.save` and `save_mixture`."""
    if not config.experts:
        lora.save(editor, config.out, told)
        return
    from e2r_adapters.lora.mixture import experts_of

    save_mixture(experts_of(editor.networks["transformer"]), config.out, told)
