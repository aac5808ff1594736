"""Set metrics against independent arithmetic and against the peers."""

import numpy as np
import pytest
import scipy.linalg
import torch

from e2r_metrics.base.errors import UsageError
from e2r_metrics.frechet import few_images_note, frechet_distance
from e2r_metrics.goldens import synthetic_features
from e2r_metrics.kid import kid
from e2r_metrics.mmd import SIGMA, cmmd, cmmd_both
from e2r_metrics.prdc import KINDS, all_four, prdc


def _by_eigenvectors(X, Y):
    """Frechet distance by the textbook: symmetric root of S_x, float64."""
    S_x, S_y = np.cov(X, rowvar=False), np.cov(Y, rowvar=False)
    values, vectors = np.linalg.eigh(S_x)
    root = vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ S_y @ root), 0)).sum()
    gap = X.mean(0) - Y.mean(0)
    return gap @ gap + np.trace(S_x) + np.trace(S_y) - 2 * cross


@pytest.mark.parametrize(("n", "m"), [(400, 350), (350, 400), (129, 4000)])
def test_frechet_at_full_rank(n, m):
    X, Y = synthetic_features(n, 64, 0.4, 1), synthetic_features(m, 64, 0.5, 2)
    assert frechet_distance(X, Y) == pytest.approx(_by_eigenvectors(X, Y), rel=1e-9)


def test_both_ways_of_frechet_agree_where_they_meet():
    # 64 samples take the nuclear norm, 65 the eigenvalues: the difference is one sample's.
    X, Y = synthetic_features(200, 64, 0.4, 1), synthetic_features(65, 64, 0.5, 2)
    from e2r_metrics import frechet

    A = (X - X.mean(0)) / np.sqrt(len(X) - 1)
    B = (Y - Y.mean(0)) / np.sqrt(len(Y) - 1)
    assert frechet._nuclear(A, B) == pytest.approx(frechet._eigen(A, B), rel=1e-9)
    assert frechet._eigen(B[:30], A[:40]) == pytest.approx(
        frechet._nuclear(B[:30], A[:40]), rel=1e-6
    )


def test_frechet_of_few_samples_against_a_root_of_the_product():
    X, Y = synthetic_features(12, 40, 0.4, 1), synthetic_features(15, 40, 0.5, 2)
    S_x, S_y = np.cov(X, rowvar=False), np.cov(Y, rowvar=False)
    # eigenvalues of S_x S_y; the zero ones come out as roots of rounding, hence 1e-4
    values = scipy.linalg.eigvals(S_x @ S_y).real
    trace = np.sqrt(values[values > 1e-10]).sum()
    gap = X.mean(0) - Y.mean(0)
    expected = gap @ gap + np.trace(S_x) + np.trace(S_y) - 2 * trace
    assert frechet_distance(X, Y) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_known_gaussians():
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (200_000, 3))
    Y = rng.normal(0, 1, (200_000, 3)) * [2, 1, 1] + [0, 3, 0]
    assert frechet_distance(X, Y) == pytest.approx(9 + 1, rel=0.02)


def test_frechet_against_torch_fidelity():
    theirs = pytest.importorskip("torch_fidelity.metric_fid", reason="extra `bench`")
    X, Y = synthetic_features(300, 48, 0.4, 1), synthetic_features(280, 48, 0.5, 2)
    statistics = [theirs.fid_features_to_statistics(torch.from_numpy(Z)) for Z in (X, Y)]
    value = theirs.fid_statistics_to_metric(*statistics, verbose=False)
    assert frechet_distance(X, Y) == pytest.approx(value["frechet_inception_distance"], rel=1e-7)


def test_kid_by_loops():
    X, Y = synthetic_features(12, 48, 0.4, 1), synthetic_features(9, 48, 0.5, 2)

    def mean(A, B):
        own = A is B
        pairs = [(i, j) for i in range(len(A)) for j in range(len(B)) if not (own and i == j)]
        return sum((A[i] @ B[j] / 48 + 1) ** 3 for i, j in pairs) / len(pairs)

    assert kid(X, Y) == pytest.approx(mean(X, X) + mean(Y, Y) - 2 * mean(X, Y), rel=1e-11)


def test_kid_against_torchmetrics():
    theirs = pytest.importorskip("torchmetrics.image.kid", reason="extra `bench`")
    X, Y = synthetic_features(80, 48, 0.4, 1), synthetic_features(80, 48, 0.5, 2)
    value = theirs.poly_mmd(torch.from_numpy(X), torch.from_numpy(Y))
    assert kid(X, Y) == pytest.approx(float(value), rel=1e-10)


def _dense(X, Y, diagonal):
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    Y = Y / np.linalg.norm(Y, axis=1, keepdims=True)

    def kernel(A, B):
        squares = ((A[:, None] - B[None]) ** 2).sum(-1)
        return np.exp(-squares / (2 * SIGMA**2))

    xx, yy = kernel(X, X), kernel(Y, Y)
    if diagonal:
        within = xx.mean() + yy.mean()
    else:
        n, m = len(X), len(Y)
        within = (xx.sum() - n) / (n * (n - 1)) + (yy.sum() - m) / (m * (m - 1))
    return 1000 * (within - 2 * kernel(X, Y).mean())


