"""A LoRA mixture: several experts on one Linear, and a router that chooses among them by token.

Source: ICEdit (arXiv 2504.20690) and its released layer. For a token x with logits g = W_route x,
y = W x + b + sum over the k largest of w_i (alpha / r) B_i A_i x. In the release w is a softmax
over the k chosen alone: with its k = 1 that is 1 whatever the logits, and routers get no gradient.

Routings: "released"; "top2", the same with k = 2; "switch", the best with its weight among all
(Fedus et al., 2022), which a router can learn from; and the controls "random" (routers drawn
anew), "one" (the first expert for every token) and "average" (all experts equally).
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import nn

from e2r_adapters.editors.releases import Routing
from e2r_adapters.lora.mixture_files import Experts, MixtureFile
from e2r_metrics.base.draws import seed_for


class MixtureLinear(nn.Module):
    """A frozen Linear with experts beside it; see the module's equation."""

    def __init__(self, base: nn.Linear, experts: Experts, routing: Routing) -> None:
        """Put experts onto a Linear, in its dtype and on its device."""
        super().__init__()
        self.base = base
        self.a = nn.Parameter(experts.a.to(base.weight))
        self.b = nn.Parameter(experts.b.to(base.weight))
        route = experts.route
        self.route = None if route is None else nn.Parameter(route.to(base.weight))
        self.scale = experts.scale
        self.routing: Routing = routing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., in) to (..., out)."""
        each = torch.einsum("...i,eri->...er", x.to(self.a.dtype), self.a)
        weighted = each * (self.scale * self.weights(x).to(each.dtype)).unsqueeze(-1)
        return self.base(x) + torch.einsum("...er,eor->...o", weighted, self.b).to(x.dtype)

    def weights(self, x: torch.Tensor) -> torch.Tensor:
        """Return the weight of each expert for each token, (..., E), float32."""
        count = len(self.a)
        if self.route is None or self.routing == "average":
            return x.new_full((*x.shape[:-1], count), 1 / count, dtype=torch.float32)
        if self.routing == "one":
            return _one_hot(torch.zeros(x.shape[:-1], dtype=torch.long, device=x.device), count)
        logits = torch.einsum("...i,ei->...e", x.to(self.route.dtype), self.route).float()
        if self.routing == "switch":
            every = logits.softmax(-1)
            return every * _one_hot(logits.argmax(-1), count)
        best = logits.topk(2 if self.routing == "top2" else 1, dim=-1)
        return torch.zeros_like(logits).scatter(-1, best.indices, best.values.softmax(-1))


def _one_hot(index: torch.Tensor, count: int) -> torch.Tensor:
    return nn.functional.one_hot(index, count).float()


def put_on(network: nn.Module, file: MixtureFile, routing: Routing, seed: int = 0) -> None:
    """Put every Linear of a file onto a network, in place.

    Args:
        network: a transformer whose Linears the file was checked against; see `read_mixture`.
        file: the experts.
        routing: see this module.
        seed: of routers that are drawn at random, each scaled as the file's own.
    """
    for name, experts in file.linears.items():
        if routing == "random" and experts.route is not None:
            generator = torch.Generator().manual_seed(seed_for(seed, name, "mixture-router"))
            drawn = torch.randn(experts.route.shape, generator=generator)
            experts = Experts(
                experts.a, experts.b, drawn * experts.route.float().std(), experts.scale
            )
        replace_linear(network, name, experts, routing)


def replace_linear(
    network: nn.Module, name: str, experts: Experts, routing: Routing
) -> MixtureLinear:
    """Put experts in the place of one Linear and return what stands there now."""
    parent, _, last = name.rpartition(".")
    base = cast("nn.Linear", network.get_submodule(name))
    made = MixtureLinear(base, experts, routing)
    # A list's members are set by name too.
    setattr(network.get_submodule(parent), last, made)
    return made


def mixtures_of(network: nn.Module) -> Mapping[str, MixtureLinear]:
    """Return the Linears of a network that carry experts, by name."""
    modules = network.named_modules()
    return {name: module for name, module in modules if isinstance(module, MixtureLinear)}


def experts_of(network: nn.Module) -> Mapping[str, Experts]:
    """Return the tensors of a network's experts, by name of their Linear."""
    return {
        name: Experts(one.a, one.b, one.route, one.scale)
        for name, one in mixtures_of(network).items()
    }


def attach_mixture(
    network: nn.Module,
    linears: Mapping[str, int],
    rank: int,
    alpha: int,
    routing: Routing,
    seed: int,
) -> list[nn.Parameter]:
    """Add fresh experts to a frozen network and return what is to be trained.

    Args:
        network: all of it is frozen first.
        linears: name -> number of experts; 1 for a plain LoRA.
        rank, alpha: of each expert, which acts at alpha / rank.
        routing: "switch" or "top2" train the routers; "released" leaves them without gradient.
        seed: of the Gaussian draws of A and of the routers; B starts at zero.

    Returns:
        The parameters, float32 whatever the dtype of the network.
    """
    network.requires_grad_(False)
    trained: list[nn.Parameter] = []
    for name, count in linears.items():
        base = cast("nn.Linear", network.get_submodule(name))
        generator = torch.Generator().manual_seed(seed_for(seed, name, "mixture-init"))
        a = torch.randn(count, rank, base.in_features, generator=generator) / rank
        route = torch.randn(count, base.in_features, generator=generator) / base.in_features**0.5
        experts = Experts(
            a,
            torch.zeros(count, base.out_features, rank),
            route if count > 1 else None,
            alpha / rank,
        )
        made = replace_linear(network, name, experts, routing)
        for part in (made.a, made.b, made.route):
            if part is not None:
                part.data = part.data.float()
                trained.append(part)
    return trained
