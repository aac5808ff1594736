"""The restorer: shared work, batches, adapters and controls, on the tiny pipeline."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from e2r_adapters import lora
from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import FULL, NANO, Instruction, Sizes, resolve_backbone
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.editors.kontext_facts import PREFERRED
from e2r_adapters.restorer import EditorRestorer, RoundTrip, Settings
from e2r_adapters.routing import TaskSpecific, Unified
from e2r_baselines.method import Compute, Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import PictureError, UsageError

DENOISE, DERAIN = TASKS["denoise25"], TASKS["derain"]


def photos(count=3, height=24, width=32):
    rng = np.random.default_rng(1)
    return [Photo(f"p{i}", rng.random((height, width, 3), np.float32)) for i in range(count)]


def restorer(pipe, batch=1, adapters=None, guidance=2.5, router=None):
    """By task kind, "" for all, unless a router says otherwise."""
    settings, given = Settings(guidance, 32, "native", batch), adapters or {}
    names = {kind: f"for-{kind or 'any'}" for kind in given}
    if given and router is None:
        router = Unified(names[""]) if "" in names else TaskSpecific(names)
    files = {names[kind]: path for kind, path in given.items()}
    return EditorRestorer(KONTEXT.open(pipe), settings, files, router)


def method(name, **options):
    return spec_of(METHODS[name], options)


def results(made, given, draws, task=DENOISE):
    found = {(r.photo_id, r.draw): r.pixels for r in made.restore(given, task, draws)}
    assert set(found) == {(photo.id, draw) for photo in given for draw in draws}
    return found


def save_adapter(pipe, folder, seed, text_encoder=False) -> Path:
    """Save a LoRA that does something: B is drawn, too."""
    import torch

    generator, editor = torch.Generator().manual_seed(seed), KONTEXT.open(pipe)
    for name, part in KONTEXT.lora.parts.items():
        if name == "transformer" or text_encoder:
            lora.attach(editor.networks[name], part.targets["full"], 64, 64, seed)
        for parameter, value in editor.networks[name].named_parameters():
            if "lora_B" in parameter:
                value.data = 0.1 * torch.randn(value.shape, generator=generator)
    return lora.save(editor, folder, {"base": "tiny"})


def test_one_seed_or_five_give_the_same_picture(tiny_pipe):
    given, made = photos(1), restorer(tiny_pipe, batch=1)
    five = [Draw(seed, steps) for seed in range(5) for steps in (2, 3)]
    alone = results(made, given, [Draw(2, 3)])
    together = results(made, given, five)
    assert np.array_equal(alone["p0", Draw(2, 3)], together["p0", Draw(2, 3)])
    assert not np.array_equal(together["p0", Draw(1, 3)], together["p0", Draw(2, 3)])
    assert not np.array_equal(together["p0", Draw(2, 2)], together["p0", Draw(2, 3)])


def test_batches_stay_within_one_eight_bit_level(tiny_pipe):
    given = [*photos(3), *photos(1, 40, 24)]
    draws = [Draw(0, 2), Draw(1, 2)]
    one = results(restorer(tiny_pipe, 1), [*given[:3], Photo("q", given[3].pixels)], draws)
    four = results(restorer(tiny_pipe, 4), [*given[:3], Photo("q", given[3].pixels)], draws)
    levels = [np.abs(np.rint(255 * one[k]) - np.rint(255 * four[k])).ravel() for k in one]
    every = np.concatenate(levels)
    assert every.max() <= 1
    assert (every > 0).mean() < 1e-3


@pytest.mark.parametrize("batch", [1, 2])
def test_noise_is_named_by_seed_and_picture_not_by_place_or_generator(tiny_pipe, batch):
    import torch

    pixels, draws = photos(1)[0].pixels, [Draw(0, 1), Draw(1, 1)]
    made, twins = restorer(tiny_pipe, batch), [Photo("a", pixels), Photo("b", pixels)]
    torch.manual_seed(0)
    both = results(made, twins, draws)
    assert np.abs(both["a", draws[0]] - both["b", draws[0]]).max() > 0.01
    torch.manual_seed(1)
    alone = results(made, twins[1:], draws[1:])
    assert np.allclose(alone["b", draws[1]], both["b", draws[1]], rtol=0, atol=1e-5)


def test_guidance_reaches_the_transformer_from_the_options(tiny_pipe, tmp_path):
    asked = []

    def note(module, args, kwargs):
        asked.append(kwargs["guidance"].tolist())

    tiny_pipe.transformer.register_forward_pre_hook(note, with_kwargs=True)
    results(restorer(tiny_pipe, 2, guidance=1.5), photos(2), [Draw(0, 1)])
    assert asked == [[1.5, 1.5]]
    tiny_pipe.save_pretrained(tmp_path / "own")
    own = str(tmp_path / "own")
    spec = method("kontext", backbone=own, guidance=4.0, max_sequence_length=32)
    opened = spec.open(spec.builds[0], {}, Compute())
    opened._editor.pipe.transformer.register_forward_pre_hook(note, with_kwargs=True)
    results(opened, photos(1), [Draw(0, 1)])
    assert asked[1:] == [[4.0]]


def test_shared_work_is_done_once_per_picture(tiny_pipe, monkeypatch):
    calls = {"vae": 0, "t5": 0}
    encode, prompt = tiny_pipe.vae.encode, tiny_pipe.encode_prompt

    def counted(name, function):
        def call(*args, **kwargs):
            calls[name] += 1
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(tiny_pipe.vae, "encode", counted("vae", encode))
    monkeypatch.setattr(tiny_pipe, "encode_prompt", counted("t5", prompt))
    made = restorer(tiny_pipe)
    results(made, photos(2), [Draw(seed, steps) for seed in (0, 1) for steps in (1, 2)])
    results(made, photos(1), [Draw(0, 1)])
    assert calls == {"vae": 3, "t5": 1}


def test_adapters_by_task_do_not_leak(make_tiny_pipe, tmp_path):
    first = save_adapter(make_tiny_pipe(), tmp_path / "a", 1)
    second = save_adapter(make_tiny_pipe(), tmp_path / "b", 2)
    both = restorer(make_tiny_pipe(), 1, {"denoise": first, "derain": second})
    draw, given = Draw(0, 2), photos(1)
    for task, path in ((DENOISE, first), (DERAIN, second), (DENOISE, first)):
        alone = results(restorer(make_tiny_pipe(), 1, {"": path}), given, [draw], task)
        together = results(both, given, [draw], task)
        # Adapters take turns in the same weights, and no turn leaves a trace.
        assert np.array_equal(together["p0", draw], alone["p0", draw])
    bare = results(restorer(make_tiny_pipe()), given, [draw])
    assert np.abs(bare["p0", draw] - alone["p0", draw]).max() > 1e-4
    with pytest.raises(PictureError, match="expected an adapter for dehaze"):
        results(both, given, [draw], TASKS["dehaze"])


def test_adapters_that_are_too_large_to_copy_stay_apart(make_tiny_pipe, tmp_path, monkeypatch):
    paths = {"denoise": save_adapter(make_tiny_pipe(), tmp_path / "a", 1)}
    paths["derain"] = save_adapter(make_tiny_pipe(), tmp_path / "b", 2)
    draw, given = Draw(0, 2), photos(1)
    turns = restorer(make_tiny_pipe(), 1, paths)
    monkeypatch.setattr("e2r_adapters.lora.mixing._SMALL", 0)
    apart = restorer(make_tiny_pipe(), 1, paths)
    for task in (DENOISE, DERAIN):
        one, other = (results(made, given, [draw], task)["p0", draw] for made in (turns, apart))
        assert np.allclose(one, other, atol=1e-5)
    assert apart._editor.pipe.get_active_adapters() == ["for-derain"]


def test_controls_go_through_what_they_name(tiny_pipe):
    given = photos(1, 30, 44)
    draw = Draw(0, 0)
    same = results(RoundTrip("native", Sizes(1, 2, PREFERRED)), given, [draw])["p0", draw]
    assert np.array_equal(same, given[0].pixels)
    resized = results(RoundTrip("paper", Sizes(1, 2, PREFERRED)), given, [draw])["p0", draw]
    assert 0 < np.abs(resized - given[0].pixels).max() < 0.6
    editor = KONTEXT.open(tiny_pipe)
    coded = results(RoundTrip("native", editor.sizes, editor), given, [draw])["p0", draw]
    assert coded.shape == given[0].pixels.shape
    assert np.abs(coded - given[0].pixels).max() > 0.01


def test_builds_say_what_they_are(tiny_pipe, make_tiny_pipe, tmp_path):
    for name in ("kontext", "kontext_lora", "clean_vae"):
        assert method(name, backbone=NANO).builds[0].miniature
    assert method("kontext", backbone=NANO).builds[0].name == NANO
    full = method("kontext", backbone=FULL).builds[0]
    assert (full.name, full.miniature) == ("FLUX.1-Kontext-dev", False)
    tiny_pipe.save_pretrained(tmp_path / "own")
    base = method("kontext", backbone=str(tmp_path / "own")).builds[0]
    assert (base.name, base.miniature) == ("own", True)
    path = save_adapter(make_tiny_pipe(), tmp_path / "x", 1).rename(tmp_path / "mine.safetensors")
    adapted = method("kontext_lora", backbone=str(tmp_path / "own"), adapter=str(path)).builds[0]
    assert adapted.name == "own+mine"


def test_a_users_files_are_named_to_be_hashed(tiny_pipe, make_tiny_pipe, tmp_path):
    tiny_pipe.save_pretrained(tmp_path / "own")
    for kind in ("denoise", "derain"):
        save_adapter(make_tiny_pipe(), tmp_path / "both" / kind, 1)
    build = method(
        "kontext_lora", backbone=str(tmp_path / "own"), adapter=str(tmp_path / "both")
    ).builds[0]
    assert all(path.is_file() for path in build.own_files.values())
    adapters = {k: p.parent.name for k, p in build.own_files.items() if k.startswith("adapter")}
    assert adapters == {"adapter/denoise": "denoise", "adapter/derain": "derain"}
    weights = "backbone/transformer/diffusion_pytorch_model.safetensors"
    assert weights in build.own_files
    assert "backbone/model_index.json" in build.own_files
    assert method("kontext_lora", backbone=NANO).builds[0].own_files == {}


def test_an_adapter_that_is_not_there_is_found_before_the_start(tmp_path):
    with pytest.raises(UsageError, match="expected a LoRA file, a folder with"):
        method("kontext_lora", backbone=NANO, adapter=str(tmp_path / "none"))


def test_two_instances_keep_their_adapters_apart(tiny_pipe, make_tiny_pipe, tmp_path):
    tiny_pipe.save_pretrained(tmp_path / "own")
    paths = [save_adapter(make_tiny_pipe(), tmp_path / str(i), i) for i in (1, 2)]
    draw, given, made = Draw(0, 2), photos(1), []
    for path in paths:
        spec = pickle.loads(
            pickle.dumps(
                method(
                    "kontext_lora",
                    backbone=str(tmp_path / "own"),
                    adapter=str(path),
                    max_sequence_length="32",
                )
            )
        )
        made.append(spec.open(spec.builds[0], {}, Compute()))
    found = [results(one, given, [draw])["p0", draw] for one in made]
    for one, path in zip(found, paths, strict=True):
        alone = restorer(make_tiny_pipe(), 1, {"": path})
        assert np.allclose(one, results(alone, given, [draw])["p0", draw], atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-4


def test_without_cuda_or_weights_auto_is_the_miniature(monkeypatch):
    backbones = "e2r_adapters.editors.backbones"
    monkeypatch.setattr(f"{backbones}._cached", lambda hub_id: False)
    assert resolve_backbone("auto") == NANO
    monkeypatch.setattr(f"{backbones}._cached", lambda hub_id: True)
    monkeypatch.setattr(f"{backbones}._fits_cuda", lambda needed: needed < 2 * 10**10)
    assert resolve_backbone("auto") == NANO
    assert resolve_backbone("auto", "nf4") == FULL
    assert method("kontext", quantize="nf4").builds[0].name == "FLUX.1-Kontext-dev"
    assert resolve_backbone("some/where") == "some/where"


def test_the_full_model_asks_for_an_adapter(tiny_pipe, tmp_path):
    tiny_pipe.save_pretrained(tmp_path / "own")
    spec = method("kontext_lora", backbone=str(tmp_path / "own"))
    with pytest.raises(UsageError, match="needs --set adapter=FILE"):
        spec.open(spec.builds[0], {}, Compute())


def test_a_saved_pipeline_restores_through_the_catalog(tiny_pipe, make_tiny_pipe, tmp_path):
    tiny_pipe.save_pretrained(tmp_path / "own")
    adapter = save_adapter(make_tiny_pipe(), tmp_path / "lora", 1)
    own = {"backbone": str(tmp_path / "own"), "max_sequence_length": 32}
    draw, given = Draw(0, 2), photos(1)
    for spec, expected in (
        (method("kontext", **own), restorer(make_tiny_pipe())),
        (
            method("kontext_lora", adapter=str(adapter.parent), **own),
            restorer(make_tiny_pipe(), 1, {"": adapter}),
        ),
    ):
        made = spec.open(spec.builds[0], {}, Compute())
        assert np.allclose(
            results(made, given, [draw])["p0", draw],
            results(expected, given, [draw])["p0", draw],
            atol=1e-5,
        )


def test_text_encoders_take_turns_with_their_transformers(make_tiny_pipe, tmp_path):
    paths = {
        kind: save_adapter(make_tiny_pipe(), tmp_path / kind, seed, text_encoder=seed < 3)
        for seed, kind in enumerate(("denoise", "derain", "dehaze"), 1)
    }
    both, given, draw = restorer(make_tiny_pipe(), 1, paths), photos(1), Draw(0, 2)
    for kind in ("derain", "dehaze", "denoise", "derain"):
        task = DENOISE if kind == "denoise" else TASKS[kind]
        alone = restorer(make_tiny_pipe(), 1, {"": paths[kind]})
        one, other = (results(made, given, [draw], task)["p0", draw] for made in (both, alone))
        assert np.array_equal(one, other), kind
        assert np.array_equal(spoken(both, task), spoken(alone, task)), kind


def spoken(made, task):
    """What the text encoder in force says about a task."""
    said = Instruction(task.prompt, 2.5, 32)
    return made._editor.condition(photos(1)[0], [said])[0].pooled.numpy()


def test_a_router_may_mix_adapters_and_look_at_the_picture(make_tiny_pipe, tmp_path):
    paths = {str(i): save_adapter(make_tiny_pipe(), tmp_path / str(i), i) for i in (1, 2)}
    given, draw = photos(3), Draw(0, 2)

    def mixed(task, photo):
        return {
            "p0": {"for-1": 1.0},
            "p1": {"for-1": 0.5, "for-2": 0.5},
            "p2": {"for-2": 0.0},
        }[photo.id]

    made = restorer(make_tiny_pipe(), 1, paths, router=mixed)
    found = results(made, given, [draw])
    backwards = results(made, given[::-1], [draw])
    assert all(np.array_equal(found[key], backwards[key]) for key in found)
    alone = results(restorer(make_tiny_pipe(), 1, {"": paths["1"]}), given, [draw])
    bare = results(restorer(make_tiny_pipe()), given, [draw])
    assert np.array_equal(found["p0", draw], alone["p0", draw])
    assert np.allclose(found["p2", draw], bare["p2", draw], atol=1e-6)
    assert np.abs(found["p1", draw] - alone["p1", draw]).max() > 1e-5
    assert np.abs(found["p1", draw] - bare["p1", draw]).max() > 1e-5


def test_a_small_picture_among_others_is_its_own_fault(tiny_pipe):
    rng = np.random.default_rng(0)
    tiny = Photo("tiny", rng.random((6, 20, 3), np.float32))
    with pytest.raises(PictureError, match="at least 8x8 pixels, found 20x6"):
        list(restorer(tiny_pipe).restore([*photos(1), tiny], DENOISE, [Draw(0, 1)]))


def test_memory_is_estimated_before_the_start():
    nano, full = (method("kontext_lora", backbone=name) for name in (NANO, FULL))
    needed = [nano.peak_bytes(nano.builds[0], side, side) for side in (128, 512, 768)]
    measured = [34e6, 210e6, 318e6]
    assert all(m <= n <= 2 * m for n, m in zip(needed, measured, strict=True))
    assert full.peak_bytes(full.builds[0], 1024, 1024) == 38 * 10**9
    assert full.peak_bytes(full.builds[0], 2048, 2048) > 38 * 10**9
    paper = method("kontext", backbone=FULL, resize="paper", quantize="nf4")
    assert paper.peak_bytes(paper.builds[0], 4000, 4000) == 13 * 10**9
