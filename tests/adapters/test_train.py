"""The training loop: what it is fed, that it goes on to the same bits, and how it fails."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from e2r_adapters import lora
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.lora import inspect
from e2r_adapters.train import TrainConfig, checkpoint, feed, journal, loop, select
from e2r_adapters.train.latents import Memory
from e2r_adapters.train.profiles import (
    PROFILES,
    prompt_for,
    repeats_for,
    total_steps,
    with_changes,
)
from e2r_adapters.train.prompt_cache import misaligned_share
from e2r_adapters.train.variation import UNVARIED
from e2r_metrics.base.errors import UsageError

# diffusers 0.36 knows only the old name of the argument.
pytestmark = pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated:FutureWarning")


@pytest.fixture
def tiny(config):
    """The profile of the tests' training."""
    return config.profile


def changed(config, **fields):
    return dataclasses.replace(config, **fields)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / lora.ADAPTER_FILE)


def test_exposure_and_steps_are_the_papers():
    g1, g2 = PROFILES["g1"], PROFILES["g2"]
    assert total_steps(g1, tasks=3) == 1920
    assert total_steps(g1, tasks=1) == 640
    assert total_steps(g2, tasks=5) == 3200
    assert [repeats_for(g1, pairs) for pairs in (128, 64, 32, 16)] == [1, 2, 4, 8]
    with pytest.raises(UsageError, match="divides 128"):
        repeats_for(g1, 48)
    assert with_changes(g1, epochs=20) is g1
    assert with_changes(g1, epochs=3, resolution=256).name == "g1+epochs=3+resolution=256"


def test_prompts_are_their_generations():
    assert prompt_for(PROFILES["g1"], "denoise25") == "remove the noise from the image"
    assert prompt_for(PROFILES["g2"], "derain") == "Remove rain streaks and restore the clean image"
    assert prompt_for(PROFILES["nano"], "denoise") == "remove the noise from the image"
    assert prompt_for(PROFILES["nano"], "dejpeg").startswith("Remove compression")
    with pytest.raises(UsageError, match="g1 has no prompt for 'dejpeg'"):
        prompt_for(PROFILES["g1"], "dejpeg")
    with pytest.raises(UsageError, match="unknown training task 'desnow'"):
        prompt_for(PROFILES["g1"], "desnow")


@pytest.mark.parametrize(("tasks", "share"), [(1, 0.0), (3, 0.668), (5, 0.787)])
def test_replayed_defect_misaligns_as_many_as_the_release(tasks, share):
    samples = [f"task{t}" for t in range(tasks) for _ in range(128)]
    found = [misaligned_share(samples, seed, epochs=20) for seed in range(5)]
    assert np.mean(found) == pytest.approx(share, abs=0.015)


def a_feed(pipe, tiny, pairs=2, tasks=("denoise", "derain", "dehaze"), bug=False):
    chosen = select(TrainConfig(Path("out"), tiny, tasks, pairs)).pairs
    return feed.make_feed(KONTEXT.open(pipe), chosen, feed.Show(tiny, UNVARIED, 1, bug), Memory())


