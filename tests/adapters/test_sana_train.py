"""Paired training of SANA: one step, what is left behind, how it goes on, what is refused."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from e2r_adapters import lora
from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import Instruction, open_editor
from e2r_adapters.editors.klein import KLEIN
from e2r_adapters.editors.sana import SANA_CONCAT
from e2r_adapters.editors.sana_facts import PROJECTION_FILE
from e2r_adapters.lora import inspect
from e2r_adapters.lora.attach import attach, layer_scales
from e2r_adapters.lora.mixing import Mixer
from e2r_adapters.sampling import noise_for, sample
from e2r_adapters.train import checkpoint, train
from e2r_adapters.train.pictures import painted_pair
from e2r_adapters.train.step import Batch, flow_matching_loss
from e2r_baselines.method import Compute, Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

PROMPT = "remove the noise"
TARGETS = SANA_CONCAT.lora.parts["transformer"].targets
KEPT = (lora.ADAPTER_FILE, PROJECTION_FILE)


@pytest.fixture
def folder(make_sana, tmp_path) -> str:
    make_sana().save_pretrained(tmp_path / "sana")
    return str(tmp_path / "sana")


@pytest.fixture
def paired(config, folder):
    """A training of 8 steps, both tasks together."""
    return dataclasses.replace(config, backbone=folder, recipe="channel-concat")


@pytest.fixture
def trained(paired):
    """The folder of a finished training."""
    train(paired)
    return paired.out


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(3).random((64, 96, 3), dtype=np.float32)


def conditioned(editor, picture, guidance=1.0):
    said = Instruction(PROMPT, guidance, 32)
    return editor.together(editor.condition(Photo("a", picture), [said]))


def made(editor, picture, guidance=1.0):
    given = conditioned(editor, picture, guidance)
    noise = noise_for(5, "a", given.shape, "sana-concat")
    return editor.decode(sample(editor, given, noise, 3))[0]


def test_one_pair_is_learned_by_heart(make_sana):
    """At four fixed draws of noise and level, to under 10% of what copying the condition costs.

    At draws that are new each step a network of this size keeps a third: its gain would have to
    grow as one over the level.
    """
    wide = {"num_attention_heads": 4, "num_cross_attention_heads": 4, "cross_attention_dim": 32}
    wide |= {"num_layers": 2}
    editor = SANA_CONCAT.open(make_sana(**wide))
    clean = np.divide(painted_pair("denoise50", 0, 0, 16).clean, 255, dtype=np.float32)
    target = editor.encode([clean], [clean])
    editor.pipe.vae.register_to_config(scaling_factor=0.41407 / float(target.std()))
    target = editor.encode([clean], [clean])
    given = editor.together([conditioned(editor, 1 - clean)] * 4)
    copied = float((target - given.latents[:1]).square().mean())
    learned = attach(editor.pipe.transformer, TARGETS["full"], 16, 16, seed=0)
    learned.append(editor.projection.weight.requires_grad_(True))
    noise = torch.randn(4, *target.shape[1:], generator=torch.Generator().manual_seed(1))
    batch = Batch(target.expand(4, -1, -1, -1), given, noise, torch.tensor([0.05, 0.3, 0.55, 0.8]))
    optimizer = torch.optim.AdamW(learned, lr=2e-2, weight_decay=0)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    levels, losses = editor.training_levels(), []
    for _ in range(400):
        loss = flow_matching_loss(lambda x, s: editor.velocity(x, s, given), batch, levels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        falling.step()
        losses.append(loss.item())
    assert losses[0] > 0.5 * copied
    assert losses[-1] < 0.1 * copied


def test_one_step_is_an_independent_restatement(make_sana, picture):
    """Loss and gradients of LoRA and projection, the projection as sums over channels by hand."""
    pipe = make_sana()
    editor = SANA_CONCAT.open(pipe)
    learned = attach(pipe.transformer, TARGETS["full"], 4, 4, seed=0)
    for parameter in learned:  # B starts at zero, which would hide the gradient of A
        parameter.data = parameter.data + 0.05
    learned.append(editor.projection.weight.requires_grad_(True))
    clean, degraded = picture, 1 - picture
    given = conditioned(editor, degraded)
    batch = Batch(
        editor.encode([clean], [degraded]), given, noise_for(1, "a", given.shape, "t"),
        torch.tensor([0.4]),
    )  # fmt: skip

    def velocity(x, sigma):
        return editor.velocity(x, sigma, given)

    loss = flow_matching_loss(velocity, batch, editor.training_levels())
    gradients = torch.autograd.grad(loss, learned)
    expected = restated(pipe, editor.projection.weight, clean, degraded, batch.noise, 0.6)
    wanted = torch.autograd.grad(expected, learned)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    for found, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(found, other, rtol=1e-5, atol=1e-5)
    assert max(float(one.abs().max()) for one in gradients[:-1]) > 1e-4
    # The half of zeros learns from the first step on.
    latents, condition = gradients[-1].chunk(2, dim=1)
    assert min(float(half.abs().max()) for half in (latents, condition)) > 1e-3


def restated(pipe, weight, clean, degraded, noise, s):
    """The loss at noise level s; shares no code with the editor."""

    def latents(pixels):
        with torch.no_grad():
            planes = torch.from_numpy(pixels.transpose(2, 0, 1)[None] * 2 - 1)
            return pipe.vae.encode(planes).latent[0] * 0.41407

    z, c, eps = latents(clean), latents(degraded), noise[0]
    noisy = [(1 - s) * z[i] + s * eps[i] for i in range(4)]
    joined = [
        sum(weight[o, i, 0, 0] * plane for i, plane in enumerate([*noisy, *c])) for o in range(4)
    ]
    with torch.no_grad():
        states, mask, _, _ = pipe.encode_prompt(PROMPT, False, max_sequence_length=32)
    out = pipe.transformer(
        torch.stack(joined)[None], encoder_hidden_states=states, encoder_attention_mask=mask,
        timestep=torch.tensor([1000 * s]),
    ).sample[0]  # fmt: skip
    return (out - (eps - z)).square().mean()


@pytest.mark.parametrize("targets", ["full", "qkv"])
def test_a_training_leaves_two_files_that_bare_diffusers_and_a_convolution_run(
    paired, folder, picture, targets
):
    result = train(dataclasses.replace(paired, targets=targets))
    editor = open_editor(folder, torch.float32, "cpu")
    before = made(editor, picture)
    assert lora.load(editor, result.adapter, "mine") == 1.0
    after = made(editor, picture)
    assert np.abs(after - before).max() > 1e-4
    weight = load_file(paired.out / PROJECTION_FILE)["weight"]
    assert all(float((half - start).abs().max()) > 0 for half, start in zip(
        weight[..., 0, 0].chunk(2, dim=1), (torch.eye(4), torch.zeros(4, 4)), strict=True
    ))  # fmt: skip
    assert np.abs(after - bare(folder, result.adapter, weight, picture)).max() < 1e-5
    report = inspect(result.adapter)
    assert report.family == "sana-concat"
    assert report.problems == ()
    assert report.record["recipe"] == "channel-concat"
    assert report.transformer.linears == {"full": 16, "qkv": 12}[targets]


def bare(folder, adapter, weight, picture):
    """diffusers' own pipeline with its own LoRA loader; the condition joins in its first layer."""
    from diffusers import SanaPipeline

    pipe = SanaPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(str(adapter.parent), weight_name=adapter.name)
    with torch.no_grad():
        planes = torch.from_numpy(picture.transpose(2, 0, 1)[None] * 2 - 1)
        condition = pipe.vae.encode(planes).latent * pipe.vae.config.scaling_factor
    embed = pipe.transformer.patch_embed

    class Joined(torch.nn.Module):
        def forward(self, x):
            joined = torch.cat([x, condition.expand(len(x), -1, -1, -1)], dim=1)
            return embed(torch.nn.functional.conv2d(joined, weight))

    pipe.transformer.patch_embed = Joined()
    noise = noise_for(5, "a", (4, 16, 24), "sana-concat")
    return pipe(
        prompt=PROMPT, height=64, width=96, num_inference_steps=3, guidance_scale=1.0,
        latents=noise, use_resolution_binning=False, complex_human_instruction=[],
        max_sequence_length=32, output_type="np",
    ).images[0]  # fmt: skip


