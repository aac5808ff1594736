"""Each way in which an adapter file can mislead, made small, and what the lint says of it."""

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from e2r_adapters import lora
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.lora import inspect
from e2r_metrics.base.errors import UsageError

Q = "transformer.transformer_blocks.0.attn.to_q"
CLIP = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"


def tensors(*names, rank=4, width=32):
    out = {}
    for name in names:
        out[f"{name}.lora_A.weight"] = torch.ones(rank, width)
        out[f"{name}.lora_B.weight"] = torch.ones(width, rank)
    return out


def said(**entries):
    return {
        "lora_adapter_metadata": json.dumps({k.replace("__", "."): v for k, v in entries.items()})
    }


def write(tmp_path, weights, metadata=None):
    path = tmp_path / "adapter.safetensors"
    save_file(weights, path, metadata=metadata)
    return path


GOOD = said(transformer__r=4, transformer__lora_alpha=2)


def test_our_own_adapter_is_sound(tiny_pipe, tmp_path):
    editor = KONTEXT.open(tiny_pipe)
    for name, part in KONTEXT.lora.parts.items():
        lora.attach(editor.networks[name], part.targets["full"], 64, 4, seed=0)
    report = inspect(lora.save(editor, tmp_path, {"base": "tiny", "pairs": 16}))
    assert report.problems == ()
    assert report.layout == "diffusers"
    assert report.base == "tiny"
    assert report.record == {"base": "tiny", "pairs": 16}
    for part in (report.transformer, report.text_encoder):
        assert (part.ranks, part.alpha, part.scale) == ((64,), 4, 0.0625)
    assert report.transformer.targets["attn.to_q"] == 2
    assert report.transformer.targets["ff_context.net.0.proj"] == 1
    assert report.transformer.linears == 16
    assert report.text_encoder.targets["self_attn.out_proj"] == 2
    assert "transformer at scale 0.0625 and text_encoder at scale 0.0625" in report.outcome


@pytest.mark.parametrize(
    ("weights", "metadata", "problem"),
    [
        (tensors(Q), None, "transformer: alpha lost.*1 times too strong"),
        (tensors(Q) | tensors("transformer.blocks.0.to_q"), GOOD, "2 unknown keys"),
        (tensors(Q) | tensors("text_encoder_2.encoder.block.0.q"), GOOD, "2 unknown keys"),
        (tensors(Q) | {f"{Q}.lora_A.expert_0": torch.ones(4, 32)}, GOOD, "1 unknown keys"),
        (tensors(Q) | tensors(CLIP), GOOD, "text_encoder: no metadata for it"),
        (tensors(Q), said(transformer__r=8, transformer__lora_alpha=2), "metadata says rank 8"),
        (tensors(Q) | {f"{Q}.alpha": torch.tensor(2.0)}, GOOD, "diffusers refuses both"),
        ({f"{Q}.lora_A.weight": torch.ones(4, 32)}, GOOD, "has no partner"),
        (
            {f"{Q}.lora_A.weight": torch.ones(4, 32), f"{Q}.lora_B.weight": torch.ones(32, 3)},
            GOOD,
            "ranks of A and B differ",
        ),
        ({"double_blocks.0.processor.qkv_lora1.down.weight": torch.ones(4, 32)}, None, "xlabs"),
        ({"something.weight": torch.ones(2)}, None, "found unknown"),
    ],
)
def test_each_problem_is_named(tmp_path, weights, metadata, problem):
    report = inspect(write(tmp_path, weights, metadata))
    assert report.problems
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError("; ".join(report.problems))


def test_alpha_tensors_give_the_scale_that_diffusers_gives(make_tiny_pipe, tmp_path):
    path = write(tmp_path, tensors(Q) | {f"{Q}.alpha": torch.tensor(2.0)})
    report = inspect(path)
    assert report.problems == ()
    pipe = make_tiny_pipe()
    pipe.load_lora_weights(str(path), adapter_name="a")
    assert lora.scales(pipe.transformer) == {"a": 0.5} == {"a": report.transformer.scale}


def test_a_file_without_alpha_really_loads_at_scale_one(make_tiny_pipe, tmp_path):
    path = write(tmp_path, tensors(Q, rank=64))
    report = inspect(path)
    assert "16 times too strong" in report.problems[0]
    pipe = make_tiny_pipe()
    pipe.load_lora_weights(str(path), adapter_name="a")
    assert lora.scales(pipe.transformer) == {"a": 1.0} == {"a": report.transformer.scale}


def kohya(*names):
    out = {}
    for name in names:
        out[f"{name}.lora_down.weight"] = torch.ones(4, 32)
        out[f"{name}.lora_up.weight"] = torch.ones(32, 4)
        out[f"{name}.alpha"] = torch.tensor(2.0)
    return out


