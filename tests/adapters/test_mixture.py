"""LoRA mixtures: ICEdit's layout, its router as released, and controls that tell what it means."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from torch import nn

from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import open_editor
from e2r_adapters.lora.attach import target_modules
from e2r_adapters.lora.mixture import (
    MixtureLinear,
    attach_mixture,
    experts_of,
    mixtures_of,
    put_on,
)
from e2r_adapters.lora.mixture_files import Experts, is_mixture, read_mixture, save_mixture
from e2r_baselines.method import Build, Compute, Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

FULL = ("x_embedder", "norm1.linear", "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0",
        "ff.net.2", "norm.linear", "proj_mlp", ".proj_out")  # fmt: skip


def drawn(count=4, rank=3, wide=6, out=5, seed=0) -> Experts:
    torch.manual_seed(seed)
    return Experts(
        torch.randn(count, rank, wide), torch.randn(count, out, rank), torch.randn(count, wide), 0.5
    )


def by_hand(base, experts, x, routing):
    """The equation, a token at a time."""
    y = []
    for token in x.reshape(-1, x.shape[-1]):
        logits = experts.route @ token
        order = sorted(range(len(logits)), key=lambda i: -float(logits[i]))
        total = base.weight @ token + base.bias
        every = torch.exp(logits) / torch.exp(logits).sum()
        if routing == "released":
            chosen = {order[0]: 1.0}
        elif routing == "top2":
            two = torch.exp(logits[order[:2]])
            chosen = dict(zip(order[:2], (two / two.sum()).tolist(), strict=True))
        elif routing == "switch":
            chosen = {order[0]: float(every[order[0]])}
        elif routing == "one":
            chosen = {0: 1.0}
        else:
            chosen = dict.fromkeys(range(len(logits)), 1 / len(logits))
        for i, weight in chosen.items():
            total = total + weight * experts.scale * experts.b[i] @ (experts.a[i] @ token)
        y.append(total)
    return torch.stack(y).reshape(*x.shape[:-1], -1)


@pytest.mark.parametrize("routing", ["released", "top2", "switch", "one", "average"])
def test_each_routing_is_its_equation(routing):
    base, experts, x = nn.Linear(6, 5), drawn(), torch.randn(2, 7, 6)
    made = MixtureLinear(base, experts, routing)(x)
    assert torch.allclose(made, by_hand(base, experts, x, routing), atol=1e-5)


def test_one_expert_is_pefts_lora():
    base, experts = nn.Linear(6, 5), drawn(count=1)
    theirs = nn.Sequential(nn.Linear(6, 5))
    theirs[0].load_state_dict(base.state_dict())
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=2, target_modules=["0"]), theirs)
    experts = Experts(torch.randn(1, 4, 6), torch.randn(1, 5, 4), None, 0.5)
    theirs[0].lora_A["default"].weight.data = experts.a[0]
    theirs[0].lora_B["default"].weight.data = experts.b[0]
    x = torch.randn(3, 6)
    made = MixtureLinear(base, experts, "released")(x)
    assert torch.allclose(made, theirs(x), atol=1e-6)


def test_equal_experts_are_one_expert():
    base, one, x = nn.Linear(6, 5), drawn(count=1), torch.randn(4, 6)
    four = Experts(one.a.repeat(4, 1, 1), one.b.repeat(4, 1, 1), torch.randn(4, 6), 0.5)
    alone = MixtureLinear(base, Experts(one.a, one.b, None, 0.5), "released")(x)
    for routing in ("released", "top2", "one", "average"):
        assert torch.allclose(MixtureLinear(base, four, routing)(x), alone, atol=1e-5)


@pytest.mark.parametrize(
    ("routing", "learns"), [("released", False), ("switch", True), ("top2", True)]
)
def test_only_the_release_leaves_its_router_without_gradient(routing, learns):
    made = MixtureLinear(nn.Linear(6, 5), drawn(), routing)
    made(torch.randn(8, 6)).square().sum().backward()
    assert (made.route.grad.abs().max() > 0) == learns
    assert made.a.grad.abs().max() > 0
    if not learns:
        assert (made.route.grad == 0).all()


def counted(network) -> dict[str, int]:
    names = target_modules(network, FULL)
    return {n: 4 if "ff.net" in n or "proj_out" in n else 1 for n in names}


@pytest.mark.slow
def test_parameter_counts_of_the_released_mixture():
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        network = FluxTransformer2DModel(in_channels=384, out_channels=64, guidance_embeds=True)
    linears = {name: network.get_submodule(name) for name in counted(network)}
    kinds = counted(network)
    sums = {
        name: kinds[name] * 32 * (one.in_features + one.out_features)
        for name, one in linears.items()
    }
    routers = sum(4 * one.in_features for name, one in linears.items() if kinds[name] == 4)
    assert (list(kinds.values()).count(4), list(kinds.values()).count(1)) == (57, 286)
    assert (sum(sums.values()), routers) == (211_169_280, 3_268_608)
    assert sum(sums.values()) + routers == 214_437_888


@pytest.fixture
def trained(make_fill):
    """A Fill pipeline with fresh experts that do something."""
    pipe = make_fill()
    attach_mixture(pipe.transformer, counted(pipe.transformer), 4, 4, "switch", seed=0)
    torch.manual_seed(1)
    for one in mixtures_of(pipe.transformer).values():
        one.b.data.normal_(std=0.3)
    return pipe


@pytest.fixture
def mixture(trained, tmp_path):
    return save_mixture(experts_of(trained.transformer), tmp_path / "mixture", {"base": "tiny"})


def test_the_file_has_the_released_keys(mixture):
    keys = set(load_file(mixture))
    assert "transformer.transformer_blocks.0.ff.net.2.lora_A.expert_3.weight" in keys
    assert "transformer.transformer_blocks.0.ff.net.2.lora_route.weight" in keys
    assert "transformer.single_transformer_blocks.0.proj_out.lora_B.expert_0.weight" in keys
    assert "transformer.x_embedder.lora_A.weight" in keys
    assert is_mixture(mixture)
    assert not any("proj_out" in k and "blocks" not in k for k in keys)


def test_what_is_saved_acts_the_same_when_it_is_read(trained, mixture, make_fill):
    fresh = make_fill()
    file = read_mixture(mixture, fresh.transformer)
    assert (file.mixed, len(file.linears)) == (2, len(counted(make_fill().transformer)))
    put_on(fresh.transformer, file, "switch")
    for name, one in mixtures_of(trained.transformer).items():
        x = torch.randn(3, one.base.in_features)
        other = mixtures_of(fresh.transformer)[name]
        assert torch.equal(one(x), other(x)), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"transformer.proj_in.lora_alpha": torch.zeros(1)}, "expected keys of ICEdit's mixtures"),
        ({"transformer.nowhere.lora_A.weight": torch.zeros(4, 8)}, "whole pairs of matrices"),
        (
            {
                "transformer.nowhere.lora_A.weight": torch.zeros(4, 8),
                "transformer.nowhere.lora_B.weight": torch.zeros(8, 4),
            },
            "expected a Linear of this base",
        ),
        (
            {"transformer.transformer_blocks.0.ff.net.2.lora_route.weight": torch.zeros(4, 8)},
            "expected route of shape",
        ),
        (
            {"transformer.transformer_blocks.0.ff.net.2.lora_A.expert_4.weight": torch.zeros(4, 8)},
            "whole pairs of matrices",
        ),
    ],
)
def test_any_other_file_is_refused_in_a_line(mixture, make_fill, tmp_path, change, said):
    save_file(load_file(mixture) | change, tmp_path / "odd.safetensors")
    with pytest.raises(UsageError, match=said) as caught:
        read_mixture(tmp_path / "odd.safetensors", make_fill().transformer)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_refused(mixture, make_fill):
    content = bytearray(mixture.read_bytes())
    content[-5] ^= 1
    mixture.write_bytes(content)
    with pytest.raises(UsageError, match="damaged or changed"):
        read_mixture(mixture, make_fill().transformer)


def restored(folder, name, **options):
    spec = spec_of(METHODS[name], {"backbone": folder, "max_sequence_length": 256} | options)
    photo = Photo("a", np.random.default_rng(0).random((16, 24, 3), dtype=np.float32))
    compute = Compute("cpu", "float32", 1, None)
    restorer = spec.open(spec.builds[0], {}, compute)
    (one,) = restorer.restore([photo], TASKS["denoise25"], [Draw(0, 2)])
    return one.pixels


def test_the_controls_run_as_methods_and_differ(make_fill, mixture, tmp_path):
    make_fill().save_pretrained(tmp_path / "fill")
    folder = str(tmp_path / "fill")
    pictures = {
        routing: restored(folder, "icedit_moe", adapter=mixture, routing=routing)
        for routing in ("released", "top2", "switch", "random", "one", "average")
    }
    for one, picture in pictures.items():
        for other in pictures:
            same = np.array_equal(picture, pictures[other])
            assert same == (one == other), (one, other)
    again = restored(folder, "icedit_moe", adapter=mixture, routing="random")
    assert np.array_equal(again, pictures["random"])


def test_each_method_refuses_the_others_file_and_says_what_it_needs(make_fill, mixture, tmp_path):
    make_fill().save_pretrained(tmp_path / "fill")
    folder = str(tmp_path / "fill")
    with pytest.raises(UsageError, match="found a mixture; run icedit_moe"):
        restored(folder, "icedit", adapter=mixture)
    with pytest.raises(UsageError, match="expected --set adapter=FILE with a LoRA mixture"):
        restored(folder, "icedit_moe")
    with pytest.raises(UsageError, match="needs --set adapter=FILE: train one"):
        restored(folder, "icedit")
    bare = spec_of(METHODS["icedit_moe"])
    assert isinstance(bare.builds[0], Build)
    assert open_editor(folder, torch.float32, "cpu").family.name == "fill"