def test_every_sample_has_its_own_prompt_and_equal_exposure(tiny_pipe, tiny):
    for pairs in (2, 8):
        fed = a_feed(tiny_pipe, tiny, pairs)
        assert fed.steps_per_epoch == 6
        seen = [sample for step in range(6) for sample in fed.samples(step)]
        assert all(pair.task == task for pair, task in seen)
        assert set(Counter(pair.key for pair, _ in seen).values()) == {8 // pairs}
        later = [pair.key for step in range(6, 12) for pair, _ in fed.samples(step)]
        assert later != [pair.key for pair, _ in seen]
        assert sorted(later) == sorted(pair.key for pair, _ in seen)


def test_the_defect_changes_prompts_and_nothing_else(tiny_pipe, tiny):
    right, wrong = a_feed(tiny_pipe, tiny), a_feed(tiny_pipe, tiny, bug=True)
    both = [(right.samples(step), wrong.samples(step)) for step in range(12)]
    assert all([p.key for p, _ in a] == [p.key for p, _ in b] for a, b in both)
    share = np.mean([pair.task != task for _, b in both for pair, task in b])
    assert 0.4 < share < 0.9
    one = a_feed(tiny_pipe, tiny, tasks=("derain",), bug=True)
    assert {task for step in range(4) for _, task in one.samples(step)} == {"derain"}


def test_each_picture_and_each_prompt_is_encoded_once(tiny_pipe, monkeypatch, tiny):
    seen, said = [], []
    encode, prompt = tiny_pipe.vae.encode, tiny_pipe.encode_prompt
    monkeypatch.setattr(tiny_pipe.vae, "encode", lambda x: seen.append(len(x)) or encode(x))
    monkeypatch.setattr(
        tiny_pipe, "encode_prompt", lambda text, *a, **k: said.append(text) or prompt(text, *a, **k)
    )
    for bug in (False, True):
        seen.clear(), said.clear()
        fed = a_feed(tiny_pipe, tiny, pairs=2, bug=bug)
        assert sum(seen) == 2 * 2 * 3
        assert sorted(said) == sorted(prompt_for(tiny, t) for t in ("denoise", "derain", "dehaze"))
        assert len(fed.pairs) == 24


def test_a_training_runs_t5_once_for_each_prompt(config, monkeypatch):
    from transformers import T5EncoderModel

    ran, forward = [], T5EncoderModel.forward
    monkeypatch.setattr(
        T5EncoderModel, "forward", lambda self, *a, **k: ran.append(1) or forward(self, *a, **k)
    )
    loop.train(changed(config, sample_every=4))
    assert len(ran) == 2


def test_processes_share_a_batch_without_changing_it(tiny_pipe, tiny):
    fed, editor = a_feed(tiny_pipe, tiny), KONTEXT.open(tiny_pipe)
    whole = fed.draw(3, 0, 1, editor)
    halves = [fed.draw(3, rank, 2, editor) for rank in range(2)]
    for rank, half in enumerate(halves):
        for name in ("clean", "noise", "u"):
            assert torch.equal(getattr(whole, name)[rank::2], getattr(half, name))
        for name in ("tokens", "states", "pooled", "clip", "guidance"):
            every, mine = (getattr(one.conditioning, name) for one in (whole, half))
            assert torch.equal(every[rank::2], mine)
    assert not torch.equal(fed.draw(4, 0, 1, editor).noise, whole.noise)
    assert len(set(whole.u.tolist())) == 4


def test_a_training_leaves_a_standard_adapter_and_its_papers(config, make_tiny_pipe):
    told = []
    result = loop.train(config, lambda done, steps, loss: told.append((done, steps)))
    assert told == [(step, 8) for step in range(1, 9)]
    assert (result.steps, result.resumed) == (8, 0)
    report = inspect(result.adapter)
    assert report.problems == ()
    assert report.record["profile"]["name"] == "tiny"
    assert report.record["prompts"]["derain"] == "remove the rain from the image"
    assert report.record["trained_on"] == {"denoise": "painted", "derain": "painted"}
    assert lora.load(KONTEXT.open(make_tiny_pipe()), result.adapter, "a") == 1.0
    rows = journal.read_log(config.out)
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert {row["learning_rate"] for row in rows} == {config.profile.learning_rate}
    pairs = json.loads((config.out / "pairs.json").read_text())
    assert len({entry["sha256"] for entry in pairs["pairs"]}) == 8
    assert (config.out / "loss.png").read_bytes().startswith(b"\x89PNG")
    moved = [t.abs().max() for key, t in weights(config.out).items() if "lora_B" in key]
    assert min(moved) > 0


def test_it_learns(config):
    profile = dataclasses.replace(config.profile, epochs=100, learning_rate=1e-2)
    loop.train(changed(config, profile=profile, tasks=("denoise",), pairs=2, checkpoint_every=0))
    loss = [row["loss"] for row in journal.read_log(config.out)]
    assert np.mean(loss[-40:]) < 0.8 * np.mean(loss[:40])


def test_an_interrupted_training_goes_on_to_the_same_bits(config):
    config = changed(config, checkpoint_every=3)
    straight = loop.train(changed(config, out=config.out.parent / "straight"))

    def interrupt(done, steps, loss):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(config, interrupt)
    assert not (config.out / lora.ADAPTER_FILE).exists()
    assert len(journal.read_log(config.out)) == 4
    resumed = loop.train(config)
    assert resumed.resumed == 3
    assert resumed.adapter.read_bytes() == straight.adapter.read_bytes()
    logs = [journal.read_log(out) for out in (config.out, config.out.parent / "straight")]
    same = [[{k: v for k, v in row.items() if k != "seconds"} for row in log] for log in logs]
    assert same[0] == same[1]
    assert [path.name for path in checkpoint.found(config.out)] == [
        "step000006.pt",
        "step000008.pt",
    ]


def test_the_seeds_change_the_adapter(config):
    first = loop.train(changed(config, out=config.out / "a"))
    for name, fields in (("b", {"seed": 1}), ("c", {"pairs_seed": 1})):
        other = loop.train(changed(config, out=config.out / name, **fields))
        assert any(
            not torch.equal(tensor, weights(other.adapter.parent)[key])
            for key, tensor in weights(first.adapter.parent).items()
        )


def test_another_training_in_the_folder_is_refused(config):
    loop.train(config)
    with pytest.raises(UsageError, match="holds a training with pairs = 4, asked is 2"):
        loop.train(changed(config, pairs=2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(config, monkeypatch, bad):
    real, calls = loop.flow_matching_loss, []

    def loss(*arguments):
        calls.append(1)
        return real(*arguments) * (bad if len(calls) == 6 else 1.0)

    monkeypatch.setattr(loop, "flow_matching_loss", loss)
    with pytest.raises(UsageError, match=r"step 6: expected a finite.*checkpoint is .*step000004"):
        loop.train(config)
    assert not (config.out / lora.ADAPTER_FILE).exists()
    monkeypatch.undo()
    assert loop.train(config).resumed == 4
    assert all(torch.isfinite(tensor).all() for tensor in weights(config.out).values())


def test_a_full_disk_is_one_line_and_nothing_is_lost(config, monkeypatch):
    real, calls = torch.save, []

    def save(state, stream):
        calls.append(1)
        if len(calls) == 3:
            stream.write(b"half a checkpoint")
            raise OSError(28, "No space left on device")
        real(state, stream)

    monkeypatch.setattr("torch.save", save)
    with pytest.raises(UsageError, match=r"No space left on device; step000004\.pt is whole"):
        loop.train(config)
    assert [p.name for p in (config.out / "checkpoints").iterdir()] == [
        "step000002.pt",
        "step000004.pt",
    ]
    monkeypatch.undo()
    assert loop.train(config).resumed == 4


def test_the_text_encoder_learns_at_its_own_rate(config):
    profile = dataclasses.replace(config.profile, text_learning_rate=1e-3)
    result = loop.train(changed(config, profile=profile, text_encoder=True))
    report = inspect(result.adapter)
    assert report.text_encoder.linears == 8
    text = {k: t for k, t in weights(config.out).items() if k.startswith("text_encoder.text_model")}
    moved = [float(t.abs().max()) for key, t in text.items() if "lora_B" in key]
    # AdamW moves an entry by about the learning rate per step.
    assert 9 * 1e-3 > max(moved) > 1e-3
    state = torch.load(checkpoint.found(config.out)[-1], weights_only=True)
    assert [group["weight_decay"] for group in state["optimizer"]["param_groups"]] == [1e-4, 1e-3]


def test_bfloat16_weights_with_checkpointing_train_float32_parameters(config):
    profile = dataclasses.replace(
        config.profile, dtype="bfloat16", checkpointing=True, learning_rate=5e-6
    )
    result = loop.train(changed(config, profile=profile))
    tensors = weights(config.out)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    # A step of 5e-6 is below half a bfloat16 step of most entries of A, and must still count.
    start = lora_start(config)
    moved = [(tensors[f"transformer.{key}"] - value).abs() for key, value in start.items()]
    assert np.mean([float((m > 0).float().mean()) for m in moved]) > 0.9
    assert result.steps == 8


def lora_start(config):
    """The A matrices before the first step."""
    from diffusers import FluxKontextPipeline
    from peft import get_peft_model_state_dict

    pipe = FluxKontextPipeline.from_pretrained(config.backbone)
    targets = KONTEXT.lora.parts["transformer"].targets["full"]
    lora.attach(pipe.transformer, targets, config.profile.rank, config.profile.alpha, config.seed)
    tensors = get_peft_model_state_dict(pipe.transformer)
    return {key: tensor for key, tensor in tensors.items() if "lora_A" in key}


def test_settings_that_contradict_are_refused(config):
    with pytest.raises(UsageError, match="do not have the defect"):
        loop.train(changed(config, text_encoder=True, replicate_prompt_cache_bug=True))
    with pytest.raises(UsageError, match="different tasks"):
        loop.train(changed(config, tasks=("derain", "derain")))
    with pytest.raises(UsageError, match="data for 'dehaze', which is not trained"):
        loop.train(changed(config, data={"dehaze": config.out}))
    with pytest.raises(UsageError, match="batches of 4, found 6"):
        loop.train(
            changed(config, pairs=1, profile=dataclasses.replace(config.profile, exposure=3))
        )


def test_samples_show_one_training_pair_of_each_task(config):
    from PIL import Image

    loop.train(changed(config, sample_every=4, text_encoder=True))
    names = sorted(path.name for path in (config.out / "samples").iterdir())
    assert names == ["step000004.png", "step000008.png"]
    with Image.open(config.out / "samples" / names[0]) as image:
        assert image.size == (3 * 16, 2 * 16)
