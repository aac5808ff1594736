"""SANA behind the seam: its own pipeline, its projection, its sizes, its options."""

import numpy as np
import pytest
import torch

from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import Instruction, open_editor
from e2r_adapters.editors.backbones import read_family
from e2r_adapters.editors.projection import Projection, identity
from e2r_adapters.editors.sana import SANA_CONCAT
from e2r_adapters.lora.attach import target_modules
from e2r_adapters.memory import peak_bytes
from e2r_adapters.restorer import EditorRestorer, RoundTrip, Settings
from e2r_adapters.sampling import noise_for, sample
from e2r_baselines.method import Build, Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import PictureError, UsageError

PROMPT = "Remove the noise "
NUMPY = "ignore:__array__ implementation:DeprecationWarning"  # of diffusers' DPM-Solver
TARGETS = SANA_CONCAT.lora.parts["transformer"].targets


@pytest.fixture
def sana(make_sana):
    return make_sana()


@pytest.fixture
def folder(sana, tmp_path) -> str:
    sana.save_pretrained(tmp_path / "sana")
    return str(tmp_path / "sana")


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(3).random((64, 96, 3), dtype=np.float32)


def mixing(editor, seed=0):
    """An editor whose projection looks at the condition."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(editor.projection.weight.shape, generator=generator)
    editor.projection.load("mine", drawn / 3)
    return editor


def conditioned(editor, picture, guidance=1.0, text=PROMPT):
    return editor.together(
        editor.condition(Photo("a", picture), [Instruction(text, guidance, 300)])
    )


def ours(pipe, picture, guidance, steps=4):
    editor = SANA_CONCAT.open(pipe)
    given = conditioned(editor, picture, guidance)
    noise = noise_for(5, "a", given.shape, "sana-concat")
    return sample(editor, given, noise, steps), noise


def theirs(pipe, picture, guidance, noise, steps=4, kind="latent"):
    """The pipeline without its bins of sizes and without its preamble."""
    height, width = picture.shape[:2]
    return pipe(
        prompt=PROMPT, height=height, width=width, num_inference_steps=steps, latents=noise,
        guidance_scale=guidance, use_resolution_binning=False, complex_human_instruction=[],
        output_type=kind,
    ).images  # fmt: skip


@pytest.mark.parametrize("guidance", [1.0, 4.5])
@pytest.mark.parametrize("kind", [{}, {"qk_norm": "rms_norm_across_heads"}], ids=["1.0", "1.5"])
def test_before_training_it_is_the_base_bitwise(make_sana, picture, guidance, kind):
    """At P = [I | 0] the condition has no part: the pipeline's own picture comes out."""
    pipe = make_sana(**kind)
    latents, noise = ours(pipe, picture, guidance)
    mine = SANA_CONCAT.open(pipe).decode(latents)[0]
    assert np.array_equal(mine, theirs(pipe, picture, guidance, noise, kind="np")[0])
    assert mine.std() > 0.01


@pytest.mark.parametrize("guidance", [1.0, 4.5])
@pytest.mark.parametrize("kind", [{}, {"qk_norm": "rms_norm_across_heads"}], ids=["1.0", "1.5"])
def test_it_is_the_base_in_bfloat16_too(make_sana, picture, guidance, kind):
    """Up to the autoencoder, after which the pipeline rounds pixels once more than we do."""
    pipe = make_sana(**kind).to(torch.bfloat16)
    latents, noise = ours(pipe, picture, guidance)
    assert latents.dtype == torch.float32
    assert torch.equal(latents, theirs(pipe, picture, guidance, noise))


def test_the_condition_has_a_part_as_soon_as_the_projection_lets_it(sana, picture):
    editor = SANA_CONCAT.open(sana)
    one, other = (conditioned(editor, p) for p in (picture, 1 - picture))
    noise = noise_for(1, "a", one.shape, "sana-concat")
    before = [sample(editor, given, noise, 2) for given in (one, other)]
    assert torch.equal(*before)
    after = [sample(mixing(editor), given, noise, 2) for given in (one, other)]
    assert (after[0] - after[1]).abs().max() > 1e-3


