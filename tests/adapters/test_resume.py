"""What a training leaves when it is killed, and what is never gone on with or used."""

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from e2r_adapters import lora
from e2r_adapters.editors import FULL, NANO
from e2r_adapters.train import PAINTED, checkpoint, journal, loop, record, select, trained_as
from e2r_adapters.train.checks import check
from e2r_metrics.base.errors import UsageError


def changed(config, **fields):
    return dataclasses.replace(config, **fields)


class StoppedError(Exception):
    pass


def stopped_after(config, steps):
    """Train so many steps of 8 and stop, as by Ctrl-C."""

    def stop(done, _steps, _loss):
        if done > steps:
            raise StoppedError

    with pytest.raises(StoppedError):
        loop.train(config, stop)
    return config.out


KILL = """
import os, pickle, signal, sys
from pathlib import Path
from e2r_adapters.train import loop, record
config = pickle.loads(Path(sys.argv[1]).read_bytes())
at, real = sys.argv[2], record.write_json

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

def write(path, content):
    die() if path.name == at else real(path, content)

record.write_json = write
if at == "samples":
    loop.draw_samples = die
loop.train(config)
"""


@pytest.mark.parametrize("at", ["samples", record.PAIRS_FILE, record.SETTINGS_FILE])
def test_a_kill_between_two_files_loses_neither(config, tmp_path, at):
    config = changed(config, sample_every=2)
    whole = loop.train(changed(config, out=tmp_path / "whole"))
    (tmp_path / "config").write_bytes(pickle.dumps(config))
    died = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILL, str(tmp_path / "config"), at],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    result = loop.train(config)
    assert result.resumed == (2 if at == "samples" else 0)
    assert result.adapter.read_bytes() == whole.adapter.read_bytes()
    for name in ("pairs.json", "training.json", *(f"samples/step00000{i}.png" for i in (2, 4))):
        assert (config.out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_finished_training_is_left_as_it_is(config, monkeypatch):
    first = loop.train(config)
    before = first.adapter.stat().st_mtime_ns
    monkeypatch.setattr(loop, "open_session", lambda *a: pytest.fail("loaded a model for nothing"))
    again = loop.train(config)
    assert (again.resumed, again.steps, again.loss) == (8, 8, first.loss)
    assert first.adapter.stat().st_mtime_ns == before
    assert again.trained_on == {"denoise": "painted", "derain": "painted"}


def test_an_adapter_says_all_that_it_was_trained_with(config):
    assert trained_as(config.out) is None
    loop.train(config)
    told = trained_as(config.out)
    assert told == json.loads((config.out / "training.json").read_text())
    assert told["base"] == "base"
    assert told["trained_on"] == {"denoise": "painted", "derain": "painted"}
    assert record.record_of(config, select(config)) == told
    others = {
        "tasks": changed(config, tasks=("denoise",)),
        "profile": changed(config, profile=dataclasses.replace(config.profile, epochs=3)),
        "pairs_sha256": changed(config, pairs_seed=1),
        "targets": changed(config, targets="attention"),
        "seed": changed(config, seed=1),
    }
    for key, other in others.items():
        assert record.record_of(other, select(other))[key] != told[key]
        with pytest.raises(UsageError, match="holds a training with"):
            loop.train(other)


def test_another_base_of_the_same_name_is_another_training(config, make_tiny_pipe, tmp_path):
    loop.train(config)
    make_tiny_pipe(seed=1).save_pretrained(tmp_path / "other" / "base")
    with pytest.raises(UsageError, match="holds a training with base_fingerprint"):
        loop.train(changed(config, backbone=str(tmp_path / "other" / "base")))


@pytest.mark.parametrize("held", ["finished", "half done"])
def test_checkpoints_of_another_training_are_not_gone_on_with(config, held):
    if held == "finished":
        loop.train(config)
        (config.out / lora.ADAPTER_FILE).unlink()
    else:
        stopped_after(config, 4)
    (config.out / "training.json").unlink()
    with pytest.raises(UsageError, match="a checkpoint of another training"):
        loop.train(changed(config, pairs=2))


def test_an_adapter_of_somebody_else_is_not_overwritten(config):
    from safetensors.torch import save_file

    config.out.mkdir()
    save_file({"a": torch.ones(1)}, config.out / lora.ADAPTER_FILE)
    assert trained_as(config.out) is None
    with pytest.raises(UsageError, match="holds an adapter that was not trained here"):
        loop.train(config)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def torn(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][:20] + "\n" + "".join(lines[2:]))


