"""What makes `promptir-nano`: repeatable, outside the package, and true to the card it wrote."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import e2r_baselines

FACTORY = Path(e2r_baselines.__file__).parents[1] / "factory"
NANO = Path(e2r_baselines.__file__).parent / "embedded" / "promptir-nano"


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FACTORY)
    return importlib.import_module("make_promptir_nano")


def test_the_same_recipe_gives_the_same_file(
    maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maker, "held_out", lambda network, seed: {})
    recipe = maker.Recipe(steps=2, batch=1, crop=32, pictures=40)
    for name in ("one", "two"):
        maker.train(recipe, tmp_path / name)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    record = json.loads((tmp_path / "one" / "training.json").read_text())
    assert record["steps_done"] == record["recipe"]["steps"] == 2
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "model.safetensors", "training.json",
    ]  # fmt: skip


def test_it_starts_as_the_identity(maker: ModuleType) -> None:
    picture = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(maker.initial(0)(picture), picture)


def test_a_batch_is_named_by_its_step(maker: ModuleType) -> None:
    recipe = maker.Recipe(steps=10, batch=2, crop=32, pictures=40)
    first, again, other = (maker._batch(recipe, step) for step in (3, 3, 4))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first[1], other[1])
    assert first[0].shape == first[1].shape == (2, 3, 32, 32)


def test_the_card_says_what_the_embedded_weights_reach(maker: ModuleType) -> None:
    from safetensors.torch import load_file

    from e2r_baselines.degrade import degrade
    from e2r_baselines.promptir import NANO as SHAPE
    from e2r_baselines.promptir import PromptIR
    from e2r_baselines.tasks import TASKS
    from e2r_metrics.base.draws import rng_for
    from promptir_nano_card import gain, photographs  # pyright: ignore[reportMissingImports]

    network = PromptIR(SHAPE).eval()
    network.load_state_dict(
        {k: v.float() for k, v in load_file(NANO / "model.safetensors").items()}
    )
    rows: list[tuple[float, float]] = []
    for name, clean in photographs().items():
        noisy = degrade(
            TASKS["denoise50"], clean, clean[..., 0], rng_for(0, name, "card denoise50")
        )
        stored = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.float32) / np.float32(255)
        rows.append(gain(network, clean, stored))
    before, after = np.mean(rows, axis=0)
    said = json.loads((NANO / "card.json").read_text())["psnr_on_photographs"]["denoise50"]
    assert (before, after) == pytest.approx((said["degraded"], said["restored"]), abs=0.02)


def test_it_runs_as_a_script() -> None:
    done = subprocess.run(
        [sys.executable, FACTORY / "make_promptir_nano.py", "--help"],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert "--card" in done.stdout
