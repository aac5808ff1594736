"""ICEdit's diptych behind the seam: the pipeline's picture, the halves, its adapters."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image

from e2r_adapters.editors import Instruction, open_editor
from e2r_adapters.editors.fill import FILL, PROMPT
from e2r_adapters.lora.attach import attach, target_modules
from e2r_adapters.lora.files import load
from e2r_adapters.lora.inspection import inspect
from e2r_adapters.restorer import EditorRestorer, Settings
from e2r_adapters.sampling import noise_for, sample
from e2r_adapters.train import train
from e2r_adapters.train.step import Batch, flow_matching_loss
from e2r_baselines.method import Draw, Photo
from e2r_baselines.tasks import TASKS

TASK = "remove the noise from the image"


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (32, 48, 3)).astype(np.uint8)


def float_of(picture) -> np.ndarray:
    return np.float32(picture) / 255


def conditioned(editor, picture, length=64):
    said = Instruction(TASK, 50.0, length)
    return editor.together(editor.condition(Photo("a", float_of(picture)), [said]))


def theirs(pipe, left, right, length=64, steps=3, **draws):
    """The release's call: both halves, a mask that is white on the right, half of the result."""
    height, width = left.shape[:2]
    both = np.concatenate([left, right], axis=1)
    mask = np.zeros(both.shape[:2], np.uint8)
    mask[:, width:] = 255
    return pipe(
        image=Image.fromarray(both), mask_image=Image.fromarray(mask), height=height,
        width=2 * width, prompt=PROMPT.format(instruction=TASK), guidance_scale=50,
        num_inference_steps=steps, max_sequence_length=length, output_type="np", **draws,
    ).images[0][:, width:]  # fmt: skip


def test_it_gives_the_pipelines_right_half_for_the_same_latents(make_fill, picture, monkeypatch):
    """The pipeline samples the condition from the posterior: here it is made to take the mode."""
    pipe = make_fill()
    editor = FILL.open(pipe)
    given = conditioned(editor, picture)
    noise = noise_for(5, "a", given.shape, "fill")
    mine = editor.decode(sample(editor, given, noise, 3))[0]
    monkeypatch.setattr(
        DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode()
    )
    other = theirs(pipe, picture, picture, latents=editor.pack(noise))
    assert np.abs(mine - other).max() < 1e-6


def test_it_gives_the_pipelines_picture_for_draws_in_the_pipelines_order(make_fill, picture):
    """Order of the release's draws: initial encoding, noise, encoding of the condition."""
    pipe = make_fill()
    editor, generator = FILL.open(pipe), torch.Generator().manual_seed(42)
    given = conditioned(editor, picture)
    vae, both = pipe.vae, float_of(np.concatenate([picture, picture], axis=1))
    left = both.copy()
    left[:, picture.shape[1] :] = 0.5

    def drawn(pixels):
        tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None] * 2 - 1
        latents = vae.encode(tensor).latent_dist.sample(generator)
        return (latents - vae.config.shift_factor) * vae.config.scaling_factor

    with torch.no_grad():
        drawn(both)
        noise = torch.randn((1, *given.shape), generator=generator)
        tokens = torch.cat([editor.pack(drawn(left)), given.tokens[..., 16:]], dim=2)
    mine = editor.decode(sample(editor, dataclasses.replace(given, tokens=tokens), noise, 3))[0]
    other = theirs(pipe, picture, picture, generator=torch.Generator().manual_seed(42))
    assert np.abs(mine - other).max() < 1e-6


def test_the_pipelines_right_half_never_matters(make_fill, picture):
    pipe = make_fill()
    one, other = (
        theirs(pipe, picture, right, generator=torch.Generator().manual_seed(1))
        for right in (picture, 255 - picture)
    )
    assert np.array_equal(one, other)


def test_what_stands_on_the_left_does(make_fill, picture):
    editor = FILL.open(make_fill())
    noise = noise_for(5, "a", conditioned(editor, picture).shape, "fill")
    one, other = (
        editor.decode(sample(editor, conditioned(editor, p), noise, 2))[0]
        for p in (picture, 255 - picture)
    )
    assert np.abs(one - other).max() > 0


def test_the_mask_is_the_right_half_of_every_token(make_fill, picture):
    editor = FILL.open(make_fill())
    mask = conditioned(editor, picture).tokens[0, :, 16:].reshape(8, 24, 16)
    assert (mask[:, :12] == 0).all()
    assert (mask[:, 12:] == 1).all()


