"""The sampler against diffusers' own pipeline, for the same noise and explicit settings."""

import functools

import numpy as np
import pytest
import torch

from e2r_adapters.editors import Instruction, open_editor
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.sampling import euler, noise_for, sample
from e2r_baselines.method import Photo
from e2r_metrics.base.draws import seed_for
from e2r_metrics.base.errors import UsageError

PROMPT = "remove the noise from the image"


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(3).random((32, 48, 3), dtype=np.float32)


def ours(pipe, picture, steps, guidance=2.5):
    editor = KONTEXT.open(pipe)
    said = Instruction(PROMPT, guidance, 32)
    given = editor.together(editor.condition(Photo("a", picture), [said]))
    noise = noise_for(5, "a", given.shape, "kontext")
    return editor.decode(sample(editor, given, noise, steps))[0], noise


def theirs(pipe, picture, steps, guidance, noise):
    return pipe(
        image=torch.from_numpy(picture).permute(2, 0, 1)[None], prompt=PROMPT, height=32, width=48,
        max_area=32 * 48, _auto_resize=False, num_inference_steps=steps, guidance_scale=guidance,
        latents=KONTEXT.open(pipe).pack(noise), max_sequence_length=32, output_type="np",
    ).images[0]  # fmt: skip


@pytest.mark.parametrize("steps", [1, 5])
def test_it_gives_the_picture_of_the_pipeline(tiny_pipe, picture, steps):
    mine, noise = ours(tiny_pipe, picture, steps)
    assert np.abs(mine - theirs(tiny_pipe, picture, steps, 2.5, noise)).max() < 1e-5


def test_it_asks_the_transformer_what_the_pipeline_asks(tiny_pipe, picture):
    """A random transformer hardly heeds positions and guidance: compare what it is handed."""
    asked = []

    def note(module, args, kwargs):
        asked.append({k: v.clone() for k, v in kwargs.items() if isinstance(v, torch.Tensor)})

    tiny_pipe.transformer.register_forward_pre_hook(note, with_kwargs=True)
    _, noise = ours(tiny_pipe, picture, 2, guidance=3.5)
    theirs(tiny_pipe, picture, 2, 3.5, noise)
    assert asked[0]["guidance"].tolist() == [3.5]
    for mine, other in zip(asked[:2], asked[2:], strict=True):
        assert mine.keys() == other.keys()
        for name, value in mine.items():
            assert torch.allclose(value, other[name], rtol=0, atol=1e-4), name


def test_positions_are_picture_row_and_column(tiny_pipe):
    target = torch.zeros(2, 4, 8, 12)
    ids = KONTEXT.open(tiny_pipe).positions(target)
    grid = [[which, row, column] for which in (0, 1) for row in range(4) for column in range(6)]
    assert ids.tolist() == grid


def test_mu_comes_from_target_tokens_as_in_the_pipeline(tiny_pipe, picture, monkeypatch):
    seen = {}
    kind = type(tiny_pipe.scheduler)
    original = kind.set_timesteps

    @functools.wraps(original)
    def spy(self, *args, **kwargs):
        seen.setdefault("mu", []).append(kwargs["mu"])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(kind, "set_timesteps", spy)
    ours(tiny_pipe, picture, 3)
    tiny_pipe(
        image=torch.from_numpy(picture).permute(2, 0, 1)[None], prompt=PROMPT, height=32, width=48,
        max_area=32 * 48, _auto_resize=False, num_inference_steps=3, max_sequence_length=32,
    )  # fmt: skip
    assert seen["mu"][0] == seen["mu"][1]
    # 32x48 pictures have 8x12 tokens of 4x4 pixels; diffusers' line through (256, .5), (4096, 1.15)
    assert seen["mu"][0] == pytest.approx(0.5 + (96 - 256) * 0.65 / 3840)


def test_the_scheduler_of_the_pipeline_is_never_touched(tiny_pipe, picture):
    before = tiny_pipe.scheduler.sigmas.clone()
    ours(tiny_pipe, picture, 4)
    assert torch.equal(tiny_pipe.scheduler.sigmas, before)
    assert tiny_pipe.scheduler.begin_index is None


def test_noise_depends_on_seed_and_image_alone():
    def drawn(seed, image):
        return noise_for(seed, image, (4, 4, 4), "kontext")

    assert torch.equal(drawn(1, "a"), drawn(1, "a"))
    assert not torch.equal(drawn(1, "a"), drawn(2, "a"))
    assert not torch.equal(drawn(1, "a"), drawn(1, "b"))
    state = torch.random.get_rng_state()
    generator = torch.Generator("cpu").manual_seed(seed_for(3, "a", "kontext"))
    assert torch.equal(drawn(3, "a"), torch.randn(1, 4, 4, 4, generator=generator))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("steps", [1, 7])
def test_euler_follows_a_straight_path_exactly(steps):
    """The velocity eps - z of the straight path is constant, so every step count ends at z."""
    z, eps = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    levels, asked = torch.linspace(1, 0, steps + 1), []

    def velocity(x, sigma):
        asked.append(sigma.tolist())
        return eps - z

    torch.testing.assert_close(euler(velocity, eps, levels), z, rtol=1e-5, atol=1e-5)
    assert asked == [[level, level] for level in levels[:-1].tolist()]


def test_guidance_and_prompt_reach_the_transformer(tiny_pipe, picture):
    low, _ = ours(tiny_pipe, picture, 2, guidance=1.0)
    high, _ = ours(tiny_pipe, picture, 2, guidance=4.0)
    assert np.abs(low - high).max() > 0


def test_a_folder_that_is_no_pipeline_is_one_line(tmp_path):
    for where in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UsageError, match="-nano, a pipeline folder") as caught:
            open_editor(str(where), torch.float32, "cpu")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ('{"_class_name": "StableDiffusionPipeline"}', "known family.*found StableDiffusion"),
        ("{}", "known family.*found None"),
        ('{"_class_na', "expected a JSON file model_index.json"),
        ("[]", "expected a JSON object in model_index.json"),
    ],
)
def test_a_family_that_is_not_known_is_one_line(tmp_path, index, said):
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(UsageError, match=said) as caught:
        open_editor(str(tmp_path), torch.float32, "cpu")
    assert "\n" not in str(caught.value)


def test_quantization_needs_a_cuda_device(tmp_path):
    with pytest.raises(UsageError, match="expected a CUDA device, found cpu"):
        open_editor(str(tmp_path), torch.float32, "cpu", "none", "nf4")
