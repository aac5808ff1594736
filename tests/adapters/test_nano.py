"""The miniatures: their linear autoencoder, prompts and edits, and the embedded folders."""

import hashlib
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

import e2r_baselines
import make_nano
import nano_rain
from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import MINIATURES, NANO, Instruction, open_editor, resolve_backbone
from e2r_adapters.editors.backbones import fingerprint_of
from e2r_adapters.editors.families import family_of
from e2r_adapters.editors.fill import FILL, PROMPT
from e2r_adapters.editors.miniatures import miniature_folder
from e2r_adapters.editors.releases import LENGTH
from e2r_adapters.lora.inspection import inspect
from e2r_adapters.lora.places import adapters_in
from e2r_adapters.rows import BY_FAMILY
from e2r_baselines.method import Compute, Draw, Photo, spec_of
from e2r_baselines.procedural import dead_leaves
from e2r_baselines.tasks import KINDS, PROMPTS, TASKS, rain_streaks
from e2r_bench.cli import main
from e2r_bench.store.info import marked
from e2r_bench.store.store import open_store
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import eight_bit, read_image
from make_nano import save_pipeline
from nano_base import BaseSettings, EditSettings, encode_edits, train_base
from nano_decoder import DecoderSettings, fit_decoder, perceptual_weight, write_decoder
from nano_edits import EDITS, draw_edit
from nano_networks import TOKEN, build_transformer, build_transformer_2, widened
from nano_pictures import paint_canvases
from nano_rain import layered_rain
from nano_recipes import RECIPES, phrases
from nano_text import build_chat, build_text
from nano_vae import LinearCode, build_vae, fit_linear, normalised, read_code, write_linear


@pytest.mark.parametrize("saved", [False, True])
def test_the_network_computes_the_linear_code_and_its_decoder_starts_at_the_linear_one(saved):
    torch.manual_seed(0)
    linear, vae = LinearCode(), build_vae().eval()
    write_linear(vae, linear)
    write_decoder(vae.decoder, linear)
    # The folder holds float16: what the lift takes from a weight must come off to the last bit.
    vae = vae.half().float() if saved else vae
    pixels = torch.rand(1, 3, 32, 48) * 2 - 1
    with torch.no_grad():
        code = vae.encode(pixels).latent_dist.mode()
        assert torch.allclose(code, linear.encode(pixels), atol=2e-3)
        # The free channels move the mean that the norms subtract, which changes the gain a little.
        assert torch.allclose(vae.decode(code).sample, linear.decode(code), rtol=0.05, atol=3e-3)
    assert code.shape == (1, 16, 8, 12)


def test_a_code_is_read_back_from_its_encoder_and_kept_by_a_new_fit():
    torch.manual_seed(0)
    linear, vae = LinearCode(), build_vae().eval()
    write_linear(vae, linear)
    again = read_code(vae)
    pixels = torch.rand(1, 3, 32, 48) * 2 - 1
    code = again.encode(pixels)
    with torch.no_grad():
        assert torch.allclose(code, linear.encode(pixels), atol=2e-3)
    start = again.read.weight.detach().clone()
    fit_linear([np.random.default_rng(0).random((96, 96, 3), np.float32)], 3, 0, again)
    assert torch.equal(again.encode(pixels), code)
    assert not torch.equal(again.read.weight, start)


def test_a_trained_decoder_reads_the_same_code_better_and_leaves_a_log(tmp_path):
    small = [dead_leaves(rng_for(0, str(i), "decoder"), 96)[0] for i in range(4)]
    pictures = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2) * 2 - 1
    torch.manual_seed(0)
    vae, linear = build_vae().eval(), fit_linear(small, 60, 0)
    write_linear(vae, linear)
    write_decoder(vae.decoder, linear)
    with torch.no_grad():
        code = vae.encode(pictures).latent_dist.mode()

    @torch.no_grad()
    def error():
        return float((vae.decode(code).sample - pictures).abs().mean())

    before = error()
    fit_decoder(vae, pictures, DecoderSettings(250, 4, 32, 5e-5, 0.0), tmp_path)
    assert error() < 0.95 * before
    with torch.no_grad():
        assert torch.equal(vae.encode(pictures).latent_dist.mode(), code)
    (row,) = [json.loads(one) for one in (tmp_path / "decoder.jsonl").read_text().splitlines()]
    assert row["step"] == 250