def test_saved_and_loaded_it_is_the_same_to_the_bit(make_sana, tmp_path, picture):
    editor = SANA_CONCAT.open(make_sana())
    attach(editor.networks["transformer"], TARGETS["full"], 4, 2, seed=0)
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, one in editor.networks["transformer"].named_parameters():
            if "lora_" in name:
                one.copy_(torch.randn(one.shape, generator=drawn) / 4)
        editor.projection.weight.copy_(torch.randn(4, 8, 1, 1, generator=drawn) / 2)
    path = lora.save(editor, tmp_path, {"base": "tiny"})
    other = SANA_CONCAT.open(make_sana())
    assert lora.load(other, path, "mine") == 0.5
    assert set(layer_scales(other.networks["transformer"], "mine").values()) == {0.5}
    assert np.array_equal(made(editor, picture), made(other, picture))


def test_adapters_take_turns_with_their_projections(make_sana, tmp_path, picture):
    for seed in (0, 1):
        editor = SANA_CONCAT.open(make_sana())
        attach(editor.networks["transformer"], TARGETS["full"], 4, 4, seed)
        drawn = torch.Generator().manual_seed(seed)
        editor.projection.load("x", torch.randn(4, 8, 1, 1, generator=drawn) / 2)
        lora.save(editor, tmp_path / str(seed), {"base": "tiny", "seed": seed})
    both = SANA_CONCAT.open(make_sana())
    for seed in (0, 1):
        lora.load(both, tmp_path / str(seed) / lora.ADAPTER_FILE, str(seed))
    mixer, found = Mixer(both, one_mix=False), []
    for name in ("0", "1", "0"):
        mixer.use({name: 1.0})
        wanted = load_file(tmp_path / name / PROJECTION_FILE)["weight"]
        assert torch.equal(both.projection.weight, wanted)
        found.append(made(both, picture))
    assert np.array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_the_same_training_leaves_the_same_bytes_also_when_interrupted(paired):
    paired = dataclasses.replace(paired, checkpoint_every=3)
    straight = dataclasses.replace(paired, out=paired.out.parent / "straight")
    train(straight)

    def interrupt(done, steps, loss):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(paired, interrupt)
    assert not any((paired.out / name).exists() for name in KEPT)
    assert train(paired).resumed == 3
    for name in KEPT:
        assert (paired.out / name).read_bytes() == (straight.out / name).read_bytes()
    other = dataclasses.replace(paired, out=paired.out / "other", seed=1)
    train(other)
    for name in KEPT:
        assert (other.out / name).read_bytes() != (straight.out / name).read_bytes()


