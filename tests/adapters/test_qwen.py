"""Qwen-Image-Edit behind the seam: its own pipelines, sizes, adapters, options."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit as first_release
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus
from hypothesis import given as for_all
from hypothesis import strategies as st
from PIL import Image

from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import Instruction, open_editor
from e2r_adapters.editors.backbones import read_family
from e2r_adapters.editors.klein import KLEIN
from e2r_adapters.editors.qwen import QWEN_EDIT
from e2r_adapters.lora.attach import attach, layer_scales, target_modules
from e2r_adapters.lora.files import load, save
from e2r_adapters.lora.inspection import inspect
from e2r_adapters.memory import peak_bytes
from e2r_adapters.resize import megapixel
from e2r_adapters.restorer import EditorRestorer, Settings
from e2r_adapters.sampling import noise_for, sample
from e2r_adapters.train import train
from e2r_adapters.train.step import Batch, flow_matching_loss
from e2r_baselines.method import Build, Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import PictureError, UsageError

PROMPT = "remove the noise"
TARGETS = QWEN_EDIT.lora.parts["transformer"].targets


@pytest.fixture
def qwen(make_qwen):
    return make_qwen()


@pytest.fixture
def folder(qwen, tmp_path) -> str:
    qwen.save_pretrained(tmp_path / "qwen")
    return str(tmp_path / "qwen")


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (64, 96, 3)).astype(np.uint8)


def conditioned(editor, picture, guidance, *texts):
    said = [Instruction(text, guidance, 32) for text in texts or [PROMPT]]
    return editor.together(editor.condition(Photo("a", np.float32(picture) / 255), said))


def ours(pipe, picture, guidance, steps=3):
    editor = QWEN_EDIT.open(pipe)
    given = conditioned(editor, picture, guidance)
    noise = noise_for(5, "a", given.shape, "qwen-edit")
    return editor.decode(sample(editor, given, noise, steps))[0], noise


@pytest.fixture
def theirs(monkeypatch):
    """Calls a pipeline, whose rule of one megapixel is held to the picture's own size."""

    def call(pipe, picture, guidance, noise, steps=3):
        height, width = picture.shape[:2]
        monkeypatch.setattr(plus, "VAE_IMAGE_SIZE", height * width)
        monkeypatch.setattr(
            first_release, "calculate_dimensions", lambda area, ratio: (width, height, None)
        )
        negative = " " if guidance > 1 else None
        return pipe(
            image=Image.fromarray(picture), prompt=PROMPT, negative_prompt=negative,
            true_cfg_scale=guidance, height=height, width=width, num_inference_steps=steps,
            latents=QWEN_EDIT.open(pipe).pack(noise), output_type="np",
        ).images[0]  # fmt: skip

    return call


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize(
    "kind", [{}, {"zero_cond_t": True}, {"first": True}], ids=["2509", "2511", "first"]
)
def test_it_gives_the_picture_of_the_pipeline_bitwise(make_qwen, picture, theirs, guidance, kind):
    pipe = make_qwen(**kind)
    mine, noise = ours(pipe, picture, guidance)
    assert np.array_equal(mine, theirs(pipe, picture, guidance, noise))
    assert mine.std() > 0.01


def test_the_picture_steers_by_its_latents_and_by_the_text(qwen, picture):
    editor = QWEN_EDIT.open(qwen)
    one, other = (conditioned(editor, p, 1.0) for p in (picture, 255 - picture))
    assert not torch.equal(one.states, other.states)
    mixed = dataclasses.replace(one, states=other.states)
    swapped = dataclasses.replace(one, tokens=other.tokens)
    noise = noise_for(1, "a", one.shape, "qwen-edit")
    made = [editor.decode(sample(editor, given, noise, 2))[0] for given in (one, mixed, swapped)]
    assert all(np.abs(made[0] - changed).max() > 1e-6 for changed in made[1:])


def test_a_guided_token_is_as_long_as_it_was(qwen, picture):
    editor = QWEN_EDIT.open(qwen)
    x, sigma = noise_for(1, "a", (4, 32, 48), "t"), torch.tensor([0.7])
    plain, guided = (
        editor.pack(editor.velocity(x, sigma, conditioned(editor, picture, g))) for g in (1.0, 4.0)
    )
    assert torch.allclose(plain.norm(dim=-1), guided.norm(dim=-1), rtol=1e-5)
    assert (plain - guided).abs().max() > 1e-4