def test_the_condition_is_seen_where_it_is(sana, picture):
    """A change in one corner reaches the velocity there most: latents are joined pixel by pixel."""
    editor = mixing(SANA_CONCAT.open(sana))
    changed = picture.copy()
    changed[:8, :8] = 1 - changed[:8, :8]
    x, sigma = noise_for(1, "a", (4, 16, 24), "t"), torch.tensor([0.5])
    with torch.no_grad():
        found = [editor.velocity(x, sigma, conditioned(editor, p)) for p in (picture, changed)]
    moved = (found[0] - found[1])[0].abs().amax(0)
    assert moved[:2, :2].mean() > 5 * moved[8:, 12:].mean()


def test_a_folded_projection_is_a_stock_network_of_twice_the_channels(sana, make_sana, picture):
    """W' = W P: diffusers' own transformer with 2 c channels, the projection nowhere."""
    editor = mixing(SANA_CONCAT.open(sana))
    stock = make_sana(in_channels=8).transformer
    state = sana.transformer.state_dict()
    weight, mix = state["patch_embed.proj.weight"], editor.projection.weight[:, :, 0, 0]
    state["patch_embed.proj.weight"] = (weight[:, :, 0, 0] @ mix)[:, :, None, None]
    stock.load_state_dict(state)
    given, x = conditioned(editor, picture), noise_for(1, "a", (4, 16, 24), "t")
    with torch.no_grad():
        found = editor.velocity(x, torch.tensor([0.3]), given)
        wanted = stock(
            torch.cat([x, given.latents], dim=1), encoder_hidden_states=given.states,
            encoder_attention_mask=given.mask, timestep=torch.tensor([300.0]),
        ).sample  # fmt: skip
    assert torch.allclose(found, wanted, atol=1e-5)


def test_projections_take_turns_and_mix():
    projection = Projection(2)
    one, two = torch.randn(2, 2, 4, 1, 1, generator=torch.Generator().manual_seed(0))
    projection.load("one", one)
    projection.load("two", two)
    for name, weight in (("one", one), ("two", two), ("one", one)):
        projection.use({name: 1.0})
        assert torch.equal(projection.weight, weight)
    projection.use({"one": 0.5, "two": 0.25})
    wanted = identity(2) + 0.5 * (one - identity(2)) + 0.25 * (two - identity(2))
    assert torch.allclose(projection.weight, wanted, atol=1e-6)
    projection.use({})
    assert torch.equal(projection.weight, identity(2))


def test_text_and_guidance_matter_and_padding_does_not(sana, picture):
    editor = SANA_CONCAT.open(sana)
    x, sigma = noise_for(1, "a", (4, 16, 24), "t"), torch.tensor([0.7])

    def velocity(guidance, text, length):
        said = Instruction(text, guidance, length)
        return editor.velocity(
            x, sigma, editor.together(editor.condition(Photo("a", picture), [said]))
        )

    plain = velocity(1.0, PROMPT, 300)
    assert torch.allclose(plain, velocity(1.0, PROMPT, 32), atol=1e-5)
    assert (plain - velocity(1.0, "derain", 300)).abs().max() > 1e-4
    assert (plain - velocity(4.5, PROMPT, 300)).abs().max() > 1e-4


def restored(pipe, photos, batch=1, seeds=(0,)):
    """What a looking editor makes of photos: (id, seed) -> picture."""
    restorer = EditorRestorer(mixing(SANA_CONCAT.open(pipe)), Settings(1.0, 32, "native", batch))
    rows = restorer.restore(photos, TASKS["denoise25"], [Draw(seed, 2) for seed in seeds])
    return {(row.photo_id, row.draw.seed): row.pixels for row in rows}