def test_a_finished_training_that_lost_its_projection_writes_it_again(paired, trained):
    before = {name: (trained / name).read_bytes() for name in KEPT}
    (trained / PROJECTION_FILE).unlink()
    assert train(paired).resumed == 8
    assert {name: (trained / name).read_bytes() for name in KEPT} == before


def test_the_projection_is_not_pulled_to_zero(trained):
    """Its group has no weight decay; the LoRA's has the profile's."""
    state = torch.load(checkpoint.found(trained)[-1], weights_only=True)
    assert [group["weight_decay"] for group in state["optimizer"]["param_groups"]] == [1e-4, 0.0]


def test_bfloat16_weights_train_a_float32_projection(paired):
    profile = dataclasses.replace(
        paired.profile, dtype="bfloat16", checkpointing=True, learning_rate=1e-6
    )
    train(dataclasses.replace(paired, profile=profile, sample_every=4))
    weight = load_file(paired.out / PROJECTION_FILE)["weight"]
    # Half a bfloat16 step below 1 is 0.002; eight steps of 1e-6 have to count all the same.
    moved = (weight[..., 0, 0][:, :4] - torch.eye(4)).abs()
    assert weight.dtype == torch.float32
    assert 0 < float(moved.diagonal().min()) < 1e-4
    assert len(list((paired.out / "samples").iterdir())) == 2


def opened(folder, adapter, **said):
    spec = spec_of(METHODS["sana_paired"], {"backbone": folder, "adapter": adapter} | said)
    return spec.builds[0], spec.open(spec.builds[0], {}, Compute(device="cpu", dtype="float32"))


def test_the_method_restores_with_a_trained_folder(folder, trained):
    photo = Photo("a", np.random.default_rng(0).random((33, 47, 3), dtype=np.float32))
    build, restorer = opened(folder, trained)
    (row,) = restorer.restore([photo], TASKS["derain"], [Draw(0, 2)])
    assert row.pixels.shape == photo.pixels.shape
    assert build.name == "sana+out"
    assert {"adapter", "adapter/projection"} <= build.own_files.keys()


def test_it_stands_beside_others_and_beside_itself_in_one_run(folder, base, trained, tmp_path):
    from e2r_bench.run.config import make_experiment
    from e2r_bench.run.runner import run_experiment

    other = tmp_path / "other"
    shutil.copytree(trained, other)
    settings = {
        "methods": ["one=sana_paired", "two=sana_paired", "kontext"],
        "method": {
            "max_sequence_length": 32, "kontext": {"backbone": base},
            "one": {"backbone": folder, "adapter": str(trained)},
            "two": {"backbone": folder, "adapter": str(other), "guidance": 4.5},
        },
        "tasks": ["denoise25"], "limit": 2, "crop": 32, "steps": [2], "metrics": ["psnr"],
        "out": tmp_path / "run",
    }  # fmt: skip
    outcome = run_experiment(make_experiment(settings, "test"))
    assert not outcome.failures
    rows = [row for row in outcome.store.rows().all if row.metric == "psnr"]
    values = {
        name: [row.value for row in rows if row.method == name]
        for name in ("one", "two", "kontext")
    }
    assert all(len(each) == 2 for each in values.values())
    assert values["one"] != values["two"]