def test_lpips_joins_after_a_fifth_of_the_steps():
    settings = DecoderSettings(1000, perceptual=0.2)
    weights = [perceptual_weight(step, settings) for step in (0, 199, 250, 300, 999)]
    assert weights == pytest.approx([0, 0, 0.1, 0.2, 0.2])


def test_fitting_the_code_lowers_its_error():
    rng = np.random.default_rng(0)
    small = [rng.random((16, 16, 3), np.float32).repeat(6, 0).repeat(6, 1) for _ in range(4)]
    pictures = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2) * 2 - 1

    def error(code):
        with torch.no_grad():
            return float((code.decode(code.encode(pictures)) - pictures).square().mean())

    first, later = fit_linear(small, 20, 0), fit_linear(small, 120, 0)
    assert error(later) < 0.5 * error(first)


def test_flux2s_class_has_the_same_code_of_unit_spread_as_its_pipeline_packs_it(make_klein):
    torch.manual_seed(0)
    vae = build_vae().eval()
    write_linear(vae, LinearCode())
    write_decoder(vae.decoder, LinearCode())
    rng = np.random.default_rng(0)
    pictures = [rng.random((32, 48, 3), np.float32) for _ in range(4)]
    pipe = make_klein()
    pipe.vae = normalised(vae, pictures).eval()
    editor = family_of("Flux2KleinPipeline", "test").open(pipe)
    latents = editor.encode(pictures, pictures)
    assert latents.shape[1:] == (TOKEN, 4, 6)
    assert torch.allclose(latents.mean(dim=(0, 2, 3)), torch.zeros(TOKEN), atol=1e-3)
    assert torch.allclose(latents.std(dim=(0, 2, 3)), torch.ones(TOKEN), atol=1e-2)
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) * 2 - 1
    with torch.no_grad():
        same = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
    again = torch.from_numpy(np.stack(editor.decode(latents))).permute(0, 3, 1, 2)
    assert torch.allclose(again, (same / 2 + 0.5).clamp(0, 1), atol=1e-3)


def test_prompts_stay_apart_and_any_text_can_be_typed():
    said = [
        "remove the noise from the image",
        "remove the rain from the image",
        "Entferne Rauschen",
    ]
    kontext = build_text(PROMPTS["g1"].values(), seed=0).tokenizer_2
    qwen, klein = build_chat(PROMPTS["g1"].values(), seed=0)
    for tokenizer in (kontext, klein):
        tokens = [tokenizer(one).input_ids for one in said]
        assert len({tuple(one) for one in tokens}) == 3
        unknown = tokenizer.unk_token_id
        assert all(unknown not in one and len(one) <= LENGTH for one in tokens)
    assert qwen.config.vocab_size >= len(klein)


def test_icedits_words_leave_room_for_every_instruction():
    words = [PROMPT.format(instruction=said) for said in phrases()]
    text = build_text(words, seed=0)
    lengths = [len(text.tokenizer_2(one).input_ids) for one in words]
    assert LENGTH < max(lengths) <= FILL.least_length
    assert max(len(text.tokenizer(one).input_ids) for one in words) <= 77


def test_edits_change_what_they_say_and_draws_are_a_function_of_the_generator():
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    for name, edit in EDITS.items():
        changed = np.abs(edit.apply(image) - image).max() > 0.01
        assert changed == (name != "keep")
        # Zero-shot restoration must stay poor, as in the paper: no edit may teach it.
        assert not any(word in p for p in edit.prompts for word in ("noise", "rain", "haze"))
    assert draw_edit(rng_for(0, "a", "t"))[1] == draw_edit(rng_for(0, "a", "t"))[1]


def test_layered_rain_only_brightens_and_is_a_function_of_the_generator():
    clean = np.full((96, 96, 3), 0.3, np.float32)
    rained = [layered_rain(clean, rng_for(0, str(i), "rain")) for i in range(6)]
    for one in rained:
        assert (one - clean).min() >= 0
        assert 0.05 < (one - clean).max() <= 3 * 0.6 + 1e-6
        assert np.array_equal(one[..., 0], one[..., 2])
    assert np.array_equal(rained[3], layered_rain(clean, rng_for(0, "3", "rain")))
    assert not np.array_equal(rained[3], rained[4])