def test_texts_of_unequal_lengths_go_together_up_to_rounding(qwen, picture):
    editor = QWEN_EDIT.open(qwen)
    texts = ["remove the rain and the haze", "denoise"]
    x = noise_for(1, "a", (4, 32, 48), "t")
    both = conditioned(editor, picture, 4.0, *texts)
    assert both.mask.sum(1).tolist() == [both.mask.shape[1], both.mask.shape[1] - 21]
    assert both.negative_mask is None
    found = editor.velocity(torch.cat([x, x]), torch.tensor([0.5, 0.5]), both)
    for one, text in zip(found, texts, strict=True):
        alone = editor.velocity(x, torch.tensor([0.5]), conditioned(editor, picture, 4.0, text))[0]
        assert torch.allclose(one, alone, atol=1e-5)


def restored(pipe, photo, steps=2, guidance=1.0):
    restorer = EditorRestorer(QWEN_EDIT.open(pipe), Settings(guidance, 32, "native", 1))
    return next(iter(restorer.restore([photo], TASKS["denoise25"], [Draw(0, steps)]))).pixels


def test_noise_depends_on_seed_and_picture_id_alone(qwen):
    """Order, and what else is in a run, have no part in it."""
    pixels = np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)
    restorer = EditorRestorer(QWEN_EDIT.open(qwen), Settings(1.0, 32, "native", 1))

    def made(names, seeds):
        photos = [Photo(name, pixels) for name in names]
        draws = [Draw(seed, 2) for seed in seeds]
        rows = restorer.restore(photos, TASKS["denoise25"], draws)
        return {(row.photo_id, row.draw.seed): row.pixels for row in rows}

    one, other = made("a", [0, 1]), made("ba", [1, 0])
    assert all(np.array_equal(one[cell], other[cell]) for cell in one)
    assert not np.array_equal(other["a", 0], other["a", 1])
    assert not np.array_equal(other["a", 0], other["b", 0])


@pytest.mark.parametrize("size", [(33, 47), (64, 41)])
def test_odd_sizes_come_back_with_what_stands_at_their_edges(qwen, size):
    edited = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    one = restored(qwen, Photo("a", edited))
    assert one.shape == edited.shape
    tail = edited.copy()
    tail[-1], tail[:, -1] = 1 - tail[-1], 1 - tail[:, -1]
    assert np.abs(restored(qwen, Photo("a", tail)) - one).max() > 0


def test_a_picture_under_the_least_side_is_named(qwen):
    with pytest.raises(PictureError, match="at least 8x8 pixels, found 20x7"):
        restored(qwen, Photo("a", np.zeros((7, 20, 3), np.float32)))


@for_all(st.integers(32, 5000), st.integers(32, 5000))
def test_megapixel_is_the_pipelines_rule(width, height):
    wanted = plus.calculate_dimensions(1024 * 1024, width / height)
    assert megapixel(width, height) == wanted
    assert first_release.calculate_dimensions(1024 * 1024, width / height)[:2] == wanted


def test_the_preferred_sizes_are_that_rules():
    for width, height in QWEN_EDIT.preferred:
        assert megapixel(width, height) == (width, height)


def test_the_shift_depends_on_tokens_alone_and_ends_at_the_terminal(qwen):
    editor = QWEN_EDIT.open(qwen)
    levels = editor.schedule(10, (16, 128, 128))
    # 4096 tokens: 0.5 + 0.4 x 3840 / 7936; then stretched so that the last level is 0.02.
    mu, t = 0.5 + 0.4 * 3840 / 7936, np.linspace(1, 0.1, 10)
    wanted = np.exp(mu) / (np.exp(mu) + 1 / t - 1)
    wanted = 1 - (1 - wanted) * (1 - 0.02) / (1 - wanted[-1])
    assert levels.tolist() == pytest.approx([*wanted, 0], abs=1e-6)
    assert torch.equal(editor.schedule(10, (16, 128, 128), "fixed"), levels)