def one_line(error, said):
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_without_an_adapter_it_says_how_to_train_one(folder):
    spec = spec_of(METHODS["sana_paired"], {"backbone": folder})
    with pytest.raises(UsageError) as error:
        spec.open(spec.builds[0], {}, Compute(device="cpu", dtype="float32"))
    one_line(error, "needs --set adapter=FILE: train one with `e2r-bench train`")


def test_a_projection_that_is_not_there_is_one_line(folder, trained, tmp_path):
    alone = tmp_path / "alone" / lora.ADAPTER_FILE
    alone.parent.mkdir()
    shutil.copy(trained / lora.ADAPTER_FILE, alone)
    with pytest.raises(UsageError) as error:
        opened(folder, alone)
    one_line(error, f"expected {PROJECTION_FILE} beside it")


def test_a_projection_for_two_references_is_one_line(folder, trained):
    save_file({"weight": torch.zeros(4, 12, 1, 1)}, trained / PROJECTION_FILE)
    with pytest.raises(UsageError) as error:
        opened(folder, trained)
    one_line(error, "for one condition picture of 4 channels, found {'weight': (4, 12, 1, 1)}")


def test_a_projection_of_another_training_is_one_line(paired, folder, trained, tmp_path):
    train(dataclasses.replace(paired, seed=1, out=tmp_path / "other"))
    shutil.copy(tmp_path / "other" / PROJECTION_FILE, trained / PROJECTION_FILE)
    with pytest.raises(UsageError) as error:
        opened(folder, trained)
    one_line(error, "expected the projection of the same training")


def test_a_flipped_bit_of_a_projection_is_one_line(folder, trained):
    path = trained / PROJECTION_FILE
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        opened(folder, trained)
    one_line(error, "the file was damaged or changed")


def test_an_adapter_for_another_base_is_one_line(make_sana, trained, tmp_path):
    make_sana(seed=1).save_pretrained(tmp_path / "another")
    with pytest.raises(UsageError) as error:
        opened(str(tmp_path / "another"), trained)
    one_line(error, "an adapter for another base")


def test_adapters_of_the_other_family_are_one_line(make_sana, make_klein, tmp_path):
    pairs = [(SANA_CONCAT, make_sana()), (KLEIN, make_klein())]
    for family, pipe in pairs:
        attach(pipe.transformer, family.lora.parts["transformer"].targets["full"], 4, 4, seed=0)
        lora.save(family.open(pipe), tmp_path / family.name, {"base": "tiny"})
    for (family, pipe), (other, _) in zip(pairs, pairs[::-1], strict=True):
        with pytest.raises(UsageError) as error:
            lora.load(family.open(pipe), tmp_path / other.name, "x")
        one_line(error, f"unknown keys for {family.name}")


def test_targets_of_the_other_family_are_one_line(make_sana):
    targets = KLEIN.lora.parts["transformer"].targets["full"]
    with pytest.raises(UsageError) as error:
        attach(make_sana().transformer, targets, 4, 4, seed=0)
    one_line(error, "another family's")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": "edit2restore"}, "found {sana} of sana-concat; give --recipe channel-concat"),
        ({"backbone": "{base}"}, "expected a backbone of the family sana-concat, found {base}"),
        ({"text_encoder": True}, "expected a text_encoder to train, found none"),
        ({"targets": "attention"}, "unknown set of targets 'attention'"),
        ({"experts": 4}, "expected a backbone of the family fill"),
    ],
)
def test_a_training_that_cannot_be_is_one_line(paired, folder, base, changes, said):
    names = {"sana": folder, "base": base}
    changes = {k: v.format(**names) if isinstance(v, str) else v for k, v in changes.items()}
    with pytest.raises(UsageError) as error:
        train(dataclasses.replace(paired, **changes))
    one_line(error, said.format(**names))


def test_the_command_takes_the_recipe(folder, tmp_path):
    from click.testing import CliRunner

    from e2r_bench.commands.train import command

    asked = [
        "--backbone", folder, "--recipe", "channel-concat", "--tasks", "derain", "--pairs", "1",
        "--epochs", "1", "--resolution", "16", "--device", "cpu", "--sample-every", "0",
        "--out", str(tmp_path / "a"),
    ]  # fmt: skip
    result = CliRunner().invoke(command, asked, catch_exceptions=False)
    assert "32 steps of profile nano+epochs=1+resolution=16" in result.output
    assert all((tmp_path / "a" / name).is_file() for name in KEPT)