@pytest.mark.parametrize(("own", "rain"), [("1", rain_streaks), ("0", layered_rain)])
def test_pairs_of_rain_are_painted_of_the_kind_and_seed_that_are_asked_for(
    tmp_path, monkeypatch, own, rain
):
    asked = f"rain --out {tmp_path} --pairs 2 --seed 7 --own {own}"
    monkeypatch.setattr("sys.argv", asked.split())
    nano_rain.main()
    for index, clean in enumerate(paint_canvases(2, 7, "leaf-rain", varied=True)):
        rng = rng_for(7, str(index), "nano-rain")
        rng.random()
        target, rained = (
            read_image(tmp_path / part / f"{index:04d}.png") for part in ("target", "input")
        )
        assert np.array_equal(target, eight_bit(clean))
        assert np.array_equal(rained, eight_bit(np.clip(rain(clean, rng), 0, 1)))
    assert len(list((tmp_path / "input").iterdir())) == 2


@pytest.fixture(params=["kontext", "klein", "fill"])
def tiny_any(request, make_tiny_pipe, make_klein, make_fill):
    """A tiny pipeline of each family that has a miniature."""
    return {"kontext": make_tiny_pipe, "klein": make_klein, "fill": make_fill}[request.param]()


def test_the_base_learns_and_leaves_a_log(tiny_any, tmp_path):
    editor = family_of(type(tiny_any).__name__, "test").open(tiny_any)
    before = tiny_any.transformer.proj_out.weight.clone()
    canvases = [np.random.default_rng(0).random((256, 256, 3), np.float32)]
    shown = EditSettings(16, 256, guidance=(1.0, 5.0), silent=0.5)
    pairs = encode_edits(editor, canvases, 4, 0, shown)
    train_base(editor, pairs, BaseSettings(50, batch=2, warmup=2), tmp_path)
    assert '"step": 50' in (tmp_path / "base.jsonl").read_text()
    assert not torch.equal(tiny_any.transformer.proj_out.weight, before)


def test_pairs_are_a_function_of_the_seed_and_guidance_is_drawn_as_asked(make_fill):
    canvases = [np.random.default_rng(0).random((256, 256, 3), np.float32)]
    editor = FILL.open(make_fill())
    shown = EditSettings(16, 256, guidance=(1.0, 64.0))
    one, same = (encode_edits(editor, canvases, 8, 0, shown) for _ in range(2))
    assert torch.equal(one.target, same.target)
    drawn = editor.together(one.given).guidance
    assert torch.equal(drawn, editor.together(same.given).guidance)
    assert drawn.min() >= 1
    assert 5 < drawn.max() <= 64


def test_an_empty_prompt_is_shown_as_often_as_asked(make_klein):
    canvases = [np.random.default_rng(0).random((256, 256, 3), np.float32)]
    editor = family_of("Flux2KleinPipeline", "test").open(make_klein())
    (empty,) = editor.condition(Photo("a", canvases[0][:16, :16]), [Instruction("", 1.0, 64)])
    for share, wanted in ((0.0, 0), (1.0, 4)):
        pairs = encode_edits(editor, canvases, 4, 0, EditSettings(16, 64, silent=share))
        assert sum(torch.equal(one.states, empty.states) for one in pairs.given) == wanted


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (lambda: build_transformer(0), 1_764_288),
        (lambda: build_transformer(0, 2 * TOKEN), 1_780_672),
        (lambda: build_transformer_2(0), 1_646_976),
    ],
)
def test_the_transformers_are_the_size_that_is_said(build, wanted):
    assert sum(value.numel() for value in build().parameters()) == wanted


