"""The Frechet distance of two Gaussians (Heusel et al., NeurIPS 2017), exact in float64."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cholesky, eigh, eigvalsh, svdvals

from e2r_metrics.base.errors import UsageError

Features = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Float64 = npt.NDArray[np.float64]
FEW = 2048
"""Below so many images FID is dominated by its bias and depends on their number."""


def frechet_distance(X: Features, Y: Features) -> float:
    """Return |mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)), covariances with n - 1.

    With at most D samples in the smaller set the trace of the root is the nuclear norm of the
    cross-Gram matrix, without any D x D root; otherwise it comes from symmetric eigenvalues.

    Args:
        X: (n, D) features, float32 or float64; n >= 2.
        Y: (m, D) features; m >= 2, which may differ from n.

    Returns:
        The distance, not below 0.

    Raises:
        UsageError: unequal dimensions, fewer than two samples, NaN or infinity.
    """
    check_features(X, Y)
    mean_x, mean_y = X.mean(0, dtype=np.float64), Y.mean(0, dtype=np.float64)
    A = (X - mean_x) / np.sqrt(len(X) - 1)
    B = (Y - mean_y) / np.sqrt(len(Y) - 1)
    root = _nuclear(A, B) if min(len(X), len(Y)) <= X.shape[1] else _eigen(A, B)
    traces = np.vdot(A, A) + np.vdot(B, B)
    return max(float(np.sum((mean_x - mean_y) ** 2) + traces - 2 * root), 0.0)


def frechet_to_moments(X: Features, mean: Float64, covariance: Float64) -> float:
    """Return the same distance of features from a mean and a covariance that are known.

    Args:
        X: (n, D) features, float32 or float64; n >= 2.
        mean: (D,) of the other set.
        covariance: (D, D) of it, symmetric, with its n - 1.

    Returns:
        The distance, not below 0.

    Raises:
        UsageError: another dimension, fewer than two samples, NaN or infinity.
    """
    check_features(X, mean[None].repeat(2, axis=0))
    mine = X.mean(0, dtype=np.float64)
    A = (X - mine) / np.sqrt(len(X) - 1)
    # tr (S_x S_y)^(1/2), from the smaller of two matrices with its eigenvalues but for zeros.
    product = A @ covariance @ A.T if len(X) <= X.shape[1] else _conjugated(A.T @ A, covariance)
    eigenvalues = eigvalsh(product, check_finite=False, overwrite_a=True)
    root = float(np.sqrt(np.maximum(eigenvalues, 0.0)).sum())
    traces = np.vdot(A, A) + np.trace(covariance)
    return max(float(np.sum((mine - mean) ** 2) + traces - 2 * root), 0.0)


def check_features(X: Features, Y: Features) -> None:
    """Raise `UsageError` unless (n, D) and (m, D) float arrays with n, m >= 2, all finite."""
    for name, Z in (("first", X), ("second", Y)):
        if Z.ndim != 2 or len(Z) < 2:
            raise UsageError(
                f"{name} set: expected (n, D) features with n >= 2, found shape {Z.shape}"
            )
        if str(Z.dtype) not in ("float32", "float64"):
            raise UsageError(f"{name} set: expected float32 or float64 features, found {Z.dtype}")
        if not np.isfinite(Z).all():
            raise UsageError(f"{name} set: expected finite features, found NaN or infinity")
    if X.shape[1] != Y.shape[1]:
        raise UsageError(
            f"expected features of one dimension, found {X.shape[1]} and {Y.shape[1]}: "
            "extract both with one extractor"
        )


def _nuclear(X: Float64, Y: Float64) -> float:
    """tr (S_x S_y)^(1/2) = || X Y^T ||_* for centred, scaled X and Y."""
    values: Float64 = svdvals(X @ Y.T, check_finite=False)  # pyright: ignore[reportAssignmentType]
    return float(values.sum())


def _eigen(X: Float64, Y: Float64) -> float:
    """Return the sum of the roots of the eigenvalues of R S_y R^T, where S_x = R^T R.

    They are those of S_x S_y. A Cholesky factor costs a tenth of a symmetric root; where S_x is
    not of full rank its eigenvectors give R.
    """
    eigenvalues = eigvalsh(_conjugated(X.T @ X, Y.T @ Y), check_finite=False, overwrite_a=True)
    return float(np.sqrt(np.maximum(eigenvalues, 0.0)).sum())


def _conjugated(S_x: Float64, S_y: Float64) -> Float64:
    R = factor(S_x)
    return R @ S_y @ R.T


def factor(S: Float64) -> Float64:
    """Return (D, D) R with S = R^T R, of a covariance that need not be of full rank."""
    try:
        return cholesky(S, check_finite=False)
    except LinAlgError:
        values, vectors = eigh(S, check_finite=False)
        return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T


def open_set(variant: str) -> Callable[[Features, Features], float]:
    """Return the distance; every variant of FID shares it, features differ."""
    del variant
    return frechet_distance


def few_images_note(n: int, m: int, what: str = "images") -> str:
    """Return what few images, or crops, mean for a Frechet distance, "" from 2048 on."""
    if min(n, m) >= FEW:
        return ""
    return (
        f"{min(n, m)} {what}: below {FEW} the value is mostly the bias of its estimate; compare it "
        f"only with values from the same number of {what}"
    )
