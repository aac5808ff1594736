"""Networks against the tensors of the published checkpoints: every name and every shape."""

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

from e2r_baselines.instructir import InstructIR
from e2r_baselines.instructir_text import LanguageHead
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
    ],
)
def test_names_and_shapes_are_those_of_the_checkpoint(
    name: str, network: type[nn.Module], tensors: int, count: int
) -> None:
    with torch.device("meta"):
        built = network()
    assert shapes(built) == listed(name)
    assert len(shapes(built)) == tensors
    assert parameters(built) == count


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
