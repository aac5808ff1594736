"""The same list of properties for every per-image and every set row of the catalog."""

import importlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from e2r_metrics import CATALOG, EXTRACTORS, PROFILES, PictureError, UsageError, resolve
from e2r_metrics.base.errors import E2RError

PER_IMAGE = [m for m in CATALOG.values() if m.scope == "image"]
ALL_PER_IMAGE = [m for m in CATALOG.values() if m.per_image]
SETS = [m for m in CATALOG.values() if m.scope == "set"]
FLOAT_TOLERANCE = 2e-5  # float32 networks, and 8 bits against the same pixels as floats


@pytest.fixture(scope="module")
def session(small_session):
    """Return a session with random weights where only users have a file: what holds for any."""
    return small_session


def _ids(metrics):
    return [metric.id for metric in metrics]


@pytest.fixture(params=PER_IMAGE, ids=_ids(PER_IMAGE))
def metric(request, session):
    gone = session.missing(request.param)
    if gone:
        pytest.skip(f"{gone.reason}; {gone.command}")
    return request.param


@pytest.fixture(params=ALL_PER_IMAGE, ids=_ids(ALL_PER_IMAGE))
def any_metric(request, session):
    """Return rows of pairs, and of pictures alone."""
    gone = session.missing(request.param)
    if gone:
        pytest.skip(f"{gone.reason}; {gone.command}")
    return request.param


@pytest.fixture
def photo(whole, request):
    named = "metric" if "metric" in request.fixturenames else "any_metric"
    name = request.getfixturevalue(named).name
    small = np.ascontiguousarray(whole[40:104, 90:162])
    if name == "maniqa":
        return np.ascontiguousarray(np.tile(whole, (2, 2, 1))[:236, :239])
    return whole if name in ("ms_ssim", "niqe") else small


@pytest.fixture(params=SETS, ids=_ids(SETS))
def distance(request):
    module = importlib.import_module(f"e2r_metrics.{request.param.module}")
    return request.param, module.open_set(request.param.variant)


def test_identity(metric, session, photo):
    value = session.per_image(metric, [photo], [photo])[0]
    assert value == pytest.approx(metric.identical, abs=1e-6)


def test_symmetry(metric, session, photo, noisy):
    there = session.per_image(metric, [noisy(20)], [photo])[0]
    back = session.per_image(metric, [photo], [noisy(20)])[0]
    assert (back == pytest.approx(there, rel=1e-5)) == metric.symmetric


def test_monotone_in_added_noise(metric, session, photo, noisy):
    values = session.per_image(metric, [noisy(s) for s in (5, 15, 30, 60)], [photo] * 4)
    steps = np.diff(values) * (1 if metric.higher_is_better else -1)
    assert (steps < 0).all(), values


def test_within_the_stated_range(any_metric, session, photo, noisy):
    value = session.per_image(any_metric, [noisy(60)], [photo])[0]
    assert any_metric.low <= value <= any_metric.high


def test_a_batch_and_its_order_change_nothing(any_metric, session, photo, noisy):
    many = [noisy(s, seed=s) for s in (5, 10, 15, 20, 25, 30, 35, 40)]
    together = session.per_image(any_metric, many, [photo] * 8)
    alone = [session.per_image(any_metric, [one], [photo])[0] for one in many]
    back = session.per_image(any_metric, many[1::-1], [photo] * 2)[::-1]
    assert together.shape == (8,)
    assert together.dtype == np.float64
    assert np.array_equal(together, alone)
    assert np.array_equal(together[:2], back)


def test_sizes_may_be_mixed(any_metric, session, photo, noisy):
    pairs = [(noisy(20), photo), (noisy(20)[:-9, :-7], photo[:-9, :-7])]
    values = session.per_image(any_metric, [x for x, _ in pairs], [y for _, y in pairs])
    assert values[1] == session.per_image(any_metric, [pairs[1][0]], [pairs[1][1]])[0]


@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_picture_alone_has_a_finite_value_or_a_reason(any_metric, session, photo, level):
    flat = np.full_like(photo, level)
    try:
        value = session.per_image(any_metric, [flat], [photo])[0]
    except PictureError:
        return
    assert np.isfinite(value)


@pytest.mark.parametrize("level", [0, 255])
def test_constants_are_finite(metric, session, photo, level):
    flat = np.full_like(photo, level)
    value = session.per_image(metric, [photo], [flat])[0]
    assert np.isfinite(value)


def test_floats_mean_the_same_pixels(any_metric, session, photo, noisy):
    eight = session.per_image(any_metric, [noisy(20)], [photo])[0]
    for dtype in (np.float32, np.float64):
        floats = [np.divide(noisy(20), 255, dtype=dtype)], [np.divide(photo, 255, dtype=dtype)]
        assert session.per_image(any_metric, *floats)[0] == pytest.approx(
            eight, rel=FLOAT_TOLERANCE
        )


def test_threads_change_nothing(any_metric, session, photo, noisy):
    before = cv2.getNumThreads()
    try:
        values = []
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            values.append(session.per_image(any_metric, [noisy(20)], [photo])[0])
    finally:
        cv2.setNumThreads(before)
    assert values[0] == values[1]


