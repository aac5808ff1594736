"""The same weights in every trainer's layout: one picture, or one clear refusal, said by both."""

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from e2r_adapters import lora
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.lora import inspect
from e2r_metrics.base.errors import UsageError

OUT = "transformer_blocks.0.attn.to_out.0"
ADD = "transformer_blocks.0.attn.to_add_out"
# Linear -> the scale it was trained at; uneven, as kohya's per-layer alpha makes it.
SCALES = {OUT: 0.5, ADD: 2.0}
OLD = {OUT: "double_blocks.0.img_attn.proj", ADD: "double_blocks.0.txt_attn.proj"}


def halves(name):
    generator = torch.Generator().manual_seed(len(name))
    return (
        torch.randn(4, 32, generator=generator),
        torch.randn(32, 4, generator=generator),
    )


def pairs(template_a, template_b, alpha=None, names=None):
    out = {}
    for name in SCALES:
        a, b = halves(name)
        called = (names or {}).get(name, name)
        out[template_a.format(called)] = a
        out[template_b.format(called)] = b
        if alpha:
            out[alpha.format(called)] = torch.tensor(SCALES[name] * 4)
    return out


def settings(**more):
    patterns = {name: 4.0 * scale for name, scale in SCALES.items()}
    targets = list(SCALES)
    return {"r": 4, "lora_alpha": 4, "alpha_pattern": patterns, "target_modules": targets} | more


def diffusers_layout(folder):
    plain = pairs("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight")
    entry = {f"transformer.{key}": value for key, value in settings().items()}
    save_file(plain, folder / "a.safetensors", {"lora_adapter_metadata": json.dumps(entry)})
    return folder / "a.safetensors"


def alpha_tensors(folder):
    named = "transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight", "transformer.{}.alpha"
    save_file(pairs(*named), folder / "a.safetensors")
    return folder / "a.safetensors"


def kohya(folder):
    names = {name: old.replace(".", "_") for name, old in OLD.items()}
    named = [f"lora_unet_{{}}.{end}" for end in ("lora_down.weight", "lora_up.weight", "alpha")]
    save_file(pairs(*named, names), folder / "a.safetensors")
    return folder / "a.safetensors"


def comfy(folder):
    named = [
        f"diffusion_model.{{}}.{end}" for end in ("lora_down.weight", "lora_up.weight", "alpha")
    ]
    save_file(pairs(*named, OLD), folder / "a.safetensors")
    return folder / "a.safetensors"


def peft(folder):
    named = "base_model.model.{}.lora_A.weight", "base_model.model.{}.lora_B.weight"
    save_file(pairs(*named), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(settings()))
    return folder


@pytest.mark.parametrize("write", [diffusers_layout, alpha_tensors, kohya, comfy, peft])
def test_every_layout_acts_as_it_was_trained(make_tiny_pipe, tmp_path, write):
    path = write(tmp_path)
    report = inspect(path)
    assert report.problems == ()
    assert sorted(report.transformer.scales.values()) == [0.5, 2.0]
    assert report.transformer.scale is None
    assert "0.5 x1, 2 x1" in report.outcome
    pipe = make_tiny_pipe()
    lora.load(KONTEXT.open(pipe), path, "a")
    for name, scale in SCALES.items():
        a, b = halves(name)
        delta = pipe.transformer.get_submodule(name).get_delta_weight("a")
        torch.testing.assert_close(delta, scale * b @ a)


def test_an_alpha_can_be_stated_where_the_file_has_none(make_tiny_pipe, tmp_path):
    plain = pairs("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight")
    path = tmp_path / "a.safetensors"
    save_file(plain, path)
    assert "--alpha N" in inspect(path).problems[0]
    assert inspect(path, alpha=2).problems == ()
    pipe = make_tiny_pipe()
    assert lora.load(KONTEXT.open(pipe), path, "a", alpha=2) == 0.5
    a, b = halves(OUT)
    delta = pipe.transformer.get_submodule(OUT).get_delta_weight("a")
    torch.testing.assert_close(delta, 0.5 * b @ a)
    stated = diffusers_layout(tmp_path)
    with pytest.raises(UsageError, match="states its alpha itself"):
        lora.load(KONTEXT.open(make_tiny_pipe()), stated, "a", alpha=2)


def test_a_stated_alpha_is_in_the_build(tmp_path):
    from e2r_adapters.catalog import METHODS
    from e2r_baselines.method import spec_of

    given = {"adapter": alpha_tensors(tmp_path), "backbone": "kontext-nano", "alpha": "2"}
    assert "a alpha 2" in spec_of(METHODS["kontext_lora"], given).builds[0].name


