"""One training step of FLUX.1 Kontext's size with random weights: peak memory, images per second.

Needs a large CUDA device: `pytest tests/bench_training_full_size.py -m gpu --benchmark-only -s`.
"""

import math
from types import SimpleNamespace

import pytest
import torch

from e2r_adapters import lora
from e2r_adapters.editors.flux_inputs import FluxConditioning
from e2r_adapters.editors.kontext import KONTEXT, KontextEditor
from e2r_adapters.train.profiles import PROFILES
from e2r_adapters.train.step import Batch, flow_matching_loss

BATCH, LATENT, T5_LENGTH = 4, 128, 512


def full_size_transformer(device):
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        transformer = FluxTransformer2DModel(
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
    transformer = transformer.bfloat16().to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    for parameter in transformer.parameters():
        parameter.data.normal_(0, 0.02, generator=generator)
    return transformer.eval()


def kontext_pipe(transformer):
    """The parts of a pipeline that a training step touches."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxKontextPipeline

    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15,
        base_image_seq_len=256, max_image_seq_len=4096,
    )  # fmt: skip
    return SimpleNamespace(
        transformer=transformer,
        scheduler=scheduler,
        vae_scale_factor=8,
        _unpack_latents=FluxKontextPipeline._unpack_latents,
        _pack_latents=FluxKontextPipeline._pack_latents,
        _prepare_latent_image_ids=FluxKontextPipeline._prepare_latent_image_ids,
    )


@pytest.mark.gpu
def test_step_at_full_size(benchmark):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device, profile = torch.device("cuda"), PROFILES["g1"]
    transformer = full_size_transformer(device)
    targets = KONTEXT.lora.parts["transformer"].targets["full"]
    trained = lora.attach(transformer, targets, profile.rank, profile.alpha, seed=0)
    assert sum(parameter.numel() for parameter in trained) == 216_662_016
    transformer.enable_gradient_checkpointing()
    transformer.train()
    optimizer = torch.optim.AdamW(trained, lr=profile.learning_rate)
    editor = KontextEditor(kontext_pipe(transformer), transformer)
    levels = editor.training_levels().to(device)

    def draw(*shape):
        return torch.randn(*shape, device=device)

    given = FluxConditioning(
        tokens=editor.pack(draw(BATCH, 16, LATENT, LATENT)),
        shape=(16, LATENT, LATENT),
        states=draw(BATCH, T5_LENGTH, 4096).bfloat16(),
        pooled=draw(BATCH, 768).bfloat16(),
        clip=torch.zeros(BATCH, 77, dtype=torch.long, device=device),
        guidance=torch.full((BATCH,), profile.guidance, device=device),
    )
    batch = Batch(
        clean=draw(BATCH, 16, LATENT, LATENT),
        conditioning=given,
        noise=draw(BATCH, 16, LATENT, LATENT),
        u=torch.rand(BATCH, device=device),
    )

    def velocity(x, sigma):
        return editor.velocity(x, sigma, given)

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = flow_matching_loss(velocity, batch, levels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, profile.clip)
        optimizer.step()
        optimizer.zero_grad()
        torch.cuda.synchronize()
        return float(loss)

    torch.cuda.reset_peak_memory_stats()
    loss = benchmark.pedantic(step, rounds=3, iterations=1, warmup_rounds=1)
    assert math.isfinite(loss)
    peak = torch.cuda.max_memory_allocated() / 2**30
    rate = BATCH / benchmark.stats.stats.min
    print(f"peak {peak:.1f} GiB, {rate:.2f} images per second, {torch.cuda.get_device_name()}")
