"""Where the LoRA sits, how large it is, and that what is saved is what is loaded."""

from pathlib import Path

import numpy as np
import pytest
import torch

from e2r_adapters import lora
from e2r_adapters.editors.kontext import KONTEXT
from e2r_metrics.base.errors import UsageError

SETTINGS = {
    "prompt": "remove the rain",
    "height": 64,
    "width": 64,
    "max_area": 4096,
    "_auto_resize": False,
    "max_sequence_length": 32,
    "num_inference_steps": 2,
    "output_type": "np",
}


TARGETS = KONTEXT.lora.parts["transformer"].targets
TEXT_TARGETS = KONTEXT.lora.parts["text_encoder"].targets["full"]


def restore(pipe):
    pixels = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    generator = torch.Generator().manual_seed(1)
    return pipe(image=image, generator=generator, **SETTINGS).images


def trained_pipe(pipe, text_encoder=True, alpha=4):
    parameters = lora.attach(pipe.transformer, TARGETS["full"], 64, alpha, seed=0)
    if text_encoder:
        parameters += lora.attach(pipe.text_encoder, TEXT_TARGETS, 64, alpha, seed=0)
    generator = torch.Generator().manual_seed(3)
    for parameter in parameters:
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    return pipe


def full_size_transformer():
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        return FluxTransformer2DModel(
            in_channels=64,
            num_layers=19,
            num_single_layers=38,
            attention_head_dim=128,
            num_attention_heads=24,
            joint_attention_dim=4096,
            pooled_projection_dim=768,
            guidance_embeds=True,
            axes_dims_rope=(16, 56, 56),
        )


@pytest.mark.parametrize(
    ("targets", "parameters", "linears"),
    [("full", 216_662_016, 380), ("attention", 74_711_040, 190)],
)
def test_parameter_count_at_full_size(targets, parameters, linears):
    transformer = full_size_transformer()
    trained = lora.attach(transformer, TARGETS[targets], 64, 4, seed=0)
    assert sum(parameter.numel() for parameter in trained) == parameters
    assert len(trained) == 2 * linears


def test_text_encoder_parameter_count_at_full_size():
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
    )
    with torch.device("meta"):
        encoder = CLIPTextModel(sizes)
    trained = lora.attach(encoder, TEXT_TARGETS, 64, 4, seed=0)
    assert sum(parameter.numel() for parameter in trained) == 4_718_592


def test_trained_parameters_are_float32_over_bfloat16_weights(tiny_pipe):
    transformer = tiny_pipe.transformer.bfloat16()
    trained = lora.attach(transformer, TARGETS["full"], 64, 4, seed=0)
    assert {parameter.dtype for parameter in trained} == {torch.float32}
    assert transformer.x_embedder.weight.dtype == torch.bfloat16
    assert not transformer.x_embedder.weight.requires_grad


def test_the_seed_alone_decides_the_start(make_tiny_pipe):
    def start(seed, disturb):
        torch.manual_seed(disturb)
        transformer = make_tiny_pipe().transformer
        before = torch.random.get_rng_state()
        trained = lora.attach(transformer, TARGETS["full"], 64, 4, seed=seed)
        assert torch.equal(torch.random.get_rng_state(), before)
        return torch.cat([parameter.flatten() for parameter in trained])

    assert torch.equal(start(1, disturb=5), start(1, disturb=6))
    assert not torch.equal(start(1, disturb=5), start(2, disturb=5))


def test_a_bare_pipeline_reloads_the_same_output(make_tiny_pipe, tmp_path):
    trained = trained_pipe(make_tiny_pipe())
    expected = restore(trained)
    path = lora.save(KONTEXT.open(trained), tmp_path, {"base": "tiny"})

    bare = make_tiny_pipe()
    base = restore(bare)
    bare.load_lora_weights(str(tmp_path), adapter_name="again")
    assert lora.scales(bare.transformer) == {"again": 0.0625}
    assert lora.scales(bare.text_encoder) == {"again": 0.0625}
    np.testing.assert_array_equal(restore(bare), expected)
    assert np.abs(expected - base).max() > 1e-3

    bare.set_adapters(["again"], [0.0])
    np.testing.assert_array_equal(restore(bare), base)
    bare.set_adapters(["again"], [1.0])
    bare.disable_lora()
    np.testing.assert_array_equal(restore(bare), base)
    assert path.name == "pytorch_lora_weights.safetensors"


def test_load_returns_the_scale_and_equals_diffusers_own(make_tiny_pipe, tmp_path):
    trained = trained_pipe(make_tiny_pipe())
    path = lora.save(KONTEXT.open(trained), tmp_path, {})
    pipe = make_tiny_pipe()
    assert lora.load(KONTEXT.open(pipe), path, "named") == 0.0625
    np.testing.assert_array_equal(restore(pipe), restore(trained))


def test_load_refuses_an_adapter_for_another_base(make_tiny_pipe, tmp_path):
    other = make_tiny_pipe()
    record = {"base": "tiny", "base_fingerprint": lora.fingerprint(KONTEXT.open(other))}
    path = lora.save(KONTEXT.open(trained_pipe(other)), tmp_path, record)
    pipe = make_tiny_pipe()
    pipe.transformer.proj_out.weight.data += 0.01
    with pytest.raises(UsageError, match="an adapter for another base: trained on tiny"):
        lora.load(KONTEXT.open(pipe), path, "a")

    pipe.transformer.x_embedder = torch.nn.Linear(3, 3)
    pipe.transformer.transformer_blocks[0].attn.to_q = torch.nn.Linear(7, 32)
    with pytest.raises(UsageError, match=r"to_q expects a Linear 32 -> 32, this base has 7 -> 32"):
        lora.load(KONTEXT.open(pipe), path, "b")


def test_fingerprint_sees_the_base_through_dtype_and_lora(make_tiny_pipe):
    pipe = make_tiny_pipe()
    expected = lora.fingerprint(KONTEXT.open(pipe))
    half = make_tiny_pipe()
    half.transformer.bfloat16()
    assert lora.fingerprint(KONTEXT.open(half)) == expected
    lora.attach(pipe.transformer, ("attn.to_q", "proj_out"), 64, 4, seed=0)
    assert lora.fingerprint(KONTEXT.open(pipe)) == expected


def test_a_failed_save_leaves_nothing(make_tiny_pipe, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        lora.save(KONTEXT.open(trained_pipe(make_tiny_pipe())), tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_saving_asks_no_hub_about_the_base(make_tiny_pipe, tmp_path, monkeypatch):
    def asked(*args, **kwargs):
        raise AssertionError("PEFT looked for the base on the hub")

    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", asked)
    pipe = make_tiny_pipe()
    pipe.text_encoder.name_or_path = "somebody/base"
    lora.save(KONTEXT.open(trained_pipe(pipe)), tmp_path, {})
