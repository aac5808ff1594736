"""The restorer: shared work, batches, adapters and controls, on the tiny pipeline."""

from pathlib import Path

import numpy as np
import pytest

from e2r_adapters import lora
from e2r_adapters.backbone import NANO, backbone_of
from e2r_adapters.catalog import KontextOptions, kontext_methods
from e2r_adapters.profiles import PROFILES
from e2r_adapters.restorer import KontextRestorer, RoundTrip, Settings
from e2r_baselines.method import Compute, Draw, Photo
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

DENOISE, DERAIN = TASKS["denoise25"], TASKS["derain"]


def photos(count=3, height=24, width=32):
    rng = np.random.default_rng(1)
    return [Photo(f"p{i}", rng.random((height, width, 3), np.float32)) for i in range(count)]


def restorer(pipe, batch=1, adapters=None, guidance=2.5):
    settings = Settings(guidance, 32, "native", batch)
    return KontextRestorer(backbone_of(pipe), settings, adapters or {})


def results(made, given, draws, task=DENOISE):
    found = {(r.photo_id, r.draw): r.pixels for r in made.restore(given, task, draws)}
    assert set(found) == {(photo.id, draw) for photo in given for draw in draws}
    return found


def save_adapter(pipe, folder, seed) -> Path:
    """Save a LoRA that does something: B is drawn, too."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    lora.attach(pipe.transformer, lora.TARGETS["full"], PROFILES["nano"], seed)
    for name, value in pipe.transformer.named_parameters():
        if "lora_B" in name:
            value.data = 0.1 * torch.randn(value.shape, generator=generator)
    return lora.save(pipe, folder, {"base": "tiny"})


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
    options = KontextOptions(str(tmp_path / "own"), guidance=4.0, max_sequence_length=32)
    spec = kontext_methods(options)["kontext"]
    opened = spec.open(spec.builds[0], {}, Compute())
    opened._backbone.pipe.transformer.register_forward_pre_hook(note, with_kwargs=True)
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
    with pytest.raises(UsageError, match="expected an adapter for dehaze"):
        results(both, given, [draw], TASKS["dehaze"])


def test_adapters_that_are_too_large_to_copy_stay_apart(make_tiny_pipe, tmp_path, monkeypatch):
    paths = {"denoise": save_adapter(make_tiny_pipe(), tmp_path / "a", 1)}
    paths["derain"] = save_adapter(make_tiny_pipe(), tmp_path / "b", 2)
    draw, given = Draw(0, 2), photos(1)
    turns = restorer(make_tiny_pipe(), 1, paths)
    monkeypatch.setattr("e2r_adapters.restorer._SMALL", 0)
    apart = restorer(make_tiny_pipe(), 1, paths)
    for task in (DENOISE, DERAIN):
        one, other = (results(made, given, [draw], task)["p0", draw] for made in (turns, apart))
        assert np.allclose(one, other, atol=1e-5)
    assert apart._backbone.pipe.get_active_adapters() == ["for-derain"]


def test_controls_go_through_what_they_name(tiny_pipe):
    given = photos(1, 30, 44)
    draw = Draw(0, 0)
    same = results(RoundTrip("native", None), given, [draw])["p0", draw]
    assert np.array_equal(same, given[0].pixels)
    resized = results(RoundTrip("paper", None), given, [draw])["p0", draw]
    assert 0 < np.abs(resized - given[0].pixels).max() < 0.6
    coded = results(RoundTrip("native", backbone_of(tiny_pipe)), given, [draw])["p0", draw]
    assert coded.shape == given[0].pixels.shape
    assert np.abs(coded - given[0].pixels).max() > 0.01


def test_builds_say_what_they_are(tiny_pipe, tmp_path):
    nano = kontext_methods(KontextOptions(NANO))
    assert nano["kontext"].builds[0].name == NANO
    assert all(nano[n].builds[0].miniature for n in ("kontext", "kontext_lora", "clean_vae"))
    full = kontext_methods(KontextOptions("black-forest-labs/FLUX.1-Kontext-dev"))
    assert full["kontext"].builds[0].name == "FLUX.1-Kontext-dev"
    assert not full["kontext"].builds[0].miniature
    tiny_pipe.save_pretrained(tmp_path / "own")
    own = kontext_methods(
        KontextOptions(str(tmp_path / "own"), tmp_path / "x" / "mine.safetensors")
    )
    assert own["kontext"].builds[0].name == "own"
    assert own["kontext"].builds[0].miniature
    assert own["kontext_lora"].builds[0].name == "own+mine"


def test_without_cuda_or_weights_auto_is_the_miniature(monkeypatch):
    monkeypatch.setattr("e2r_adapters.catalog._cached", lambda hub_id: False)
    assert kontext_methods(KontextOptions())["kontext"].builds[0].name == NANO
    monkeypatch.setattr("e2r_adapters.catalog._cached", lambda hub_id: True)
    monkeypatch.setattr("e2r_adapters.catalog._fits_cuda", lambda quantize: True)
    assert kontext_methods(KontextOptions())["kontext"].builds[0].name == "FLUX.1-Kontext-dev"


def test_the_full_model_asks_for_an_adapter(tiny_pipe, tmp_path):
    tiny_pipe.save_pretrained(tmp_path / "own")
    spec = kontext_methods(KontextOptions(str(tmp_path / "own")))["kontext_lora"]
    with pytest.raises(UsageError, match="needs --adapter FILE"):
        spec.open(spec.builds[0], {}, Compute())


def test_a_saved_pipeline_restores_through_the_catalog(tiny_pipe, make_tiny_pipe, tmp_path):
    tiny_pipe.save_pretrained(tmp_path / "own")
    adapter = save_adapter(make_tiny_pipe(), tmp_path / "lora", 1)
    options = KontextOptions(str(tmp_path / "own"), adapter.parent, max_sequence_length=32)
    specs = kontext_methods(options)
    draw, given = Draw(0, 2), photos(1)
    for name, expected in (
        ("kontext", restorer(make_tiny_pipe())),
        ("kontext_lora", restorer(make_tiny_pipe(), 1, {"": adapter})),
    ):
        made = specs[name].open(specs[name].builds[0], {}, Compute())
        assert np.allclose(
            results(made, given, [draw])["p0", draw],
            results(expected, given, [draw])["p0", draw],
            atol=1e-5,
        )