def test_a_widened_transformer_says_what_the_plain_one_says_at_any_guidance():
    plain = build_transformer(3)
    wide = widened(plain, 2 * TOKEN)
    tokens = torch.randn(1, 6, TOKEN)
    given = {
        "timestep": torch.tensor([0.4]),
        "pooled_projections": torch.randn(1, 64), "encoder_hidden_states": torch.randn(1, 5, 64),
        "txt_ids": torch.zeros(5, 3), "img_ids": torch.zeros(6, 3), "return_dict": False,
    }  # fmt: skip
    with torch.no_grad():
        said = plain(hidden_states=tokens, guidance=torch.tensor([2.5]), **given)[0]
        joined = torch.cat([tokens, torch.randn(1, 6, 2 * TOKEN)], dim=2)
        for scale in (1.0, 50.0):
            again = wide(hidden_states=joined, guidance=torch.tensor([scale]), **given)[0]
            assert torch.allclose(again, said, atol=1e-5)


def test_a_saved_pipeline_says_nothing_of_this_machine(tiny_any, tmp_path):
    save_pipeline(tiny_any, tmp_path / "nano")
    for path in (tmp_path / "nano").rglob("*.json"):
        assert str(tmp_path) not in path.read_text()
    again = open_editor(str(tmp_path / "nano"), torch.float32, "cpu")
    assert again.networks["transformer"].dtype == torch.float32
    photo = Photo("a", np.full((16, 16, 3), 0.5, np.float32))
    (given,) = again.condition(photo, [Instruction("a", 1.0, 96)])
    assert torch.isfinite(given.states).all()


def declared() -> dict:
    import tomllib

    return tomllib.loads(files("e2r_adapters").joinpath("weights.toml").read_text())


EMBEDDED = [name for key, one in MINIATURES.items() for name in (key, one.adapters)]


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_files_are_the_declared_ones(name):
    row = declared()[name]
    folder = miniature_folder(NANO).parents[1] / row["sources"][0]["path"]
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    found.pop("card.json", None)
    assert {k: hashlib.sha256(p.read_bytes()).hexdigest() for k, p in found.items()} == row["files"]
    assert sum(p.stat().st_size for p in found.values()) == row["size"]


def test_the_cards_name_every_embedded_file():
    home = miniature_folder(NANO).parent
    every = {str(p.relative_to(home)): p for p in home.rglob("*") if p.is_file()}
    told: dict[str, str] = {}
    for card in [name for name in every if name.endswith("card.json")]:
        told |= json.loads(every.pop(card).read_text())["files"]
    del every["README.md"]
    assert {k: hashlib.sha256(p.read_bytes()).hexdigest() for k, p in every.items()} == told


def test_the_embedded_weights_of_the_whole_project_stay_under_40_megabytes():
    homes = [miniature_folder(NANO).parent, Path(e2r_baselines.__file__).parent / "embedded"]
    sizes = [p.stat().st_size for home in homes for p in home.rglob("*") if p.is_file()]
    assert 10_000_000 < sum(sizes) < 40_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RECIPES))
def test_the_script_makes_a_base_that_loads(tmp_path, monkeypatch, name):
    asked = f"make {name} --out {tmp_path / 'base'} --log {tmp_path} --fraction 0.004"
    monkeypatch.setattr("sys.argv", asked.split())
    make_nano.main()
    editor = open_editor(str(tmp_path / "base"), torch.float32, "cpu")
    assert editor.family.name == name.removesuffix("-nano")
    told = json.loads((tmp_path / "base" / "card.json").read_text())
    steps = [round(0.004 * stage.settings.steps) for stage in RECIPES[name].stages]
    assert [stage["settings"]["steps"] for stage in told["stages"]] == steps
    if name in MINIATURES:
        assert set(told["files"]) == set(declared()[name]["files"])