def test_noise_depends_on_seed_and_picture_id_alone(sana):
    """Order, and what else is in a run, have no part in it."""
    pixels = np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)
    one = restored(sana, [Photo("a", pixels)], seeds=(0, 1))
    other = restored(sana, [Photo(name, pixels) for name in "ba"], seeds=(1, 0))
    assert all(np.array_equal(one[cell], other[cell]) for cell in one)
    assert not np.array_equal(other["a", 0], other["a", 1])
    assert not np.array_equal(other["a", 0], other["b", 0])


def test_batches_of_pictures_change_no_more_than_rounding(sana):
    rng = np.random.default_rng(1)
    photos = [Photo(name, rng.random((32, 32, 3), dtype=np.float32)) for name in "abc"]
    one, many = (restored(sana, photos, batch) for batch in (1, 4))
    assert max(np.abs(one[cell] - many[cell]).max() for cell in one) < 1e-5


@pytest.mark.parametrize("size", [(33, 47), (64, 41)])
def test_odd_sizes_come_back_with_what_stands_at_their_edges(sana, size):
    edited = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    one = restored(sana, [Photo("a", edited)])["a", 0]
    assert one.shape == edited.shape
    tail = edited.copy()
    tail[-1], tail[:, -1] = 1 - tail[-1], 1 - tail[:, -1]
    assert np.abs(restored(sana, [Photo("a", tail)])["a", 0] - one).max() > 0


def test_a_picture_under_the_least_side_is_named(sana):
    with pytest.raises(PictureError, match="at least 8x8 pixels, found 20x7"):
        restored(sana, [Photo("a", np.zeros((7, 20, 3), np.float32))])


def test_two_references_in_one_batch_are_one_line_unless_they_are_of_one_size(sana, picture):
    editor = SANA_CONCAT.open(sana)
    parts = [
        editor.condition(Photo("a", one), [Instruction(PROMPT, 1.0, 32)])[0]
        for one in (picture, picture[:, :32])
    ]
    assert len(editor.together([parts[0]] * 2).latents) == 2
    with pytest.raises(UsageError, match="one size in a batch, found latents of 8x16 and 24x16"):
        editor.together(parts)


def test_the_autoencoder_by_itself_is_a_row_of_its_own(sana, picture):
    editor = SANA_CONCAT.open(sana)
    (row,) = RoundTrip("native", editor.sizes, editor).restore(
        [Photo("a", picture)], TASKS["denoise25"], [Draw(0, 1)]
    )
    with torch.no_grad():
        pixels = torch.from_numpy(2 * picture - 1).permute(2, 0, 1)[None]
        wanted = sana.vae.decode(sana.vae.encode(pixels).latent).sample
    wanted = (wanted[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).numpy()
    assert np.allclose(row.pixels, wanted, atol=1e-5)


@pytest.mark.filterwarnings(NUMPY)
def test_levels_are_the_schedulers_in_sampling_and_unshifted_in_training(make_sana):
    found = {
        released: SANA_CONCAT.open(make_sana(released=released)).schedule(4, (32, 16, 16)).tolist()
        for released in (False, True)
    }
    assert found[False] == pytest.approx([1, 0.8577, 0.6022, 0.0089, 0], abs=1e-4)
    assert found[True] == pytest.approx([0.9997, 0.8996, 0.7496, 0.4997, 0], abs=1e-4)
    for released in (False, True):
        levels = SANA_CONCAT.open(make_sana(released=released)).training_levels()
        assert torch.equal(levels, torch.arange(1000, 0, -1) / 1000)


@pytest.mark.filterwarnings(NUMPY)
def test_first_order_steps_of_the_releases_solver_are_eulers(make_sana, picture):
    """What differs from a release's own sampler is its second order, and whole time steps."""
    from diffusers import DPMSolverMultistepScheduler

    pipe = make_sana(released=True)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, solver_order=1)
    latents, noise = ours(pipe, picture, 1.0)
    x, levels = noise, SANA_CONCAT.open(pipe).schedule(4, (4, 16, 24))
    given = conditioned(SANA_CONCAT.open(pipe), picture)
    pipe.scheduler.set_timesteps(4)
    for level, t in zip(levels, pipe.scheduler.timesteps, strict=False):
        v = SANA_CONCAT.open(pipe).velocity(x, level[None], given).detach()
        x = pipe.scheduler.step(v, t, x).prev_sample
    assert torch.allclose(latents, x, atol=1e-4)