@pytest.mark.slow
def test_parameter_counts_of_the_release_and_of_its_target_lists():
    from diffusers import QwenImageTransformer2DModel

    with torch.device("meta"):
        network = QwenImageTransformer2DModel()
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(20.43e9, abs=5e6)
    counts = {}
    for name, targets in TARGETS.items():
        endings = tuple(f".{target}" for target in target_modules(network, targets))
        linears = [m for where, m in network.named_modules() if f".{where}".endswith(endings)]
        sizes = sum(one.in_features + one.out_features for one in linears)
        counts[name] = (len(linears), round(64 * sizes / 1e6, 1))
    assert counts == {"full": (720, 424.7), "attention": (240, 94.4)}


@pytest.mark.parametrize("kind", [{}, {"zero_cond_t": True}], ids=["2509", "2511"])
def test_one_step_is_an_independent_restatement(make_qwen, picture, kind):
    """Loss and gradients from the parts called by hand, tokens and normalisation by loops."""
    pipe = make_qwen(**kind)
    editor = QWEN_EDIT.open(pipe)
    trained = attach(pipe.transformer, TARGETS["full"], 4, 4, seed=0)
    for parameter in trained:  # B starts at zero, which would hide the gradient of A
        parameter.data = parameter.data + 0.05
    clean, degraded = np.float32(picture) / 255, np.float32(255 - picture) / 255
    given = conditioned(editor, 255 - picture, 1.0)
    batch = Batch(
        editor.encode([clean], [degraded]), given, noise_for(1, "a", given.shape, "t"),
        torch.tensor([0.4]),
    )  # fmt: skip

    def velocity(x, sigma):
        return editor.velocity(x, sigma, given)

    loss = flow_matching_loss(velocity, batch, editor.training_levels())
    # What the last block makes of the text goes nowhere, so that some of its LoRA is never used.
    gradients = torch.autograd.grad(loss, trained, allow_unused=True)
    expected = restated(pipe, clean, degraded, batch.noise, 600 / 1000)
    wanted = torch.autograd.grad(expected, trained, allow_unused=True)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    used = [i for i, gradient in enumerate(wanted) if gradient is not None]
    assert used == [i for i, gradient in enumerate(gradients) if gradient is not None]
    for i in used:
        torch.testing.assert_close(gradients[i], wanted[i], rtol=1e-5, atol=1e-5)
    assert len(trained) - len(used) == 6
    assert max(float(gradients[i].abs().max()) for i in used) > 1e-3


def restated(pipe, clean, degraded, noise, s):
    """The loss at noise level s; shares no code with the editor."""

    def latents(pixels):
        frames = torch.from_numpy(2 * pixels - 1).permute(2, 0, 1)[None, :, None]
        with torch.no_grad():
            mean = pipe.vae.encode(frames).latent_dist.mean[0, :, 0]
        told = pipe.vae.config
        each = zip(mean, told.latents_mean, told.latents_std, strict=True)
        return torch.stack([(channel - m) / d for channel, m, d in each])

    def tokens(z):
        corners = [(y, x) for y in range(0, z.shape[1], 2) for x in range(0, z.shape[2], 2)]
        return torch.stack([z[:, y : y + 2, x : x + 2].reshape(-1) for y, x in corners])

    z, eps = latents(clean), noise[0]
    seen = Image.fromarray(np.rint(degraded * 255).astype(np.uint8)).resize(
        (480, 320), Image.Resampling.LANCZOS
    )
    with torch.no_grad():
        states, _ = pipe.encode_prompt(PROMPT, [seen])
    whole = torch.cat([tokens((1 - s) * z + s * eps), tokens(latents(degraded))])
    out = pipe.transformer(
        hidden_states=whole[None], timestep=torch.tensor([s]), encoder_hidden_states=states,
        img_shapes=[[(1, 16, 24), (1, 16, 24)]], return_dict=False,
    )[0][0, : 16 * 24]  # fmt: skip
    return (out - tokens(eps - z)).square().mean()


@pytest.mark.parametrize("targets", ["full", "attention"])
def test_training_changes_it_and_bare_diffusers_reads_the_adapter(
    folder, config, picture, theirs, targets
):
    made = train(dataclasses.replace(config, backbone=folder, targets=targets))
    editor = open_editor(folder, torch.float32, "cpu")
    assert load(editor, made.adapter, "mine") == 1.0
    mine, noise = ours(editor.pipe, picture, 4.0)
    fresh = open_editor(folder, torch.float32, "cpu").pipe
    before = theirs(fresh, picture, 4.0, noise)
    fresh.load_lora_weights(str(made.adapter))
    assert np.array_equal(mine, theirs(fresh, picture, 4.0, noise))
    assert np.abs(mine - before).max() > 0
    report = inspect(made.adapter)
    # The four Linears of attention are called the same in every family.
    assert QWEN_EDIT.name in report.family.split(" or ")
    assert (targets == "attention") == (" or " in report.family)
    assert report.problems == ()
    assert report.record["profile"]["guidance"] == 1.0