@pytest.mark.parametrize(("n", "m"), [(30, 41), (520, 600)])
@pytest.mark.parametrize("statistic", ["V", "U"])
def test_cmmd_against_the_dense_formula(n, m, statistic):
    X, Y = synthetic_features(n, 32, 0.4, 1), synthetic_features(m, 32, 0.6, 2)
    expected = _dense(X, Y, statistic == "V")
    assert cmmd(X, Y, statistic) == pytest.approx(expected, abs=2e-11)
    single = cmmd(X.astype(np.float32), Y.astype(np.float32), statistic)
    assert single == pytest.approx(expected, rel=1e-6)


def test_bias_of_the_v_statistic_is_the_stated_one():
    # 10 (1 - c) (1/n + 1/m), c the mean cosine within a set: published for CMMD.
    X, Y = synthetic_features(68, 64, 0.4, 1), synthetic_features(68, 64, 0.4, 3)
    both = cmmd_both(X, Y)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    cosines = unit @ unit.T
    within = (cosines.sum() - 68) / (68 * 67)
    assert both.v - both.u == pytest.approx(10 * (1 - within) * 2 / 68, rel=0.05)


def test_u_statistic_is_unbiased_under_the_null():
    pairs = [
        cmmd_both(synthetic_features(40, 16, 0.4, 2 * k), synthetic_features(40, 16, 0.4, 2 * k))
        for k in range(3)
    ]
    assert all(both.v == pytest.approx(0, abs=1e-9) for both in pairs)
    rng = np.random.default_rng(0)
    draws = [cmmd(rng.normal(1, 1, (20, 16)), rng.normal(1, 1, (20, 16)), "U") for _ in range(200)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(200)
    assert cmmd(rng.normal(1, 1, (20, 16)), rng.normal(1, 1, (20, 16)), "V") > 0


def test_few_images_say_so():
    assert "2048" in few_images_note(68, 5000)
    assert few_images_note(2048, 5000) == ""


def _by_balls(X, Y, k=5):
    """Precision, recall, density and coverage, ball by ball; X is made, Y is true."""

    def inside(points, centres):
        found = np.zeros((len(points), len(centres)), bool)
        for j, centre in enumerate(centres):
            radius = np.sort(np.linalg.norm(centres - centre, axis=1))[k]
            found[:, j] = np.linalg.norm(points - centre, axis=1) < radius
        return found

    true = inside(X, Y)
    return {
        "precision": true.any(1).mean(), "recall": inside(Y, X).any(1).mean(),
        "density": true.sum() / (k * len(X)), "coverage": true.any(0).mean(),
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m"), [(50, 40), (30, 1100)])
def test_prdc_by_balls(kind, n, m):
    X, Y = synthetic_features(n, 16, 0.4, 1), synthetic_features(m, 16, 0.6, 2)
    assert prdc(kind, X, Y) == pytest.approx(_by_balls(X, Y)[kind], abs=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_brings_no_point_into_a_ball(dtype):
    """Each point is on the edge of balls: density of a set with itself is 1, and never above."""
    X = synthetic_features(1100, 96, 0.4, 1).astype(dtype)
    found = all_four(X, X)
    assert [found[kind] for kind in ("precision", "recall", "coverage")] == [1, 1, 1]
    # Neighbours that float32 cannot tell from the edge are outside.
    assert 1 - (5e-4 if dtype == "float32" else 0) <= found["density"] <= 1


def test_prdc_of_a_set_that_is_half_the_truth():
    """Copies of the truth lie on its edges; differences, squared, are the same both ways."""
    X, Y = synthetic_features(1100, 12, 0.4, 1), synthetic_features(1060, 12, 0.5, 2)
    X[::2] = Y[: len(X[::2])]
    assert all_four(X, Y) == pytest.approx(_by_balls(X, Y), abs=1e-12)


def test_precision_and_recall_are_the_right_way_round():
    """Planted: made pictures that cover one corner of the truth, and some far from it."""
    rng = np.random.default_rng(0)
    truth = np.concatenate([rng.normal(c, 0.1, (100, 2)) for c in (0, 10)])
    corner = rng.normal(0, 0.1, (100, 2))
    wild = np.concatenate([truth + rng.normal(0, 0.01, truth.shape), rng.normal(50, 9, (200, 2))])
    assert prdc("precision", corner, truth) > 0.9 > 0.6 > prdc("recall", corner, truth)
    assert prdc("recall", wild, truth) > 0.9 > 0.6 > prdc("precision", wild, truth)
    assert prdc("coverage", corner, truth) == pytest.approx(0.5, abs=0.05)


def test_prdc_against_the_authors_package():
    theirs = pytest.importorskip("prdc", reason="extra `bench`")
    X, Y = synthetic_features(90, 24, 0.4, 1), synthetic_features(80, 24, 0.5, 2)
    found = theirs.compute_prdc(real_features=Y, fake_features=X, nearest_k=5)
    assert {kind: prdc(kind, X, Y) for kind in KINDS} == pytest.approx(found, abs=1e-12)


def test_prdc_needs_more_rows_than_neighbours():
    with pytest.raises(UsageError, match="more than 5 pictures"):
        prdc("precision", np.ones((9, 3)), np.zeros((5, 3)))