BAD = {
    "range": lambda x: x.astype(np.float32),
    "negative": lambda x: x.astype(np.float32) / 255 - 0.1,
    "nan": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 7, np.nan, x / 255.0),
    "dtype": lambda x: x.astype(np.int32),
    "channels": lambda x: x[..., :2],
    "grey": lambda x: x[..., 0],
    "planar": lambda x: x.transpose(2, 0, 1),
    "empty": lambda x: x[:0],
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_pixels_are_refused(any_metric, session, photo, fault):
    bad = BAD[fault](photo)
    with pytest.raises(PictureError, match=r"expected .*found"):
        session.per_image(any_metric, [bad], [bad])


def test_unequal_pairs_are_refused(metric, session, photo):
    for restored, clean in (
        ([photo[1:]], [photo]),
        ([photo], [photo / 255.0]),
        ([photo], [photo, photo]),
    ):
        with pytest.raises(E2RError, match=r"expected .*found"):
            session.per_image(metric, restored, clean)


def test_inputs_are_left_as_they_were(any_metric, session, photo, noisy):
    restored, clean = noisy(20).copy(), photo / 255.0
    before = restored.copy(), clean.copy()
    session.per_image(any_metric, [restored / 255.0], [clean])
    session.per_image(any_metric, [restored], [photo])
    assert np.array_equal(restored, before[0])
    assert np.array_equal(clean, before[1])


def _features(n, seed, shift=0.0, dimension=24):
    rng = np.random.default_rng(seed)
    return rng.normal(0.5 + shift, 1, (n, dimension)) @ np.diag(np.linspace(0.5, 2, dimension))


def test_set_identity(distance):
    metric, function = distance
    X = _features(40, 0)
    if metric.identical is not None:
        assert function(X, X) == pytest.approx(metric.identical, abs=1e-9)


def test_set_symmetry_with_unequal_n(distance):
    metric, function = distance
    X, Y = _features(40, 0), _features(30, 1, 0.2)
    assert (function(X, Y) == pytest.approx(function(Y, X), rel=1e-12)) == metric.symmetric


def test_set_gets_worse_with_the_shift(distance):
    metric, function = distance
    values = [function(_features(60, 0), _features(60, 1, shift)) for shift in (0, 0.3, 0.6, 1.2)]
    steps = np.diff(values) * (-1 if metric.higher_is_better else 1)
    # Shares are counted in steps of one picture, and may stand still.
    assert (steps >= 0).all() if metric.higher_is_better else (steps > 0).all(), values
    assert steps.sum() > 0


def test_set_order_changes_nothing(distance):
    _, function = distance
    X, Y = _features(40, 0), _features(30, 1, 0.2)
    mixed = np.random.default_rng(3).permutation(40)
    assert function(X[mixed], Y) == pytest.approx(function(X, Y), rel=1e-11)


def test_set_takes_both_float_types(distance):
    _, function = distance
    X, Y = _features(40, 0), _features(30, 1, 0.2)
    single = function(X.astype(np.float32), Y.astype(np.float32))
    assert single == pytest.approx(function(X, Y), rel=1e-5)


@pytest.mark.parametrize("fault", ["nan", "inf", "one", "flat", "integers", "dimension"])
def test_bad_features_are_refused(distance, fault):
    _, function = distance
    X = _features(40, 0)
    bad = {
        "nan": np.where(X > 3, np.nan, X),
        "inf": np.where(X > 3, np.inf, X),
        "one": X[:1],
        "flat": X[0],
        "integers": X.astype(int),
        "dimension": X[:, 1:],
    }[fault]
    with pytest.raises(UsageError, match=r"expected .*found"):
        function(bad, X)


def test_rows_are_whole():
    for metric in CATALOG.values():
        assert metric.paper
        assert metric.reference
        assert metric.tolerance
        assert metric.id in metric.protocol
        assert (metric.extractor is None) == metric.per_image
        assert metric.extractor is None or metric.extractor in EXTRACTORS
    for profile in PROFILES.values():
        assert {m.name for m in CATALOG.values()} == set(profile)
        assert all(f"{name}:{variant}" in CATALOG for name, variant in profile.items())


def test_protocols_tell_variants_apart():
    protocols = [metric.protocol.partition("[")[2] for metric in CATALOG.values()]
    # CLIP-IQA, DISTS, FID and so on: no two rows may read alike behind their names.
    alike = {p for p in protocols if protocols.count(p) > 1}
    assert not alike


def test_resolve():
    assert [m.id for m in resolve(["psnr", "fid", "psnr:y"])] == ["psnr:rgb", "fid:clean", "psnr:y"]
    assert resolve(["fid"], "paper")[0].id == "fid:tm17"
    assert resolve(["psnr", "ssim"], variants={"psnr": "y"})[0].id == "psnr:y"
    for names, profile, variants, near in (
        (["pnsr"], "default", None, "'psnr'"),
        (["psnr:yy"], "default", None, "'y'"),
        (["psnr"], "papre", None, "'paper'"),
        (["psnr"], "default", {"sism": "y"}, "'ssim'"),
    ):
        with pytest.raises(UsageError, match=f"did you mean {near}"):
            resolve(names, profile, variants)


def test_the_documentation_names_every_row():
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert [metric.id for metric in CATALOG.values() if f"`{metric.id}`" not in text] == []
