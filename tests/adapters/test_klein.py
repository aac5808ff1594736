"""FLUX.2 klein behind the seam: its own pipeline, its sizes, its adapters, its options."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import Instruction, open_editor
from e2r_adapters.editors.klein import KLEIN, KleinEditor
from e2r_adapters.editors.klein_inputs import read_states, text_layers
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.editors.kontext_facts import LORA as KONTEXT_LORA
from e2r_adapters.lora.attach import attach, layer_scales
from e2r_adapters.lora.files import load, save
from e2r_adapters.lora.inspection import inspect
from e2r_adapters.restorer import EditorRestorer, Settings
from e2r_adapters.sampling import noise_for, sample
from e2r_adapters.train import train
from e2r_adapters.train.step import Batch, flow_matching_loss
from e2r_baselines.method import Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

PROMPT = "remove the noise"


@pytest.fixture
def klein(make_klein):
    return make_klein()


@pytest.fixture
def klein_folder(klein, tmp_path: Path) -> str:
    klein.save_pretrained(tmp_path / "klein")
    return str(tmp_path / "klein")


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (64, 72, 3)).astype(np.uint8)


def ours(pipe, picture, guidance, steps=4, shift="own"):
    editor = KLEIN.open(pipe)
    said = Instruction(PROMPT, guidance, 32)
    given = editor.together(editor.condition(Photo("a", np.float32(picture) / 255), [said]))
    noise = noise_for(5, "a", given.shape, "klein")
    return editor.decode(sample(editor, given, noise, steps, shift))[0], noise


def theirs(pipe, picture, guidance, noise, steps=4):
    height, width = picture.shape[:2]
    return pipe(
        image=Image.fromarray(picture), prompt=PROMPT, height=height, width=width, latents=noise,
        num_inference_steps=steps, guidance_scale=guidance, max_sequence_length=32,
        text_encoder_out_layers=(1, 2, 3), output_type="np",
    ).images[0]  # fmt: skip


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("distilled", [False, True])
def test_it_gives_the_picture_of_the_pipeline_bitwise(make_klein, picture, guidance, distilled):
    pipe = make_klein(distilled=distilled)
    mine, noise = ours(pipe, picture, guidance)
    assert np.array_equal(mine, theirs(pipe, picture, guidance, noise))


def test_guidance_acts_on_the_base_and_not_on_the_distilled_one(make_klein, picture):
    for distilled in (False, True):
        one, four = (ours(make_klein(distilled=distilled), picture, g)[0] for g in (1.0, 4.0))
        assert np.array_equal(one, four) == distilled


def test_text_condition_and_noise_each_matter(klein, picture):
    mine, _ = ours(klein, picture, 1.0)
    other, _ = ours(klein, 255 - picture, 1.0)
    assert np.abs(mine - other).max() > 0
    editor = KLEIN.open(klein)
    assert not torch.equal(read_states(klein, "a", 16), read_states(klein, "b", 16))
    shape = editor.encode([np.float32(picture) / 255] * 2, [])[0].shape
    assert not torch.equal(noise_for(1, "a", shape, "klein"), noise_for(2, "a", shape, "klein"))


def test_states_are_a_quarter_half_and_three_quarters_deep():
    assert text_layers(36) == (9, 18, 27)
    assert text_layers(4) == (1, 2, 3)


def test_edges_that_the_pipeline_would_crop_away_come_back(klein):
    """70x85 is no multiple of 4: the pipeline drops its last rows, ours pads and cuts back."""
    edited = np.random.default_rng(0).random((70, 85, 3), dtype=np.float32)
    settings = Settings(1.0, 16, "native", 1)
    (restored,) = EditorRestorer(KLEIN.open(klein), settings).restore(
        [Photo("a", edited)], TASKS["denoise25"], [Draw(0, 2)]
    )
    assert restored.pixels.shape == edited.shape
    tail = edited.copy()
    tail[68:] = 1 - tail[68:]
    (other,) = EditorRestorer(KLEIN.open(klein), settings).restore(
        [Photo("a", tail)], TASKS["denoise25"], [Draw(0, 2)]
    )
    assert np.abs(other.pixels - restored.pixels).max() > 0


def test_batches_of_pictures_change_no_more_than_rounding(klein):
    rng = np.random.default_rng(1)
    photos = [Photo(name, rng.random((32, 32, 3), dtype=np.float32)) for name in "abc"]
    draws = [Draw(0, 2), Draw(1, 2)]
    one, many = (
        {
            (r.photo_id, r.draw): r.pixels
            for r in EditorRestorer(KLEIN.open(klein), Settings(4.0, 16, "native", b)).restore(
                photos, TASKS["denoise25"], draws
            )
        }
        for b in (1, 4)
    )
    assert one.keys() == many.keys()
    assert max(np.abs(one[key] - many[key]).max() for key in one) < 1e-5


def mu_of(levels) -> float:
    """Return the shift by which linspace(1, 1/n, n) became these levels, from the second one."""
    t, shifted = 1 - (1 - 1 / 4) / 3, float(levels[1])
    return float(np.log(shifted / (1 - shifted) * (1 / t - 1)))


def test_the_shift_depends_on_steps_unless_it_is_fixed(klein, monkeypatch):
    seen = []
    kind = type(klein.scheduler)
    original = kind.set_timesteps

    @functools.wraps(original)
    def spy(self, *args, **kwargs):
        seen.append(kwargs["mu"])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(kind, "set_timesteps", spy)
    editor, shape = KLEIN.open(klein), (128, 64, 64)
    for steps, shift in ((4, "own"), (28, "own"), (50, "own"), (4, "fixed"), (28, "fixed")):
        editor.schedule(steps, shape, shift)
    # 4096 tokens; the first three as the release's rule has them.
    assert seen == pytest.approx([2.2912, 2.1514, 2.0234, 2.0234, 2.0234], abs=1e-4)
    assert mu_of(editor.schedule(4, shape, "fixed")) == pytest.approx(2.0234, abs=1e-4)


@pytest.mark.slow
def test_parameter_counts_of_the_release_and_of_its_target_lists():
    from diffusers import Flux2Transformer2DModel

    with torch.device("meta"):
        network = Flux2Transformer2DModel(
            in_channels=128, num_layers=5, num_single_layers=20, attention_head_dim=128,
            num_attention_heads=24, joint_attention_dim=7680, axes_dims_rope=(32, 32, 32, 32),
            rope_theta=2000, guidance_embeds=False,
        )  # fmt: skip
    assert sum(p.numel() for p in network.parameters()) == 3_875_544_576
    counts = {}
    for name, targets in KLEIN.lora.parts["transformer"].targets.items():
        shapes = [
            (module.in_features, module.out_features)
            for where, module in network.named_modules()
            if isinstance(module, torch.nn.Linear)
            and f".{where}".endswith(tuple("." + t for t in targets))
        ]
        counts[name] = (len(shapes), round(64 * sum(a + b for a, b in shapes) / 1e6, 1))
    assert counts == {"attention": (40, 47.2), "common": (80, 76.7), "full": (100, 96.3)}


@pytest.mark.parametrize("targets", ["full", "common", "attention"])
def test_training_changes_it_and_bare_diffusers_reads_the_adapter(
    klein_folder, config, picture, targets
):
    asked = dataclasses.replace(config, backbone=klein_folder, targets=targets)
    made = train(asked)
    editor = open_editor(klein_folder, torch.float32, "cpu")
    assert load(editor, made.adapter, "mine") == 1.0
    mine, noise = ours(editor.pipe, picture, 4.0)
    fresh = open_editor(klein_folder, torch.float32, "cpu").pipe
    before = theirs(fresh, picture, 4.0, noise)
    fresh.load_lora_weights(str(made.adapter))
    assert np.array_equal(mine, theirs(fresh, picture, 4.0, noise))
    assert np.abs(mine - before).max() > 0
    report = inspect(made.adapter)
    assert (report.family, report.problems) == ("klein", ())
    assert report.record["profile"]["guidance"] == 1.0


def test_alpha_is_kept(make_klein, klein, tmp_path):
    attach(klein.transformer, KLEIN.lora.parts["transformer"].targets["full"], 4, 2, seed=0)
    path = save(KLEIN.open(klein), tmp_path, {"base": "tiny"})
    editor = KLEIN.open(make_klein())
    assert load(editor, path, "mine") == 0.5
    assert set(layer_scales(editor.networks["transformer"], "mine").values()) == {0.5}


def test_one_step_is_an_independent_restatement(klein, picture):
    """Loss and gradients from the transformer called by hand, tokens and positions by loops."""
    editor = KLEIN.open(klein)
    targets = KLEIN.lora.parts["transformer"].targets["full"]
    trained = attach(klein.transformer, targets, 4, 4, seed=0)
    clean = editor.encode([np.float32(picture) / 255], [])
    given = editor.together(
        editor.condition(Photo("a", 1 - np.float32(picture) / 255), [Instruction(PROMPT, 1.0, 16)])
    )
    batch = Batch(clean, given, noise_for(1, "a", given.shape, "t"), torch.tensor([0.4]))
    levels = editor.training_levels()

    def velocity(x, sigma):
        return editor.velocity(x, sigma, given)

    loss = flow_matching_loss(velocity, batch, levels)
    loss.backward()
    mine = [p.grad.clone() for p in trained]
    for p in trained:
        p.grad = None
    s = levels[int(0.4 * len(levels))]
    noisy = (1 - s) * clean + s * batch.noise
    _, c, h, w = clean.shape
    tokens = [noisy[0, :, y, x] for y in range(h) for x in range(w)]
    places = [(0, y, x, 0) for y in range(h) for x in range(w)]
    tokens += [given.tokens[0, i] for i in range(h * w)]
    places += [(10, y, x, 0) for _, y, x, _ in places]
    out = klein.transformer(
        hidden_states=torch.stack(tokens)[None], timestep=s[None],
        encoder_hidden_states=given.states, return_dict=False, guidance=None,
        txt_ids=torch.tensor([[(0, 0, 0, i) for i in range(given.states.shape[1])]]),
        img_ids=torch.tensor([places]),
    )[0]  # fmt: skip
    wanted = torch.stack([(batch.noise - clean)[0, :, y, x] for _, y, x, _ in places[: h * w]])
    other = (out[0, : h * w] - wanted).square().mean()
    other.backward()
    assert torch.allclose(loss, other, rtol=1e-5)
    for one, p in zip(mine, trained, strict=True):
        assert torch.allclose(one, p.grad, rtol=1e-4, atol=1e-6)
    assert c == 16


def test_the_papers_targets_are_refused_with_the_right_ones_named(klein):
    for name in ("full", "attention"):
        targets = KONTEXT_LORA.parts["transformer"].targets[name]
        with pytest.raises(UsageError, match="to_qkv_mlp_proj") as caught:
            attach(klein.transformer, targets, 4, 4, seed=0)
        assert "another family's" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_adapters_of_the_other_family_are_refused_in_a_line(
    klein, tiny_pipe, make_tiny_pipe, tmp_path
):
    kontext = KONTEXT.open(tiny_pipe)
    attach(tiny_pipe.transformer, KONTEXT_LORA.parts["transformer"].targets["full"], 4, 4, seed=0)
    path = save(kontext, tmp_path / "kontext", {"base": "tiny"})
    with pytest.raises(UsageError, match="unknown keys for klein"):
        load(KLEIN.open(klein), path, "x")
    attach(klein.transformer, KLEIN.lora.parts["transformer"].targets["full"], 4, 4, seed=0)
    other = save(KLEIN.open(klein), tmp_path / "klein", {"base": "tiny"})
    with pytest.raises(UsageError, match="unknown keys for kontext"):
        load(KONTEXT.open(make_tiny_pipe(1)), other, "x")
    assert [inspect(p).family for p in (path, other)] == ["kontext or fill", "klein"]


def test_no_text_encoder_is_trained(klein_folder, config):
    asked = dataclasses.replace(config, backbone=klein_folder, text_encoder=True)
    with pytest.raises(UsageError, match="expected a text_encoder to train, found none"):
        train(asked)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("klein", {"backbone": "kontext-nano"}, "family klein, found kontext-nano of kontext"),
        ("kontext", {"backbone": "{klein}"}, "expected a backbone of the family kontext"),
        ("klein", {"backbone": "/nowhere"}, "found no such folder or cached id"),
        ("klein", {"backbone": "{distilled}", "guidance": 4.0}, "distilled to heed no guidance"),
    ],
)
def test_what_cannot_be_is_one_line(make_klein, klein_folder, tmp_path, name, options, said):
    distilled = tmp_path / "distilled"
    make_klein(distilled=True).save_pretrained(distilled)
    backbone = options["backbone"].format(klein=klein_folder, distilled=distilled)
    with pytest.raises(UsageError, match=said) as caught:
        spec_of(METHODS[name], options | {"backbone": backbone})
    assert "\n" not in str(caught.value)


def test_a_small_folder_is_a_miniature_and_says_what_its_shift_does(klein_folder):
    own = spec_of(METHODS["klein"], {"backbone": klein_folder})
    fixed = spec_of(METHODS["klein_lora"], {"backbone": klein_folder, "mu": "fixed"})
    assert own.builds[0].miniature
    assert "depends on the number of steps" in own.note
    assert fixed.note == "mu fixed at that of 50 steps"
    assert isinstance(open_editor(klein_folder, torch.float32, "cpu"), KleinEditor)


def test_the_release_is_named_where_it_is_not_here():
    spec = spec_of(METHODS["klein"], {"backbone": "black-forest-labs/FLUX.2-klein-base-4B"})
    assert [build.name for build in spec.builds] == ["FLUX.2-klein-base-4B"]
    assert not spec.builds[0].miniature
    assert spec.licence == "Apache-2.0"