def test_kohya_is_read_and_its_text_encoder_keys_are_refused(make_tiny_pipe, tmp_path):
    image = "lora_unet_double_blocks_0_img_attn_proj"
    path = write(tmp_path, kohya(image))
    report = inspect(path)
    assert report.problems == ()
    assert (report.transformer.ranks, report.transformer.alpha) == ((4,), 2.0)
    assert report.transformer.scale == 0.5
    assert "converts it first" in report.outcome
    make_tiny_pipe().load_lora_weights(str(path))

    text = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
    path = write(tmp_path, kohya(image, text))
    assert "kohya text-encoder keys (3" in inspect(path).problems[0]
    with pytest.raises(ValueError, match="Could not automatically infer state dict type"):
        make_tiny_pipe().load_lora_weights(str(path))


def test_kohya_of_another_family_is_refused_by_name(make_tiny_pipe, tmp_path):
    path = write(tmp_path, kohya("lora_unet_input_blocks_4_1_proj_in"))
    (problem,) = inspect(path).problems
    assert "1 kohya keys of another family, such as 'input_blocks_4_1_proj_in'" in problem
    with pytest.raises(UsageError, match="kohya keys of another family"):
        lora.load(KONTEXT.open(make_tiny_pipe()), path, "a")


def test_rank_stabilised_scale_is_what_it_loads_at(make_tiny_pipe, tmp_path):
    settings = {
        "r": 4,
        "lora_alpha": 2,
        "use_rslora": True,
        "target_modules": [Q.removeprefix("transformer.")],
    }
    entry = {f"transformer.{key}": value for key, value in settings.items()}
    metadata = {"lora_adapter_metadata": json.dumps(entry)}
    path = write(tmp_path, tensors(Q), metadata)
    assert inspect(path).transformer.scale == 1.0
    assert lora.load(KONTEXT.open(make_tiny_pipe()), path, "a") == 1.0


def test_settings_that_peft_cannot_use_are_one_line(make_tiny_pipe, tmp_path):
    settings = {"transformer.r": 4, "transformer.lora_alpha": 2}
    path = write(tmp_path, tensors(Q), {"lora_adapter_metadata": json.dumps(settings)})
    with pytest.raises(UsageError, match="diffusers cannot load it") as caught:
        lora.load(KONTEXT.open(make_tiny_pipe()), path, "a")
    assert "\n" not in str(caught.value)


def test_what_inspect_passes_a_run_of_kohya_loads(make_tiny_pipe, tmp_path):
    """The tiny pipeline is 32 wide, so its attention's output projection is 32 -> 32."""
    path = write(tmp_path, kohya("lora_unet_double_blocks_0_img_attn_proj"))
    assert inspect(path).problems == ()
    editor = KONTEXT.open(make_tiny_pipe())
    assert lora.load(editor, path, "a") == 0.5  # alpha / rank, not folded into A
    layer = editor.networks["transformer"].transformer_blocks[0].attn.to_out[0]
    delta = layer.get_delta_weight("a")
    torch.testing.assert_close(delta, torch.full((32, 32), 4 * 0.5))
    wide = {key: torch.ones(t.shape).repeat(1, 2) if "down" in key else t
            for key, t in kohya("lora_unet_double_blocks_0_img_attn_proj").items()}  # fmt: skip
    with pytest.raises(UsageError, match=r"for another base.*expects a Linear 64 -> 32"):
        lora.load(KONTEXT.open(make_tiny_pipe()), write(tmp_path, wide), "a")


def test_base_is_guessed_from_the_width(tmp_path):
    report = inspect(write(tmp_path, tensors(Q, width=3072), GOOD))
    assert report.base.startswith("FLUX.1 [dev] size (guess")


def test_a_broken_file_is_one_line(tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(write(tmp_path, tensors(Q)).read_bytes()[:-100])
    for broken in (path, tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(UsageError, match="expected a whole safetensors file, found") as caught:
            inspect(broken)
        assert "a folder" in str(caught.value) or broken != tmp_path


def test_command_prints_json_and_fails_on_problems(tmp_path):
    from e2r_bench.commands.adapter import command

    sound = write(tmp_path, tensors(Q), GOOD)
    result = CliRunner().invoke(command, ["inspect", str(sound), "--json"], standalone_mode=False)
    assert result.return_value == 0
    assert json.loads(result.output)["transformer"]["scale"] == 0.5
    result = CliRunner().invoke(command, ["inspect", str(sound)], standalone_mode=False)
    assert "scale after load 0.5" in result.output

    lost = write(tmp_path, tensors(Q))
    result = CliRunner().invoke(command, ["inspect", str(lost)], standalone_mode=False)
    assert result.return_value == 1
    assert "alpha lost" in result.output
