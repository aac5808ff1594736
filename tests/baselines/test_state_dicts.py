"""Networks against the tensors of the published checkpoints: every name and every shape."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from e2r_baselines.adair import AdaIR
from e2r_baselines.bioir import BioIR
from e2r_baselines.diffuir_unet import SIZES, DiffUIR
from e2r_baselines.instructir import InstructIR
from e2r_baselines.instructir_text import LanguageHead
from e2r_baselines.lora_ir import LoRAIR, with_experts
from e2r_baselines.lora_ir_router import Router, vit_l_14_336
from e2r_baselines.moce_ir import SMALL, MoCEIR
from e2r_baselines.prenet import PReNet
from e2r_baselines.promptir import NANO, PromptIR


def listed(name: str) -> dict[str, tuple[int, ...]]:
    text = Path(__file__).with_name("state_dicts").joinpath(f"{name}.txt").read_text()
    rows = (line.split(" ", 1) for line in text.splitlines())
    return {key: ast.literal_eval(shape) for key, shape in rows}


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "network", "tensors", "count"),
    [
        ("promptir", PromptIR, 548, 35_592_263),
        ("instructir_7d", InstructIR, 696, 15_843_363),
        ("moce_ir", MoCEIR, 1262, 25_353_796),
        ("prenet", PReNet, 32, 168_963),
        ("adair", AdaIR, 587, 28_784_824),
        ("bioir", BioIR, 907, 15_847_328),
        ("diffuir_t", lambda: DiffUIR(SIZES["diffuir-t"]), 276, 886_435),
        ("lora_ir_setting1", lambda: with_experts(LoRAIR()), 1219, 81_656_367),
    ],
)
def test_names_and_shapes_are_those_of_the_checkpoint(
    name: str, network: Callable[[], nn.Module], tensors: int, count: int
) -> None:
    with torch.device("meta"):
        built = network()
    assert shapes(built) == listed(name)
    assert len(shapes(built)) == tensors
    assert parameters(built) == count


@pytest.mark.parametrize(
    ("size", "count"),
    [("s", 3_268_643), ("b", 12_406_851), ("l", 36_261_187)],
)
def test_the_larger_diffuirs_have_the_same_names(size: str, count: int) -> None:
    with torch.device("meta"):
        built = DiffUIR(SIZES[f"diffuir-{size}"])
    # A level that gets wider has a 1x1 convolution around its blocks, and all have it going up.
    assert shapes(built).keys() == listed("diffuir_t").keys()
    assert parameters(built) == count


def test_an_expert_of_lora_ir_and_its_router_have_the_stated_sizes() -> None:
    with torch.device("meta"):
        assert parameters(LoRAIR()) == 81_656_367 - 12_786_864
        router = shapes(Router(vit_l_14_336()))
    behind = {key: shape for key, shape in router.items() if not key.startswith("clip_model.")}
    assert behind == {
        "de_extractor.0.weight": (768, 1536), "de_extractor.0.bias": (768,),
        "de_extractor.2.weight": (384, 768), "de_extractor.2.bias": (384,),
        "cls_head.weight": (3, 384), "cls_head.bias": (3,),
    }  # fmt: skip


def test_moce_ir_s_follows_the_same_rule() -> None:
    small = MoCEIR(SMALL)
    full = listed("moce_ir")
    assert shapes(small).keys() == full.keys()
    assert parameters(small) == 11_477_752
    experts = "dec.0.2.layers.0.adapter.experts"
    ranks = [shapes(small)[f"{experts}.{i}.0.proj.0.weight"][0] for i in range(4)]
    assert ranks == [16, 32, 64, 128]


def test_the_language_head_has_the_layers_of_the_released_file() -> None:
    assert shapes(LanguageHead()) == {
        "fc1.weight": (256, 384), "fc1.bias": (256,),
        "fc2.weight": (7, 256), "fc2.bias": (7,),
    }  # fmt: skip


def test_the_nano_is_the_same_class_and_holds_no_spare_tensors() -> None:
    nano = shapes(PromptIR(NANO))
    spare = {key for key in listed("promptir") if key.startswith(("chnl_", "reduce_noise_channel"))}
    assert len(spare) == 6
    assert not spare & nano.keys()
    assert sum(torch.Size(shape).numel() for shape in nano.values()) < 1_000_000
