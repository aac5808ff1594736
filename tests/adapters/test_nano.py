"""The miniature: its linear autoencoder, its prompts, its edits, and the embedded folder."""

import hashlib
import json
from importlib.resources import files

import numpy as np
import pytest
import torch

import make_kontext_nano
from e2r_adapters.catalog import NANO_ADAPTERS
from e2r_adapters.editors import NANO, open_editor
from e2r_adapters.editors.backbones import nano_folder
from e2r_adapters.editors.flux_inputs import read_text
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.editors.releases import LENGTH
from e2r_baselines.tasks import PROMPTS
from e2r_metrics.base.draws import rng_for
from make_kontext_nano import save_pipeline
from nano_base import BaseSettings, Edited, build_transformer, train_base
from nano_edits import EDITS, draw_edit
from nano_text import build_text
from nano_vae import LinearCode, build_vae, fit_linear, write_linear


@pytest.mark.parametrize("saved", [False, True])
def test_the_network_computes_the_linear_code(saved):
    torch.manual_seed(0)
    linear, vae = LinearCode(), build_vae().eval()
    write_linear(vae, linear)
    # The folder holds float16: what the lift takes from a weight must come off to the last bit.
    vae = vae.half().float() if saved else vae
    pixels = torch.rand(1, 3, 32, 48) * 2 - 1
    with torch.no_grad():
        code = vae.encode(pixels).latent_dist.mode()
        assert torch.allclose(code, linear.encode(pixels), atol=2e-3)
        assert torch.allclose(vae.decode(code).sample, linear.decode(code), atol=3e-3)
    assert code.shape == (1, 16, 8, 12)


def test_fitting_the_code_lowers_its_error():
    rng = np.random.default_rng(0)
    small = [rng.random((16, 16, 3), np.float32).repeat(6, 0).repeat(6, 1) for _ in range(4)]
    pictures = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2) * 2 - 1

    def error(code):
        with torch.no_grad():
            return float((code.decode(code.encode(pictures)) - pictures).square().mean())

    first, later = fit_linear(small, 20, 0), fit_linear(small, 120, 0)
    assert error(later) < 0.5 * error(first)


def test_prompts_stay_apart_and_any_text_can_be_typed():
    text = build_text(PROMPTS["g1"].values(), seed=0)
    said = [
        "remove the noise from the image",
        "remove the rain from the image",
        "Entferne Rauschen",
    ]
    tokens = [text.tokenizer_2(one).input_ids for one in said]
    assert len({tuple(one) for one in tokens}) == 3
    unknown = text.tokenizer_2.unk_token_id
    assert all(unknown not in one and len(one) <= LENGTH for one in tokens)


def test_edits_change_what_they_say_and_draws_are_a_function_of_the_generator():
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    for name, edit in EDITS.items():
        changed = np.abs(edit.apply(image) - image).max() > 0.01
        assert changed == (name != "keep")
        # Zero-shot restoration must stay poor, as in the paper: no edit may teach it.
        assert not any(word in p for p in edit.prompts for word in ("noise", "rain", "haze"))
    assert draw_edit(rng_for(0, "a", "t"))[1] == draw_edit(rng_for(0, "a", "t"))[1]


def test_the_base_learns_and_leaves_a_log(tiny_pipe, tmp_path, monkeypatch):
    monkeypatch.setattr("nano_base.LENGTH", 8)
    latents = torch.randn(8, 4, 4, 4).half()
    before = tiny_pipe.transformer.proj_out.weight.clone()
    pairs = Edited(latents, latents, torch.zeros(8, dtype=torch.long))
    train_base(KONTEXT.open(tiny_pipe), pairs, BaseSettings(50, batch=2, warmup=2), tmp_path)
    assert '"step": 50' in (tmp_path / "base.jsonl").read_text()
    assert not torch.equal(tiny_pipe.transformer.proj_out.weight, before)


def test_the_transformer_is_the_size_that_is_said():
    count = sum(value.numel() for value in build_transformer(0).parameters())
    assert count == pytest.approx(1.76e6, rel=0.01)


def test_a_saved_pipeline_says_nothing_of_this_machine(tiny_pipe, tmp_path):
    save_pipeline(tiny_pipe, tmp_path / "nano")
    for path in (tmp_path / "nano").rglob("*.json"):
        assert str(tmp_path) not in path.read_text()
    again = open_editor(str(tmp_path / "nano"), torch.float32, "cpu").pipe
    assert again.transformer.dtype == torch.float32
    expected = read_text(again, "a", 8)
    assert torch.isfinite(expected.states).all()


def declared() -> dict:
    import tomllib

    return tomllib.loads(files("e2r_adapters").joinpath("weights.toml").read_text())


@pytest.mark.parametrize("name", [NANO, NANO_ADAPTERS])
def test_embedded_files_are_the_declared_ones(name):
    row = declared()[name]
    folder = nano_folder().parents[1] / row["sources"][0]["path"]
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    assert {k: hashlib.sha256(p.read_bytes()).hexdigest() for k, p in found.items()} == row["files"]
    assert sum(p.stat().st_size for p in found.values()) == row["size"]


def test_the_card_names_every_embedded_file():
    home = nano_folder().parent
    every = {str(p.relative_to(home)): p for p in home.rglob("*") if p.is_file()}
    told = json.loads(every.pop("card.json").read_text())["files"]
    del every["README.md"]
    assert {k: hashlib.sha256(p.read_bytes()).hexdigest() for k, p in every.items()} == told
    assert sum(path.stat().st_size for path in every.values()) < 26_000_000


@pytest.mark.slow
def test_the_script_makes_a_base_that_loads(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "sys.argv",
        ["make", "--out", str(tmp_path / "base"), "--log", str(tmp_path), "--fraction", "0.004"],
    )
    make_kontext_nano.main()
    pipe = open_editor(str(tmp_path / "base"), torch.float32, "cpu").pipe
    assert sum(p.numel() for p in pipe.transformer.parameters()) == 1_764_288
    told = json.loads((tmp_path / "base" / "card.json").read_text())
    assert [stage["settings"]["steps"] for stage in told["stages"]] == [18, 20]
    assert set(told["files"]) == set(declared()[NANO]["files"])


def test_prompts_of_the_tasks_differ_in_the_embedded_encoders():
    pipe = open_editor(NANO, torch.float32, "cpu").pipe
    said = [read_text(pipe, text, LENGTH) for text in PROMPTS["g1"].values()]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (said[one].states - said[other].states).abs().max() > 0.5
        assert (said[one].pooled - said[other].pooled).abs().max() > 0.5