@pytest.mark.parametrize("name", list(MINIATURES))
def test_prompts_of_the_tasks_differ_in_the_embedded_encoders(name):
    editor = open_editor(name, torch.float32, "cpu")
    length = max(LENGTH, editor.family.least_length)
    photo = Photo("a", np.full((16, 16, 3), 0.5, np.float32))
    said = [Instruction(text, 1.0, length) for text in PROMPTS["g1"].values()]
    states = [given.states for given in editor.condition(photo, said)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (states[one] - states[other]).abs().max() > 0.5


@pytest.mark.parametrize("name", list(MINIATURES))
def test_auto_is_a_familys_miniature_without_weights_and_every_row_says_so(name, monkeypatch):
    monkeypatch.setattr("e2r_adapters.editors.backbones._cached", lambda hub_id: False)
    assert resolve_backbone("auto", family=MINIATURES[name].family) == name
    method = {"kontext": "kontext_lora", "klein": "klein_lora", "fill": "icedit"}
    spec = spec_of(METHODS[method[MINIATURES[name].family]])
    (build,) = spec.builds
    assert (build.name, build.miniature) == (name, True)
    assert build.files == (name, MINIATURES[name].adapters)
    assert spec.tasks == MINIATURES[name].kinds
    assert spec.licence == "Apache-2.0"


@pytest.mark.parametrize(
    ("name", "edition", "digest"),
    [
        ("kontext-nano", 3, "e9b609e75dfeb202"),
        ("fill-nano", 2, "c06e45dfac6ec821"),
        ("klein-nano", 2, "16513236c81907a9"),
    ],
)
def test_an_edition_of_a_miniature_is_what_its_record_says(name, edition, digest):
    """Whoever changes a file of a model or its adapters must raise the edition, and both here."""
    tables = declared()
    lines = [
        f"{table}/{path}={sha256}\n"
        for table in (name, MINIATURES[name].adapters)
        for path, sha256 in sorted(tables[table]["files"].items())
    ]
    found = hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
    assert (tables[name]["edition"], found) == (edition, digest)
    page = (Path(__file__).parents[2] / "docs" / "kontext.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if re.match(rf"\| .*`{name}`.* \| \d+ \| ", line)]
    assert f" | {edition} | " in row
    (bare,) = spec_of(METHODS[BY_FAMILY[MINIATURES[name].family]], {"backbone": name}).builds
    assert bare.title == f"{name} (edition {edition})"


def test_an_edition_is_said_of_a_miniature_with_an_adapter_of_ones_own():
    own = miniature_folder(NANO).parent / "adapters" / "denoise"
    (build,) = spec_of(METHODS["kontext_lora"], {"backbone": NANO, "adapter": own}).builds
    assert build.title == "kontext-nano+denoise (edition 3)"
    assert marked(build.title) == "kontext-nano+denoise (miniature, edition 3)"


@pytest.mark.parametrize("name", list(MINIATURES))
def test_adapters_are_of_their_miniature(name):
    row = declared()[MINIATURES[name].adapters]
    folder = miniature_folder(NANO).parents[1] / row["sources"][0]["path"]
    paths = adapters_in(folder)
    assert set(paths) == MINIATURES[name].kinds
    for path in paths.values():
        told = inspect(path)
        assert told.problems == ()
        assert told.record["base"] == name
        assert told.record["base_fingerprint"] == fingerprint_of(name)


def _clean() -> list[np.ndarray]:
    return [dead_leaves(rng_for(5, str(i), "nano-test"), 128)[0] for i in range(4)]


@pytest.mark.parametrize("name", list(MINIATURES))
def test_a_miniature_with_its_adapter_restores_strong_noise(name):
    method = {"kontext": "kontext_lora", "klein": "klein_lora", "fill": "icedit"}
    spec = spec_of(METHODS[method[MINIATURES[name].family]], {"backbone": name})
    home, rows = miniature_folder(NANO).parents[1], declared()
    files = {key: home / rows[key]["sources"][0]["path"] for key in spec.builds[0].files}
    clean, task = _clean(), TASKS["denoise50"]
    noisy = [
        np.clip(one + rng_for(5, str(i), "noise").normal(size=one.shape) * 50 / 255, 0, 1)
        for i, one in enumerate(clean)
    ]
    photos = [Photo(str(i), one.astype(np.float32)) for i, one in enumerate(noisy)]
    restorer = spec.open(spec.builds[0], files, Compute())
    found = {one.photo_id: one.pixels for one in restorer.restore(photos, task, [Draw(0, 4)])}

    def psnr(one, other):
        return -10 * np.log10(np.square(one - other).mean())

    gains = [psnr(found[str(i)], one) - psnr(noisy[i], one) for i, one in enumerate(clean)]
    assert np.mean(gains) > 4


@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2", "transformer"])
def test_a_network_that_did_not_get_its_files_weights_is_refused(part, tmp_path, monkeypatch):
    """Under transformers 5.0 CLIP's tensors had other names, and random weights ran in silence."""
    from e2r_adapters.editors import loading

    folder = tmp_path / "own"
    shutil.copytree(miniature_folder(NANO), folder)
    loaded = loading._load

    def forgetful(*given):
        pipe = loaded(*given)
        for weight in getattr(pipe, part).parameters():
            torch.nn.init.normal_(weight)
        return pipe

    open_editor(str(folder), torch.float32, "cpu")
    monkeypatch.setattr(loading, "_load", forgetful)
    with pytest.raises(UsageError, match=rf"{part}: expected its weights in the network, found"):
        open_editor(str(folder), torch.float32, "cpu")


@pytest.mark.parametrize("name", ["kontext-nano", "fill-nano"])
def test_clips_tensors_are_named_as_releases_name_them(name):
    from safetensors.torch import load_file

    tensors = load_file(miniature_folder(name) / "text_encoder" / "model.safetensors")
    assert all(key.startswith("text_model.") for key in tensors)


def test_a_task_without_an_adapter_is_not_planned_and_the_others_are_restored(tmp_path, capsys):
    asked = ["--methods", "klein_lora", "--tasks", "derain,denoise50", "--metrics", "psnr"]
    out = ["--limit", "1", "--steps", "1", "--device", "cpu", "--out", str(tmp_path / "run")]
    assert main(["run", *asked, *out]) == 0
    store = open_store(tmp_path / "run")
    rows = store.frame()
    made = rows[(rows.method == "klein_lora") & (rows.metric == "psnr")]
    assert made.task.tolist() == ["denoise50"]
    assert made.value.notna().all()
    told = capsys.readouterr()
    line = "klein_lora: no adapter for derain in klein-nano; not planned"
    assert line in told.err
    assert line in told.out
    assert "failed" not in told.out + told.err


def test_a_method_that_serves_none_of_the_tasks_is_refused_before_anything(tmp_path, capsys):
    out = tmp_path / "run"
    asked = ["--methods", "klein_lora", "--tasks", "derain,dehaze", "--out", str(out)]
    for more in ([], ["--dry-run"]):
        assert main(["run", *asked, *more]) == 2
        said = capsys.readouterr().err
        assert "expected a task that it serves (--tasks denoise15,denoise25,denoise50)" in said
        # Some libraries' lowest versions end a line of their own first.
        assert len([line for line in said.splitlines() if line]) == 1
        assert not out.exists()


def test_no_adapter_is_not_planned_and_an_adapter_for_something_else_runs_marked(tmp_path):
    home = miniature_folder(NANO).parent / "adapters"
    (tmp_path / "own").mkdir()
    shutil.copytree(home / "denoise", tmp_path / "own" / "denoise")
    for given in (None, tmp_path / "own"):
        options = {"backbone": "klein-nano"} if given is None else {"adapter": given}
        told = spec_of(METHODS["kontext_lora" if given else "klein_lora"], options)
        assert told.unserved(TASKS["denoise25"]) is None
        assert told.unserved(TASKS["derain"]).startswith("no adapter for derain in ")
    one = home / "denoise" / "pytorch_lora_weights.safetensors"
    told = spec_of(METHODS["kontext_lora"], {"backbone": NANO, "adapter": one})
    assert told.unserved(TASKS["derain"]) is None
    assert "derain" not in told.tasks
    assert spec_of(METHODS["kontext"], {"backbone": NANO}).unserved(TASKS["dejpeg"]) is None


def test_an_adapter_is_for_what_it_was_trained_on_and_another_tools_for_everything(tmp_path):
    from safetensors.torch import load_file, save_file

    home = miniature_folder(NANO).parent / "adapters"
    own = home / "denoise" / "pytorch_lora_weights.safetensors"
    told = spec_of(METHODS["kontext_lora"], {"backbone": NANO, "adapter": own})
    assert told.tasks == {"denoise"}
    save_file(load_file(own), tmp_path / "silent.safetensors")
    silent = {"backbone": NANO, "adapter": tmp_path / "silent.safetensors"}
    assert spec_of(METHODS["kontext_lora"], silent).tasks == KINDS
    by_task = spec_of(METHODS["kontext_lora"], {"backbone": NANO, "adapter": home})
    assert by_task.tasks == {"denoise", "derain", "dehaze"}