def test_a_peft_folder_is_bound_to_both_of_its_files(tmp_path):
    from e2r_adapters.catalog import METHODS
    from e2r_baselines.method import spec_of

    given = {"adapter": peft(tmp_path), "backbone": "kontext-nano"}
    files = spec_of(METHODS["kontext_lora"], given).builds[0].own_files
    assert {path.name for path in files.values()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
    }
    (tmp_path / "adapter_config.json").unlink()
    assert "no adapter_config.json" in inspect(tmp_path).problems[0]


def test_rank_stabilised_peft_is_divided_by_the_root(make_tiny_pipe, tmp_path):
    peft(tmp_path)
    told = settings(use_rslora=True, alpha_pattern={}, lora_alpha=6)
    (tmp_path / "adapter_config.json").write_text(json.dumps(told))
    assert inspect(tmp_path).transformer.scale == 3.0
    assert lora.load(KONTEXT.open(make_tiny_pipe()), tmp_path, "a") == 3.0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"lora_alpha": "four"}, "expected a number above 0 as lora_alpha"),
        ({"r": 0}, "expected a number above 0 as r"),
        ({"alpha_pattern": {OUT: "much"}}, "expected numbers by name as alpha_pattern"),
        ({"rank_pattern": [4]}, "expected numbers by name as rank_pattern"),
        ({"rank_pattern": {OUT: 8}}, "says rank 8, the matrices 4"),
    ],
)
def test_settings_that_make_no_sense_are_named(make_tiny_pipe, tmp_path, change, problem):
    peft(tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings(**change)))
    assert problem in inspect(tmp_path).problems[0]
    with pytest.raises(UsageError, match=problem):
        lora.load(KONTEXT.open(make_tiny_pipe()), tmp_path, "a")


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_settings_that_are_no_object_are_one_line(tmp_path, text):
    peft(tmp_path)
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(UsageError, match="expected PEFT's settings"):
        inspect(tmp_path)


def test_matrices_of_rank_0_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    empty = {
        f"transformer.{OUT}.lora_A.weight": torch.ones(0, 32),
        f"transformer.{OUT}.lora_B.weight": torch.ones(32, 0),
        f"transformer.{OUT}.alpha": torch.tensor(1.0),
    }
    save_file(empty, path)
    assert "expected matrices, found empty ones" in inspect(path).problems[0]


def test_an_original_layer_without_alpha_is_told_by_both(make_tiny_pipe, tmp_path):
    path = kohya(tmp_path)
    from safetensors.torch import load_file

    tensors = load_file(path)
    del tensors["lora_unet_double_blocks_0_img_attn_proj.alpha"]
    save_file(tensors, path)
    assert "alpha lost for 1 of 2 Linears" in inspect(path).problems[0]
    with pytest.raises(UsageError, match="alpha lost for 1 of 2"):
        lora.load(KONTEXT.open(make_tiny_pipe()), path, "a")


def test_what_diffusers_cannot_convert_is_told_by_both(make_tiny_pipe, tmp_path):
    path = tmp_path / "a.safetensors"
    stem = "lora_unet_double_blocks_0_img_attn_qkv"
    # Their converter cuts the upper matrix into three; this one cannot be cut.
    wrong = {
        f"{stem}.lora_down.weight": torch.ones(4, 32),
        f"{stem}.lora_up.weight": torch.ones(31, 4),
        f"{stem}.alpha": torch.tensor(4.0),
    }
    save_file(wrong, path)
    assert "diffusers cannot convert it" in inspect(path).problems[0]
    with pytest.raises(UsageError, match="diffusers cannot convert it"):
        lora.load(KONTEXT.open(make_tiny_pipe()), path, "a")


def test_the_command_takes_an_alpha(tmp_path):
    from e2r_bench.commands.adapter import command

    path = tmp_path / "a.safetensors"
    save_file(pairs("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight"), path)
    run = CliRunner().invoke(command, ["inspect", str(path), "--alpha", "2"], standalone_mode=False)
    assert run.return_value == 0
    assert "alpha 2, scale after load 0.5" in run.output


def test_matrices_that_are_none_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    three = {
        f"transformer.{OUT}.lora_A.weight": torch.ones(4, 32, 1),
        f"transformer.{OUT}.lora_B.weight": torch.ones(32, 4, 1),
    }
    save_file(three, path)
    assert "expected pairs of matrices" in inspect(path).problems[0]
