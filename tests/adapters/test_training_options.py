"""The moving average, the optimizers, and encoded views that are kept in a folder."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from e2r_adapters import lora
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.editors.sana_facts import PROJECTION_FILE
from e2r_adapters.lora import inspect
from e2r_adapters.train import checkpoint, ema, feed, loop, select
from e2r_adapters.train.latents import Memory, open_shelf, read_tensor
from e2r_adapters.train.optimizers import check_optimizer, make_optimizer
from e2r_adapters.train.variation import Variation
from e2r_metrics.base.errors import UsageError

# diffusers 0.36 knows only the old name of the argument.
pytestmark = pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated:FutureWarning")


def changed(config, **fields):
    return dataclasses.replace(config, **fields)


def test_the_average_is_that_of_diffusers_trainers():
    from diffusers.training_utils import EMAModel

    torch.manual_seed(0)
    trained = [torch.nn.Parameter(torch.randn(3, 4)), torch.nn.Parameter(torch.randn(5))]
    theirs, ours = EMAModel(trained, decay=0.75), ema.start(trained)
    for steps in range(1, 60):
        with torch.no_grad():
            for parameter in trained:
                parameter.add_(torch.randn_like(parameter))
        theirs.step(trained)
        ema.follow(ours, trained, steps, 0.75)
        for one, other in zip(ours, theirs.shadow_params, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    # The warm-up reaches 0.75 after 26 steps: both sides of it were seen.
    assert ema.decay_after(20, 0.75) < 0.75 == ema.decay_after(30, 0.75)
    assert ema.decay_after(10_001, 0.9999) == pytest.approx(0.9991, abs=1e-4)


def test_the_average_stands_in_and_is_taken_out_again():
    trained = [torch.nn.Parameter(torch.ones(2))]
    average = [torch.zeros(2)]
    with ema.in_place(average, trained):
        assert trained[0].tolist() == [0, 0]
    assert trained[0].tolist() == [1, 1]
    with ema.in_place([], trained):
        assert trained[0].tolist() == [1, 1]


def weights(folder):
    return load_file(folder / lora.ADAPTER_FILE)


def check_that_it_goes_on(whole, folder):
    """Train a second time, stopped from outside after the third of four steps: the same bits."""
    part = changed(whole, out=folder)

    def stop(done, steps, loss):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(part, stop)
    assert loop.train(part).resumed == 2
    loop.train(whole)
    one, other = weights(whole.out), weights(folder)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_training_saves_its_average_says_so_and_resumes_to_the_same_bits(config, tmp_path):
    asked = changed(config, tasks=("denoise",), ema=0.5, checkpoint_every=1)
    check_that_it_goes_on(asked, tmp_path / "part")
    plain = changed(asked, ema=0.0, out=tmp_path / "plain")
    loop.train(plain)
    raw = weights(plain.out)
    saved = weights(asked.out)
    assert any(not torch.equal(saved[key], raw[key]) for key in saved)
    # What was trained is the same: only what is saved differs.
    state, bare = (
        torch.load(checkpoint.found(folder)[-1], weights_only=True)
        for folder in (asked.out, plain.out)
    )
    assert all(torch.equal(a, b) for a, b in zip(state["trained"], bare["trained"], strict=True))
    told = inspect(asked.out / lora.ADAPTER_FILE).record["ema"]
    assert told == {"decay": 0.5, "warm_up": ema.WARM_UP, "saved": "the average"}
    assert json.loads((asked.out / "training.json").read_text())["ema"] == told
    assert "ema" not in inspect(plain.out / lora.ADAPTER_FILE).record
    with pytest.raises(UsageError, match="holds a training with ema = "):
        loop.train(changed(asked, ema=0.9))


def test_eight_bits_are_refused_where_they_cannot_be(monkeypatch, config):
    with pytest.raises(UsageError, match=r"expected a CUDA device.*found the CPU"):
        loop.train(changed(config, optimizer="adamw8bit"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("e2r_adapters.train.optimizers.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"expected bitsandbytes, found none; pip install"):
        check_optimizer("adamw8bit", "auto")
    with pytest.raises(UsageError, match="expected a CUDA device"):
        check_optimizer("adamw8bit", "cpu")
    with pytest.raises(UsageError, match="did you mean 'adamw'"):
        check_optimizer("adam", "cpu")  # pyright: ignore[reportArgumentType]


@pytest.mark.gpu
def test_eight_bits_step_where_they_can():
    pytest.importorskip("bitsandbytes")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    trained = torch.nn.Parameter(torch.ones(128, 64, device="cuda"))
    groups = [{"params": [trained], "lr": 0.1, "weight_decay": 0.0}]
    optimizer = make_optimizer("adamw8bit", groups, (0.9, 0.999))
    trained.square().sum().backward()
    optimizer.step()
    assert torch.allclose(trained, torch.full_like(trained, 0.9), atol=1e-2)


VARIED = Variation(
    augment=("flip",), degrade="mixed", variants=2, prompts={"denoise": ("clean it", "denoise")}
)


def counted(pipe, monkeypatch):
    """Count the pictures that the autoencoder sees."""
    seen: list[int] = []
    encode = pipe.vae.encode
    monkeypatch.setattr(pipe.vae, "encode", lambda x: seen.append(len(x)) or encode(x))
    return seen


def fed(pipe, asked, seed=1):
    editor = KONTEXT.open(pipe)
    store = open_shelf(asked.latents, editor) if asked.latents else Memory()
    show = feed.Show(asked.profile, asked.variation, seed)
    return feed.make_feed(editor, select(asked).pairs, show, store)


def test_a_folder_of_latents_is_what_memory_would_hold(
    tiny_pipe, make_tiny_pipe, config, tmp_path, monkeypatch
):
    asked = changed(config, tasks=("denoise",), pairs=2, variation=VARIED)
    held = fed(tiny_pipe, asked)
    kept = changed(asked, latents=tmp_path / "kept")
    first = fed(tiny_pipe, kept)
    seen = counted(tiny_pipe, monkeypatch)
    again = fed(tiny_pipe, kept)
    # Only the fixed picture, as target and as condition.
    assert sum(seen) == 2
    editor = KONTEXT.open(tiny_pipe)
    for step in range(4):
        one, *others = (some.draw(step, 0, 1, editor) for some in (held, first, again))
        for other in others:
            assert torch.equal(one.clean, other.clean)
            for name in ("tokens", "states", "pooled", "clip", "guidance"):
                mine, theirs = (getattr(b.conditioning, name) for b in (one, other))
                assert torch.equal(mine, theirs)
            assert one.conditioning.shape == other.conditioning.shape
    # Two texts and one guidance stand in the folder once, whatever the number of views.
    entries = len(list((kept.latents / "entries").iterdir()))
    assert entries == 16 * (1 + 2)
    assert len(list((kept.latents / "tensors").iterdir())) < entries


def test_a_changed_input_never_finds_an_old_latent(
    tiny_pipe, make_tiny_pipe, config, tmp_path, monkeypatch
):
    for side in ("clean", "degraded"):
        (tmp_path / "set" / side).mkdir(parents=True)
        for index in range(2):
            picture = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "set" / side / f"{index}.png")
    asked = changed(
        config, tasks=("denoise",), pairs=2, data={"denoise": tmp_path / "set"},
        latents=tmp_path / "kept",
    )  # fmt: skip
    fed(tiny_pipe, asked)
    seen = counted(tiny_pipe, monkeypatch)

    def fresh(now=asked, pipe=tiny_pipe):
        """Return how many pictures are encoded beside the two of the probe."""
        seen.clear()
        fed(pipe, now)
        return sum(seen) - 2

    assert fresh() == 0
    # One pixel of one side: the pair is encoded anew, both sides of it.
    path = tmp_path / "set" / "degraded" / "0.png"
    with Image.open(path) as opened:
        picture = np.array(opened)
    picture[3, 4, 0] ^= 1
    Image.fromarray(picture).save(path)
    assert fresh() == 2
    assert fresh() == 0
    # Another wording: conditions anew. Another length of text: all of them too.
    assert fresh(changed(asked, variation=Variation(prompts={"denoise": ("other",)}))) > 0
    longer = dataclasses.replace(asked.profile, sequence=80)
    assert fresh(changed(asked, profile=longer)) > 0
    # Another autoencoder under the same name.
    with torch.no_grad():
        next(tiny_pipe.vae.encoder.parameters()).mul_(1.01)
    assert fresh() == 4
    assert fresh() == 0


def test_what_is_damaged_or_lost_is_made_again_and_said(tiny_pipe, config, tmp_path, caplog):
    asked = changed(config, tasks=("denoise",), pairs=2, latents=tmp_path / "kept")
    editor = KONTEXT.open(tiny_pipe)
    first = fed(tiny_pipe, asked)
    whole = first.draw(0, 0, 1, editor)
    tensors = sorted((asked.latents / "tensors").iterdir())
    written = {path: path.read_bytes() for path in tensors}

    def damaged():
        for path, content in written.items():
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        read_tensor.cache_clear()

    damaged()
    # In the middle of a training: never shown, and the same command makes them anew.
    with pytest.raises(UsageError, match="here when the training began; give the same command"):
        first.draw(0, 0, 1, editor)
    damaged()
    caplog.clear()
    again = fed(tiny_pipe, asked).draw(0, 0, 1, editor)
    assert torch.equal(again.clean, whole.clean)
    assert torch.equal(again.conditioning.tokens, whole.conditioning.tokens)
    assert {path: path.read_bytes() for path in tensors} == written
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said)) <= len(tensors)
    assert all("expected what was encoded as it was written" in line for line in said)
    for path in tensors:
        path.unlink()
    entry = next((asked.latents / "entries").iterdir())
    told = entry.read_text()
    for broken in ("{", "[]", '{"tensors": [], "plain": {}}'):
        entry.write_text(broken)
        read_tensor.cache_clear()
        again = fed(tiny_pipe, asked).draw(0, 0, 1, editor)
        assert torch.equal(again.clean, whole.clean)
        assert entry.read_text() == told


def test_latents_do_not_go_among_files_of_something_else(tiny_pipe, config, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"expected an empty folder.* found a\.png"):
        fed(tiny_pipe, changed(config, latents=tmp_path / "photos"))
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.png"]


def test_latents_are_kept_where_there_are_any_before_the_training(config, tmp_path):
    asked = changed(config, latents=tmp_path / "kept", variation=Variation(augment=("flip",)))
    with pytest.raises(UsageError, match="--latents: expected --variants too"):
        loop.train(asked)


def test_a_varied_training_goes_on_to_the_same_bits(config, tmp_path):
    varied = dataclasses.replace(VARIED, variants=0, curriculum=((0, 16), (1, 24)))
    whole = changed(config, tasks=("denoise",), variation=varied, sample_every=4)
    check_that_it_goes_on(whole, tmp_path / "part")
    assert (whole.out / "samples" / "step000004.png").is_file()
    with pytest.raises(UsageError, match="holds a training with variation = "):
        loop.train(changed(whole, variation=VARIED))


@pytest.mark.parametrize("variants", [0, 2])
def test_paired_training_by_channels_takes_them_all(make_sana, config, tmp_path, variants):
    """SANA's own recipe, with drawn pictures, kept latents, wordings and the average."""
    make_sana().save_pretrained(tmp_path / "sana")
    asked = changed(
        config, backbone=str(tmp_path / "sana"), recipe="channel-concat", tasks=("denoise",),
        variation=dataclasses.replace(VARIED, variants=variants), ema=0.9,
        latents=tmp_path / "kept" if variants else None,
    )  # fmt: skip
    loop.train(asked)
    told = inspect(asked.out / lora.ADAPTER_FILE).record
    assert told["recipe"] == "channel-concat"
    assert told["variation"]["degrade"] == "mixed"
    held = torch.load(checkpoint.found(asked.out)[-1], weights_only=True)
    saved = load_file(asked.out / PROJECTION_FILE)
    (projection,) = saved.values()
    # It is the average that is saved, of the projection too.
    averages = [one for one in held["average"] if one.shape == projection.shape]
    assert any(torch.equal(one, projection) for one in averages)
    assert not any(torch.equal(one, projection) for one in held["trained"])