def foreign(path):
    torch.save({"step": 4, "weights": torch.ones(2)}, path)


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("training.json", cut, r"training\.json: expected the settings of a training"),
        ("training.json", lambda p: p.write_text("[]"), "expected the settings of a training"),
        ("train.jsonl", torn, r"train\.jsonl: expected a row of a training in line 2"),
        ("train.jsonl", lambda p: p.unlink(), r"expected the rows of steps 1 to 4.*found 0"),
        ("train.jsonl", lambda p: p.write_text('{"step": 1, "loss": 1}\n'), "has done, found 1"),
        ("checkpoints/step000004.pt", cut, r"delete step000004\.pt, and the same command goes on"),
        ("checkpoints/step000004.pt", foreign, "a checkpoint of another training"),
        (
            "checkpoints/step000004.pt",
            lambda p: torch.save([1], p),
            "expected a mapping of names to tensors, found list",
        ),
    ],
)
def test_damage_is_one_line(config, file, damage, said):
    out = stopped_after(config, 4)
    damage(out / file)
    with pytest.raises(UsageError, match=said) as caught:
        loop.train(config)
    assert "\n" not in str(caught.value)


def flipped(path, part):
    """Flip a bit in the middle of a part of a file's bytes."""
    content = bytearray(path.read_bytes())
    at = content.index(part) + len(part) // 2
    content[at] ^= 0x10
    path.write_bytes(bytes(content))


def test_a_flipped_bit_of_a_checkpoint_is_not_gone_on_with(config):
    out = stopped_after(config, 4)
    path = out / "checkpoints" / "step000004.pt"
    state = torch.load(path, weights_only=True)
    weights = max(state["trained"], key=lambda tensor: tensor.abs().sum())
    flipped(path, weights.numpy().tobytes())
    changed_ones = torch.load(path, weights_only=True)["trained"]
    same = map(torch.equal, changed_ones, state["trained"])
    assert sum(not one for one in same) == 1, "torch itself noticed: the test needs another fault"
    with pytest.raises(UsageError, match=r"as it was written.*delete step000004\.pt"):
        loop.train(config)


def test_a_flipped_bit_of_an_adapter_is_not_another_adapter(config):
    path = loop.train(config).adapter
    assert lora.inspect(path).problems == ()
    tensors = load_file(path)
    flipped(path, max(tensors.values(), key=lambda t: t.abs().sum()).numpy().tobytes())
    with pytest.raises(UsageError, match="damaged or changed"):
        trained_as(config.out)
    with pytest.raises(UsageError, match="damaged or changed"):
        loop.train(config)
    assert "damaged or changed" in lora.inspect(path).problems[0]


def test_a_bad_checkpoint_can_be_deleted(config):
    out = stopped_after(config, 4)
    (out / "checkpoints" / "step000004.pt").unlink()
    assert loop.train(config).resumed == 2
    assert [row["step"] for row in journal.read_log(out)] == list(range(1, 9))
    assert checkpoint.found(out)


def test_auto_is_resolved_and_recorded(config, monkeypatch):
    asked = []

    def resolve(name):
        asked.append(name)
        return config.backbone

    monkeypatch.setattr(loop, "resolve_backbone", resolve)
    result = loop.train(changed(config, backbone="auto"))
    assert asked == ["auto"]
    assert result.backbone == config.backbone
    assert trained_as(config.out)["base"] == "base"


def test_a_full_size_backbone_is_painted_for_only_by_name(config):
    """On painted pictures, verdicts about the full model would be about something else."""
    for backbone in (FULL, "somebody/else"):
        with pytest.raises(UsageError, match=r"no miniature.*--data denoise=painted"):
            loop.train(changed(config, backbone=backbone))
        by_name = {"denoise": PAINTED, "derain": PAINTED}
        with pytest.raises(UsageError, match="in the local cache"):
            loop.train(changed(config, backbone=backbone, data=by_name))
    check(changed(config, backbone=NANO))


def test_the_word_painted_is_not_also_a_folder(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "painted").mkdir()
    with pytest.raises(UsageError, match="give a folder by its full path"):
        loop.train(changed(config, data={"derain": PAINTED}))