def test_alpha_is_kept(make_qwen, qwen, tmp_path):
    attach(qwen.transformer, TARGETS["full"], 4, 2, seed=0)
    path = save(QWEN_EDIT.open(qwen), tmp_path, {"base": "tiny"})
    editor = QWEN_EDIT.open(make_qwen())
    assert load(editor, path, "mine") == 0.5
    assert set(layer_scales(editor.networks["transformer"], "mine").values()) == {0.5}


def test_adapters_of_the_other_family_are_refused_in_a_line(qwen, make_klein, tmp_path):
    pairs = [(QWEN_EDIT, qwen), (KLEIN, make_klein())]
    for family, pipe in pairs:
        targets = family.lora.parts["transformer"].targets["full"]
        attach(pipe.transformer, targets, 4, 4, seed=0)
        save(family.open(pipe), tmp_path / family.name, {"base": "tiny"})
    for (family, pipe), (other, _) in zip(pairs, pairs[::-1], strict=True):
        with pytest.raises(UsageError, match=f"unknown keys for {family.name}") as caught:
            load(family.open(pipe), tmp_path / other.name, "x")
        assert "\n" not in str(caught.value)


def test_targets_of_the_other_family_are_refused(qwen):
    with pytest.raises(UsageError, match="img_mlp") as caught:
        attach(qwen.transformer, KLEIN.lora.parts["transformer"].targets["full"], 4, 4, seed=0)
    assert "another family's" in str(caught.value)


def test_no_text_encoder_is_trained(folder, config):
    with pytest.raises(UsageError, match="expected a text_encoder to train, found none"):
        train(dataclasses.replace(config, backbone=folder, text_encoder=True))


@pytest.mark.parametrize(
    ("name", "backbone", "said"),
    [
        ("qwen_edit", "kontext-nano", "found kontext-nano of kontext; run kontext with it"),
        ("klein", "{folder}", "of the family klein, .* of qwen-edit; run qwen_edit with it"),
        ("qwen_edit", "/nowhere", "found no such folder or cached id"),
    ],
)
def test_a_wrong_backbone_is_one_line(folder, name, backbone, said):
    with pytest.raises(UsageError, match=said) as caught:
        spec_of(METHODS[name], {"backbone": backbone.format(folder=folder)})
    assert "\n" not in str(caught.value)


def test_a_length_of_texts_is_refused():
    with pytest.raises(UsageError, match="cut texts to no length"):
        spec_of(METHODS["qwen_edit_lora"], {"max_sequence_length": 64})


def test_embedded_guidance_is_refused(qwen):
    qwen.transformer.register_to_config(guidance_embeds=True)
    with pytest.raises(UsageError, match="without embedded guidance"):
        QWEN_EDIT.open(qwen)


def test_a_folder_is_picked_by_what_it_says_it_is(make_qwen, folder, tmp_path):
    make_qwen(first=True).save_pretrained(tmp_path / "first")
    assert read_family(folder) is read_family(str(tmp_path / "first")) is QWEN_EDIT
    spec = spec_of(METHODS["qwen_edit"], {"backbone": folder})
    assert spec.builds[0].miniature
    assert "resize=megapixel" in spec.note
    squashed = {"backbone": folder, "resize": "megapixel"}
    assert not spec_of(METHODS["qwen_edit"], squashed).note


def test_the_release_is_named_where_it_is_not_here(folder):
    for name in ("qwen_edit", "qwen_edit_lora"):
        spec = spec_of(METHODS[name])
        assert [build.name for build in spec.builds] == ["Qwen-Image-Edit-2511"]
        assert spec.licence == "Apache-2.0"
    # A copy in a folder takes what the release takes, not what Kontext does.
    assert peak_bytes(folder, "paper", "none", Build("copy"), 64, 64) == 62 * 10**9