def test_positions_and_shift_are_those_of_the_whole_diptych(make_fill, picture):
    editor = FILL.open(make_fill())
    shape = conditioned(editor, picture).shape
    assert shape == (4, 16, 48)
    assert editor.grid(torch.zeros(1, *shape))[-1].tolist() == [0, 7, 23]
    # The spec's case: 512x1024 pixels of 16 are 2048 tokens, whose mu is .80333.
    levels = editor.schedule(2, (4, 64, 128))
    mu = np.log(float(levels[1] / (1 - levels[1])) * (1 / 0.5 - 1))
    assert mu == pytest.approx(0.80333, abs=1e-4)


@pytest.mark.parametrize("size", [(33, 47), (72, 40)])
def test_any_size_comes_back_without_constant_rows(make_fill, size):
    """72 rows are where the release, with its multiple of 8, leaves the last ones black."""
    photo = Photo("a", np.random.default_rng(0).random((*size, 3), dtype=np.float32))
    restorer = EditorRestorer(FILL.open(make_fill()), Settings(50.0, 64, "native", 1))
    (restored,) = restorer.restore([photo], TASKS["denoise25"], [Draw(0, 2)])
    assert restored.pixels.shape == (*size, 3)
    assert restored.pixels[-1].std() > 0


@pytest.mark.slow
def test_parameter_counts_of_icedits_adapter():
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        network = FluxTransformer2DModel(in_channels=384, out_channels=64, guidance_embeds=True)
    names = target_modules(network, FILL.lora.parts["transformer"].targets["full"])
    linears = [network.get_submodule(name) for name in names]
    assert len(linears) == 343
    sizes = sum(one.in_features + one.out_features for one in linears)
    assert (32 * sizes, 64 * sizes) == (115_912_704, 231_825_408)


def test_one_step_is_an_independent_restatement(make_fill, picture):
    pipe = make_fill()
    editor = FILL.open(pipe)
    trained = attach(pipe.transformer, FILL.lora.parts["transformer"].targets["full"], 4, 4, seed=0)
    degraded, clean = float_of(255 - picture), float_of(picture)
    given = editor.together(editor.condition(Photo("a", degraded), [Instruction(TASK, 1.0, 64)]))
    latents = editor.encode([clean], [degraded])
    batch = Batch(latents, given, noise_for(1, "a", given.shape, "t"), torch.tensor([0.4]))

    def velocity(x, sigma):
        return editor.velocity(x, sigma, given)

    flow_matching_loss(velocity, batch, editor.training_levels()).backward()
    mine = [p.grad.clone() for p in trained]
    for p in trained:
        p.grad = None
    s = editor.training_levels()[400]
    noisy = (1 - s) * latents + s * batch.noise

    def tokens_of(x):
        return torch.stack(
            [
                x[0, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(-1)
                for row in range(x.shape[2] // 2)
                for column in range(x.shape[3] // 2)
            ]
        )[None]

    columns = latents.shape[3] // 2
    places = [(0, row, column) for row in range(latents.shape[2] // 2) for column in range(columns)]
    out = pipe.transformer(
        hidden_states=torch.cat([tokens_of(noisy), given.tokens], dim=2), timestep=s[None],
        guidance=torch.ones(1), pooled_projections=given.pooled,
        encoder_hidden_states=given.states, txt_ids=torch.zeros(given.states.shape[1], 3),
        img_ids=torch.tensor(places, dtype=torch.float32), return_dict=False,
    )[0]  # fmt: skip
    (out - tokens_of(batch.noise - latents)).square().mean().backward()
    for one, p in zip(mine, trained, strict=True):
        assert torch.allclose(one, p.grad, rtol=1e-4, atol=1e-6)


def test_training_changes_it_and_bare_diffusers_reads_the_adapter(
    make_fill, tmp_path, config, picture
):
    pipe = make_fill()
    pipe.save_pretrained(tmp_path / "fill")
    folder = str(tmp_path / "fill")
    profile = dataclasses.replace(config.profile, sequence=256)
    made = train(dataclasses.replace(config, backbone=folder, profile=profile))
    editor = open_editor(folder, torch.float32, "cpu")
    assert load(editor, made.adapter, "mine") == 1.0
    given = conditioned(editor, picture)
    noise = noise_for(5, "a", given.shape, "fill")
    mine = editor.decode(sample(editor, given, noise, 3))[0]
    fresh = open_editor(folder, torch.float32, "cpu")
    bare = fresh.decode(sample(fresh, given, noise, 3))[0]
    fresh.pipe.load_lora_weights(str(made.adapter))
    assert np.array_equal(mine, fresh.decode(sample(fresh, given, noise, 3))[0])
    assert np.abs(mine - bare).max() > 0
    report = inspect(made.adapter)
    # Kontext and Fill have one transformer; the shapes of x_embedder are looked at by the run.
    assert (report.family, report.problems) == ("kontext or fill", ())
    assert report.record["profile"]["guidance"] == 1.0