@pytest.mark.slow
def test_parameter_counts_of_the_release_and_of_its_target_lists():
    from diffusers import SanaTransformer2DModel

    with torch.device("meta"):
        network = SanaTransformer2DModel()
        projection = Projection(network.config.in_channels)
    assert sum(p.numel() for p in network.parameters()) == 1_604_462_752
    assert projection.weight.numel() == 2_048
    assert network.patch_embed.proj.weight.shape == (2240, 32, 1, 1)
    counts = {}
    for name, targets in TARGETS.items():
        endings = tuple(f".{target}" for target in target_modules(network, targets))
        linears = [m for where, m in network.named_modules() if f".{where}".endswith(endings)]
        sizes = sum(one.in_features + one.out_features for one in linears)
        counts[name] = (len(linears), round(64 * sizes / 1e6, 1))
    assert counts == {"full": (160, 45.9), "qkv": (120, 34.4)}


def test_the_preferred_sizes_are_bins_of_the_pipeline():
    from diffusers.pipelines.pixart_alpha.pipeline_pixart_alpha import ASPECT_RATIO_1024_BIN

    bins = {(int(width), int(height)) for height, width in ASPECT_RATIO_1024_BIN.values()}
    assert set(SANA_CONCAT.preferred) <= bins
    assert all(side % 32 == 0 for size in SANA_CONCAT.preferred for side in size)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use_flow_sigmas": False}, "of a flow whose shift is fixed"),
        ({"prediction_type": "epsilon"}, "of a flow whose shift is fixed"),
        ({"use_dynamic_shifting": True, "time_shift_type": "exponential"}, "shift is fixed"),
    ],
)
def test_a_scheduler_of_another_process_is_refused(make_sana, change, said):
    pipe = make_sana(released=True)
    pipe.scheduler.register_to_config(**change)
    with pytest.raises(UsageError, match=said):
        SANA_CONCAT.open(pipe)


def test_what_is_no_sana_is_refused(sana):
    from diffusers import DDIMScheduler

    sana.transformer.register_to_config(guidance_embeds=True)
    with pytest.raises(UsageError, match="without embedded guidance"):
        SANA_CONCAT.open(sana)
    sana.scheduler = DDIMScheduler()
    with pytest.raises(UsageError, match=r"expected a scheduler among .*, found DDIMS"):
        SANA_CONCAT.open(sana)


@pytest.mark.parametrize(
    ("name", "backbone", "said"),
    [
        ("sana_paired", "kontext-nano", "found kontext-nano of kontext; run kontext with it"),
        ("klein", "{folder}", "of the family klein, .* of sana-concat; run sana_paired with it"),
        ("sana_paired", "/nowhere", "found no such folder or cached id"),
    ],
)
def test_a_wrong_backbone_is_one_line(folder, name, backbone, said):
    with pytest.raises(UsageError, match=said) as caught:
        spec_of(METHODS[name], {"backbone": backbone.format(folder=folder)})
    assert "\n" not in str(caught.value)


def test_a_folder_is_picked_by_what_it_says_it_is(folder):
    assert read_family(folder) is SANA_CONCAT
    assert open_editor(folder, torch.float32, "cpu").family is SANA_CONCAT
    spec = spec_of(METHODS["sana_paired"], {"backbone": folder})
    assert spec.builds[0].miniature
    assert spec.note.startswith("otherwise than its pipeline")


def test_the_release_is_named_where_it_is_not_here():
    spec = spec_of(METHODS["sana_paired"])
    assert [build.name for build in spec.builds] == ["SANA1.5-1.6B"]
    assert "NVIDIA" in spec.licence
    assert not spec.builds[0].miniature


def test_a_copy_takes_what_the_release_takes(folder):
    assert peak_bytes(folder, "paper", "none", Build("copy"), 64, 64) == 13 * 10**9
