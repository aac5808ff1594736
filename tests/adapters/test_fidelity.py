"""Data consistency: the two constraints, and a sampler that is held to them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2r_adapters import resize
from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import NANO
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.fidelity import PERIOD, Fidelity, beyond_variance, low_band
from e2r_adapters.restorer import EditorRestorer, Settings
from e2r_adapters.sampling import corrected, euler
from e2r_baselines.method import Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

DENOISE, DERAIN = TASKS["denoise25"], TASKS["derain"]
SIGMA = 25 / 255
SIDES = st.integers(1, 40)
SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed, height, width, spread=0.3):
    rng = np.random.default_rng(seed)
    return (spread * rng.standard_normal((height, width, 3))).astype(np.float32)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def cosines(length):
    """The slow cosines of an axis as columns, written down from their definition."""
    places = np.arange(length) + 0.5
    slow = [k for k in range(length) if k == 0 or 2 * length / k >= PERIOD]
    columns = np.stack([np.cos(np.pi * k * places / length) for k in slow], axis=1)
    return columns / np.linalg.norm(columns, axis=0)


@settings(deadline=None)
@given(SEEDS, SIDES, SIDES, st.floats(0.01, 1))
def test_the_variance_is_a_ball_around_the_input(seed, height, width, spread):
    gap = drawn(seed, height, width, spread)
    left = rms(gap - beyond_variance(gap, SIGMA))
    assert left == pytest.approx(min(rms(gap), SIGMA), rel=1e-5)
    if rms(gap) <= SIGMA:
        assert not beyond_variance(gap, SIGMA).any()


def test_an_output_equal_to_its_input_is_left_alone():
    assert not beyond_variance(np.zeros((4, 4, 3), np.float32), SIGMA).any()


@settings(deadline=None)
@given(SEEDS, SIDES, SIDES)
def test_the_low_band_is_the_least_squares_fit_of_slow_cosines(seed, height, width):
    gap = drawn(seed, height, width)
    rows, columns = cosines(height), cosines(width)
    fitted = np.einsum("yk,kj,jx->yx", rows, rows.T @ gap[..., 1] @ columns, columns.T)
    assert np.allclose(low_band(gap)[..., 1], fitted, atol=1e-5)
    assert np.allclose(low_band(low_band(gap)), low_band(gap), atol=1e-5)


def test_a_slow_wave_belongs_to_the_low_band_and_a_fast_one_does_not():
    x = np.arange(64) + 0.5
    for period, kept in ((PERIOD * 2, 1.0), (PERIOD, 1.0), (PERIOD * 0.8, 0.0)):
        wave = np.cos(2 * np.pi * x / period) * np.ones((48, 1))
        picture = np.repeat(wave[..., None], 3, 2).astype(np.float32)
        assert np.allclose(low_band(picture), kept * picture, atol=1e-5)


@settings(deadline=None)
@given(SEEDS, st.floats(0, 1), st.sampled_from(["task", "low-band"]))
def test_strength_is_a_share_of_the_way(seed, strength, constraint):
    picture, given_ = np.abs(drawn(seed, 24, 20)), np.abs(drawn(seed + 1, 24, 20))
    whole = Fidelity(1, constraint).share(picture, given_, DENOISE)
    part = Fidelity(strength, constraint).share(picture, given_, DENOISE)
    assert np.allclose(part, strength * whole, atol=1e-6)


def test_the_task_decides_the_constraint_unless_one_is_named():
    picture, degraded = np.abs(drawn(1, 24, 32)), np.abs(drawn(2, 24, 32))
    gap = degraded - picture
    assert np.array_equal(Fidelity(1).share(picture, degraded, DERAIN), low_band(gap))
    named = Fidelity(1, "low-band").share(picture, degraded, DENOISE)
    assert np.array_equal(named, low_band(gap))
    own = Fidelity(1).share(picture, degraded, DENOISE)
    assert np.array_equal(own, beyond_variance(gap, SIGMA))


def test_the_corrected_velocity_leads_to_the_corrected_end():
    import torch

    generator = torch.Generator().manual_seed(0)
    x, v, moved = (torch.randn(2, 4, 3, 3, generator=generator) for _ in range(3))
    sigma = torch.tensor([0.5, 0.5])
    end = corrected(v, x, sigma, lambda z: moved)
    assert torch.allclose(x - 0.5 * end, x - 0.5 * v + moved, atol=1e-6)
    levels = torch.tensor([0.5, 0.0])
    reached = euler(lambda at, level: corrected(v, at, level, lambda z: moved), x, levels)
    assert torch.allclose(reached, x - 0.5 * v + moved, atol=1e-6)


# The sampler


def photos(count=2, height=24, width=32):
    rng = np.random.default_rng(1)
    return [Photo(f"p{i}", rng.random((height, width, 3), np.float32)) for i in range(count)]


def results(pipe, fidelity, task=DENOISE, steps=3, batch=1, policy="native", given=None):
    settings = Settings(2.5, 32, policy, batch, fidelity=fidelity)
    made = EditorRestorer(KONTEXT.open(pipe), settings)
    found = made.restore(given or photos(), task, [Draw(0, steps)])
    return {one.photo_id: one.pixels for one in found}


def test_at_strength_one_the_noise_explains_the_distance(tiny_pipe):
    free, held = results(tiny_pipe, None), results(tiny_pipe, Fidelity(1))
    for photo in photos():
        assert rms(photo.pixels - free[photo.id]) > SIGMA
        assert rms(photo.pixels - held[photo.id]) == pytest.approx(SIGMA, rel=1e-5)


@pytest.mark.parametrize("size", [(24, 32), (27, 33)])
def test_at_strength_one_the_low_band_is_the_inputs(tiny_pipe, size):
    given = photos(2, *size)
    held = results(tiny_pipe, Fidelity(1), DERAIN, given=given)
    free = results(tiny_pipe, None, DERAIN, given=given)
    for photo in given:
        assert np.abs(low_band(held[photo.id] - photo.pixels)).max() < 1e-5
        assert np.abs(low_band(free[photo.id] - photo.pixels)).max() > 0.02


def test_more_strength_is_nearer_to_the_input(tiny_pipe):
    gaps = [
        rms(low_band(results(tiny_pipe, Fidelity(s), DERAIN)["p0"] - photos()[0].pixels))
        for s in (0.1, 0.5, 0.9, 1)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert len(set(gaps)) == 4


def test_the_limit_holds_at_the_pictures_own_size_through_a_resize(tiny_pipe, monkeypatch):
    monkeypatch.setattr(resize, "ICEDIT_WIDTH", 48)
    given = photos(1, 28, 36)
    held = results(tiny_pipe, Fidelity(1), policy="icedit", given=given)
    assert rms(given[0].pixels - held["p0"]) == pytest.approx(SIGMA, rel=1e-5)


def test_the_constraint_acts_inside_the_sampler(tiny_pipe):
    """Not only on what comes out: earlier steps see where the later ones are held."""
    how = Fidelity(1)
    inside = results(tiny_pipe, how, DERAIN, steps=3)["p0"]
    free = results(tiny_pipe, None, DERAIN, steps=3)["p0"]
    outside = how.pulled(free, photos()[0].pixels, DERAIN)
    assert np.abs(inside - outside).max() > 1e-3
    # A single step has no earlier ones.
    inside = results(tiny_pipe, how, DERAIN, steps=1)["p0"]
    free = results(tiny_pipe, None, DERAIN, steps=1)["p0"]
    assert np.array_equal(inside, how.pulled(free, photos()[0].pixels, DERAIN))


def test_batches_change_rounding_only(tiny_pipe):
    one, two = (results(tiny_pipe, Fidelity(0.5), batch=batch) for batch in (1, 2))
    for name, pixels in one.items():
        assert np.allclose(pixels, two[name], atol=1e-4)


def test_a_diptych_is_held_too(make_fill):
    from e2r_adapters.editors.fill import FILL

    settings = Settings(30.0, 32, "native", 1, fidelity=Fidelity(1))
    made = EditorRestorer(FILL.open(make_fill()), settings)
    (found,) = made.restore(photos(1), DERAIN, [Draw(0, 2)])
    assert np.abs(low_band(found.pixels - photos()[0].pixels)).max() < 1e-5


# What is asked, and what every row says


def build_of(name="kontext_lora", **options):
    return spec_of(METHODS[name], {"backbone": NANO, **options}).builds[0]


def test_strength_zero_is_no_constraint_at_all():
    from e2r_adapters.options import KontextLoraOptions
    from e2r_adapters.steering import fidelity_of

    assert fidelity_of(KontextLoraOptions(consistency=0)) is None
    assert build_of(consistency=0) == build_of()


def test_the_build_says_the_strength():
    assert build_of(consistency="0.5").name.endswith(" consistency 0.5")
    assert build_of(consistency=1, constraint="low-band").name.endswith(" consistency 1 low-band")
    assert build_of("kontext", consistency=0.25).name == f"{NANO} consistency 0.25"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"consistency": 1.5}, "expected a strength from 0 to 1"),
        ({"consistency": math.nan}, "expected a strength from 0 to 1"),
        ({"consistency": -0.1}, "expected a strength from 0 to 1"),
        ({"constraint": "low-band"}, "expected a strength too"),
        ({"constraint": "other", "consistency": 1}, "constraint"),
    ],
)
def test_what_cannot_be_is_one_line(options, said):
    with pytest.raises(UsageError, match=said) as caught:
        build_of(**options)
    assert "\n" not in str(caught.value)
