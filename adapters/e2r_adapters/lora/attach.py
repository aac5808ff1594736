"""The LoRA on a network: attached for training, and what it acts like.

Source: Hu et al., ICLR 2022; targets and sizes from Edit2Restore's release.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from e2r_adapters.compat import check_peft
from e2r_metrics.base.draws import seed_for
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch


def attach(
    model: "torch.nn.Module", targets: tuple[str, ...], rank: int, alpha: int, seed: int
) -> list["torch.nn.Parameter"]:
    """Add a fresh LoRA named "default" to a frozen network and return what is to be trained.

    Args:
        model: a diffusers transformer or a transformers text encoder; all of it is frozen first.
        targets: endings of the names of the Linears.
        rank, alpha: the LoRA acts at alpha / rank.
        seed: of the Gaussian draw of A (B starts at zero); PEFT draws from torch's global
            generator, which is put back afterwards.

    Returns:
        The LoRA parameters, float32 whatever the dtype of the network: bfloat16 would round away
        most updates at the text encoder's learning rate.

    Raises:
        UsageError: the installed PEFT is too old for the network's library, or the targets are
            another family's; see `target_modules`.
    """
    import torch
    from peft import LoraConfig

    check_peft(model)
    model.requires_grad_(False)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        init_lora_weights="gaussian",
        target_modules=target_modules(model, targets),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, type(model).__name__, "lora-init"))
        # diffusers' and transformers' models both have the method; nn.Module's type has not.
        cast("Any", model).add_adapter(config)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    return trained


def target_modules(model: "torch.nn.Module", targets: tuple[str, ...]) -> list[str]:
    """Return what PEFT is told to adapt: the endings, or whole names where it would choke on them.

    Raises:
        UsageError: see `linears_of`.
    """
    chosen = linears_of(model, targets)
    hit = {name for name, _ in model.named_modules() if any(_ends(name, one) for one in targets)}
    # An ending may be a Linear in one block and a list of modules in another.
    exact = hit == set(chosen) and not any(one.startswith(".") for one in targets)
    return list(targets) if exact else chosen


def linears_of(model: "torch.nn.Module", targets: tuple[str, ...]) -> list[str]:
    """Return the whole names of the Linears that endings mean, sorted.

    Raises:
        UsageError: an ending that no Linear has, or a kind of block that none is in.
    """
    import torch

    found = [name for name, one in model.named_modules() if isinstance(one, torch.nn.Linear)]
    hit = {ending: [name for name in found if _ends(name, ending)] for ending in targets}
    chosen = sorted({name for names in hit.values() for name in names})
    missing = [ending for ending, names in hit.items() if not names]
    missing += sorted({_blocks(name) for name in found} - {_blocks(name) for name in chosen} - {""})
    if missing:
        raise UsageError(
            f"expected targets that cover {type(model).__name__}, found no Linear for "
            f"{', '.join(missing)}: the list is another family's and would leave most of this "
            f"network as it is; its Linears are {', '.join(_endings(found))}"
        )
    return chosen


def parameters_of(shapes: Mapping[str, tuple[int, ...]], targets: Iterable[str], rank: int) -> int:
    """Return how many numbers a LoRA has, from the shapes of a network's weights.

    Args:
        shapes: weight name -> shape; a Linear's is (out, in).
        targets: endings of the names of the Linears.
        rank: of the LoRA.
    """
    endings = tuple(targets)
    linear = {key.removesuffix(".weight"): shape for key, shape in shapes.items()
              if key.endswith(".weight") and len(shape) == 2}  # fmt: skip
    return sum(
        rank * sum(shape)
        for name, shape in linear.items()
        if any(_ends(name, ending) for ending in endings)
    )


def _ends(name: str, ending: str) -> bool:
    return (name if ending.startswith(".") else f".{name}").endswith(f".{ending.removeprefix('.')}")


def _blocks(name: str) -> str:
    """Return the list of blocks that a module is in, "" where it is in none."""
    match = re.match(r"(.*?)\.\d+\.", name)
    return match[1] if match else ""


def _endings(names: Iterable[str]) -> list[str]:
    """Return the distinct names of Linears inside blocks."""
    return list(dict.fromkeys(re.sub(r"^.*?\.\d+\.", "", name) for name in names if _blocks(name)))


def scales(model: "torch.nn.Module") -> Mapping[str, float]:
    """Return the scale, alpha / rank times weight, of each adapter of a network.

    Raises:
        UsageError: an adapter with different scales in different layers.
    """
    found: dict[str, set[float]] = {}
    for layer in lora_layers(model):
        for name, scale in layer.scaling.items():
            found.setdefault(name, set()).add(float(scale))
    for name, values in found.items():
        if len(values) > 1:
            raise UsageError(f"adapter {name!r} has several scales: {sorted(values)}; expected 1")
    return {name: values.pop() for name, values in found.items()}


def layer_scales(model: "torch.nn.Module", name: str) -> Mapping[str, float]:
    """Return the scale, alpha / rank times weight, of one adapter in each layer that has it."""
    from peft.tuners.lora import LoraLayer

    return {
        layer: float(module.scaling[name])
        for layer, module in model.named_modules()
        if isinstance(module, LoraLayer) and name in module.scaling
    }


def lora_layers(model: "torch.nn.Module") -> Iterator[Any]:
    """Yield the layers of a network that carry adapters."""
    from peft.tuners.lora import LoraLayer

    return (module for module in model.modules() if isinstance(module, LoraLayer))
