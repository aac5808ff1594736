"""Pictures that stand in two sets at once: the same pixels, the same photograph, or a crop of it.

Three steps, each cheaper than what it spares: a hash of the decoded pixels; candidates from a
64-bit perceptual hash (same framing) and from SIFT keypoints (crops and rescaled copies); and one
verification for both kinds of candidate, the correlation of fine detail after alignment, so that
two skies or two lawns are no match.

Sources: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010) for
the DCT hash; Lowe, SIFT (IJCV 2004); Arandjelovic & Zisserman, RootSIFT (CVPR 2012).
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["identical", "near-duplicate", "crop"]

_BLOCK = 128  # training pictures at a time: about 80 MB of descriptors
_LONG_SIDE = 640
_FEATURES = 1200
_STRONGEST = 200
_ALIKE = 0.9  # cosine of two RootSIFT descriptors
_HASH_BITS = 12  # of 64; unrelated photographs differ in 32 +- 4
_CANDIDATES = 12
_CORRELATION = 0.8
_FLAT = 0.25  # squared 8-bit levels: pictures flatter than this agree about nothing
_SHIFTS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))  # keypoints are a pixel off
_OVERLAP_SIDE = 24  # pixels; correlations of smaller patches are chance
_TURN = 20.0  # degrees: crops and resizes do not turn a picture
_LOOSE, _TIGHT = 6.0, 2.5  # pixels of the test picture
_INLIERS = 5

_Gray = npt.NDArray[np.float32]
_Points = npt.NDArray[np.float32]
"""(N, 4): x, y, size in pixels, angle in degrees."""
_Unit = npt.NDArray[np.float32]
"""(N, 128), rows of unit length."""
_Affine = npt.NDArray[np.float64]


@dataclass(frozen=True, order=True)
class Overlap:
    """One training picture and one test picture that show the same pixels.

    Attributes:
        test: the test file.
        train: the training file.
        kind: "identical" pixels; "near-duplicate": same framing, other size, coding or light
            degradation; "crop": one is a part of the other, or they share a part.
        correlation: Pearson correlation of fine detail over the shared area, in [-1, 1].
        coverage: shared part of the test picture's area, in (0, 1].
    """

    test: Path
    train: Path
    kind: Kind
    correlation: float
    coverage: float


@dataclass(frozen=True)
class _Print:
    """What is kept of a picture: never its full pixels twice."""

    path: Path
    pixels: str
    bits: np.uint64
    gray: npt.NDArray[np.uint8]
    points: _Points
    descriptors: npt.NDArray[np.uint8]


def find_overlaps(train: Sequence[Path], test: Sequence[Path]) -> list[Overlap]:
    """Find the pictures of `train` that stand in `test`, whole or in part.

    Mirrored and rotated-by-90 copies are out of scope of the hash, though keypoints find rotated
    ones. Noise or rain on one of the two is tolerated while it leaves most of the detail: compare
    clean files with clean files where both are there.

    Args:
        train: image files that were, or will be, trained on.
        test: image files that are scored.

    Returns:
        One entry per pair that overlaps, ordered by test and train file.

    Raises:
        PictureError: a file is missing or is not an image.
    """
    if not train or not test:
        return []
    probes = [_fingerprint(path) for path in test]
    found: list[Overlap] = []
    for start in range(0, len(train), _BLOCK):
        index = _Index.of([_fingerprint(path) for path in train[start : start + _BLOCK]])
        for probe in probes:
            found += _overlaps_of(probe, index)
    return sorted(found)


@dataclass(frozen=True)
class _Index:
    """The descriptors of a block of training pictures in one table, picture after picture."""

    known: Sequence[_Print]
    descriptors: _Unit
    first: npt.NDArray[np.intp]
    strongest: _Unit
    first_strongest: npt.NDArray[np.intp]
    bits: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, known: Sequence[_Print]) -> "_Index":
        every = [_unit(entry.descriptors) for entry in known]
        strong = [rows[:_STRONGEST] for rows in every]
        return cls(
            known,
            np.concatenate(every),
            _starts(every),
            np.concatenate(strong),
            _starts(strong),
            np.array([entry.bits for entry in known], dtype=np.uint64),
        )


def _starts(tables: Sequence[_Unit]) -> npt.NDArray[np.intp]:
    return np.cumsum([0, *(len(table) for table in tables[:-1])], dtype=np.intp)


def _overlaps_of(probe: _Print, index: _Index) -> Iterator[Overlap]:
    known = index.known
    same = {k for k, entry in enumerate(known) if entry.pixels == probe.pixels}
    for k in sorted(same):
        yield Overlap(probe.path, known[k].path, "identical", 1.0, 1.0)
    seen = set(same)
    for kind, k, affine in _candidates(probe, index):
        if k in seen:
            continue
        correlation, coverage = _agreement(
            known[k].gray.astype(np.float32), probe.gray.astype(np.float32), affine
        )
        if correlation >= _CORRELATION:
            seen.add(k)
            yield Overlap(probe.path, known[k].path, kind, correlation, coverage)


def _candidates(probe: _Print, index: _Index) -> Iterator[tuple[Kind, int, _Affine]]:
    distance = np.bitwise_count(index.bits ^ probe.bits)
    for k in np.flatnonzero(distance <= _HASH_BITS).tolist():
        yield "near-duplicate", k, _stretch(index.known[k].gray.shape, probe.gray.shape)
    descriptors = _unit(probe.descriptors)
    votes = _votes(descriptors, index)
    for k in np.argsort(-votes, kind="stable")[:_CANDIDATES].tolist():
        entry = index.known[k]
        ours, theirs = _matches(descriptors, _unit(entry.descriptors))
        affine = _align(entry.points[theirs], probe.points[ours])
        if affine is not None:
            yield "crop", k, affine


def _votes(probe: _Unit, index: _Index) -> npt.NDArray[np.intp]:
    """Count, for each training picture, keypoints that look like one of the test picture's.

    The strongest keypoints of either side are looked up among all of the other's, since either may
    be the crop: a crop has few keypoints, and the whole must offer all of its own.
    """
    ours = np.maximum.reduceat(probe[:_STRONGEST] @ index.descriptors.T, index.first, axis=1)
    theirs = (index.strongest @ probe.T).max(axis=1) > _ALIKE
    return (ours > _ALIKE).sum(axis=0) + np.add.reduceat(theirs, index.first_strongest, dtype=int)


def _matches(probe: _Unit, entry: _Unit) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows of descriptors that are each other's nearest and alike."""
    alike = probe @ entry.T
    nearest = alike.argmax(axis=1)
    ours = np.arange(len(probe))
    good = (alike.argmax(axis=0)[nearest] == ours) & (alike[ours, nearest] > _ALIKE)
    return ours[good], nearest[good]


def _unit(descriptors: npt.NDArray[np.uint8]) -> _Unit:
    """Return RootSIFT: square roots of the L1-normalised histogram, rows of length one."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True, dtype=np.float32), 1)
    return np.sqrt(descriptors / total)


def _align(source: _Points, target: _Points) -> _Affine | None:
    """Fit x' = a x + b, y' = c y + d: what cropping and resizing do, and nothing else.

    Every match is a hypothesis by itself, since a keypoint has a size and an angle: the one that
    most other matches agree with is refined by least squares. No draw is made.
    """
    turned = np.abs((source[:, 3] - target[:, 3] + 180) % 360 - 180)
    upright = turned < _TURN
    source, target = source[upright], target[upright]
    if len(source) < _INLIERS:
        return None
    scale = target[:, 2] / source[:, 2]
    shift = target[:, :2] - scale[:, None] * source[:, :2]
    guess = scale[:, None, None] * source[None, :, :2] + shift[:, None]
    miss = np.linalg.norm(guess - target[None, :, :2], axis=2)
    best = int(np.argmax((miss < _LOOSE).sum(axis=1)))
    near = miss[best] < _LOOSE
    for tolerance in (_LOOSE, _TIGHT, _TIGHT):
        if near.sum() < _INLIERS:
            return None
        affine = _fit(source[near, :2], target[near, :2])
        moved = source[:, :2] @ affine[:, :2].T + affine[:, 2]
        near = np.linalg.norm(moved - target[:, :2], axis=1) < tolerance
    distinct = len(np.unique(np.round(target[near, :2] / 4), axis=0))
    scales = np.diag(affine[:, :2])
    sane = bool(np.all((scales > 0.1) & (scales < 10)))
    if distinct < _INLIERS or not sane:
        return None
    # Most crops are cut and not resized: then the shift is whole pixels, and verification exact.
    if np.all(np.abs(scales - 1) < 0.01):
        shift = np.round(np.median(target[near, :2] - source[near, :2], axis=0))
        return np.column_stack([np.eye(2), shift]).astype(np.float64)
    return affine


def _fit(source: npt.NDArray[np.float32], target: npt.NDArray[np.float32]) -> _Affine:
    """Return the least-squares scale and shift of each axis as a 2x3 matrix."""
    center, aim = source.mean(axis=0), target.mean(axis=0)
    centered = source - center
    spread = np.maximum((centered**2).sum(axis=0), 1e-6)
    scale = (centered * (target - aim)).sum(axis=0) / spread
    return np.column_stack([np.diag(scale), aim - scale * center]).astype(np.float64)


def _stretch(source: Sequence[int], target: Sequence[int]) -> _Affine:
    scale_y, scale_x = target[0] / source[0], target[1] / source[1]
    return np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2]])


def _agreement(train: _Gray, test: _Gray, affine: _Affine) -> tuple[float, float]:
    """Correlate fine detail over the shared area, in the coarser picture's frame.

    Returns:
        The correlation and the share of the test picture's area; 0, 0 for no area to speak of.
    """
    import cv2

    height, width = test.shape
    enlarges = abs(float(np.linalg.det(affine[:, :2]))) > 1
    if enlarges:
        inverse = np.asarray(cv2.invertAffineTransform(affine), np.float64)
        moved, mask = _warp(test, inverse, train.shape)
        fixed = train
    else:
        moved, mask = _warp(train, affine, test.shape)
        fixed = test
    # Two sigma of the wider blur: what stands beyond the picture's edge is made up.
    kernel = np.ones((17, 17), np.uint8)
    inside = cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)
    area = int(inside.sum())
    if area < _OVERLAP_SIDE**2:
        return 0.0, 0.0
    best = max(
        _correlation(_detail(np.roll(moved, shift, (0, 1))), _detail(fixed), inside)
        for shift in _SHIFTS
    )
    scale = abs(float(np.linalg.det(affine[:, :2]))) if enlarges else 1.0
    coverage = min(1.0, int(mask.sum()) * scale / (height * width))
    return best, coverage


def _correlation(moved: _Gray, fixed: _Gray, inside: npt.NDArray[np.bool_]) -> float:
    ours, theirs = (picture[inside] - picture[inside].mean() for picture in (moved, fixed))
    spread = float(ours.std() * theirs.std())
    if spread < _FLAT:
        return 0.0
    return float(np.mean(ours * theirs)) / spread


def _warp(
    picture: _Gray, affine: _Affine, shape: Sequence[int]
) -> tuple[_Gray, npt.NDArray[np.uint8]]:
    """Warp to `shape` with what shrinking needs: a blur of the sampling step first."""
    import cv2

    size = (int(shape[1]), int(shape[0]))
    shrink = 1 / np.sqrt(abs(float(np.linalg.det(affine[:, :2]))))
    soft = cv2.GaussianBlur(picture, (0, 0), 0.5 * shrink) if shrink > 1.2 else picture
    mask = cv2.warpAffine(np.ones(picture.shape, np.uint8), affine, size, flags=cv2.INTER_NEAREST)
    moved = cv2.warpAffine(soft, affine, size, flags=cv2.INTER_LINEAR)
    return np.asarray(moved, np.float32), np.asarray(mask, np.uint8)


def _detail(picture: _Gray) -> _Gray:
    """Return the band between sigma 1 and sigma 4 pixels: past noise, before light and shade."""
    import cv2

    fine, coarse = (cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (1.0, 4.0))
    return np.asarray(fine - coarse, np.float32)


def _fingerprint(path: Path) -> _Print:
    import cv2

    from e2r_metrics.base.pictures import read_image

    color = read_image(path)
    digest = hashlib.sha256(repr(color.shape).encode() + color.tobytes()).hexdigest()
    gray = np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY), np.uint8)
    shrink = _LONG_SIDE / max(gray.shape)
    if shrink < 1:
        size = (round(gray.shape[1] * shrink), round(gray.shape[0] * shrink))
        gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
    points, descriptors = _keypoints(gray)
    return _Print(path, digest, _hash(gray), gray, points, descriptors)


def _hash(gray: npt.NDArray[np.uint8]) -> np.uint64:
    """Return the sign of the 64 lowest frequencies of a 32x32 DCT against their median."""
    import cv2

    small = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = np.asarray(cv2.dct(small))[:8, :8].ravel()
    return np.packbits(low > np.median(low[1:])).view(np.uint64)[0]


def _keypoints(
    gray: npt.NDArray[np.uint8],
) -> tuple[_Points, npt.NDArray[np.uint8]]:
    import cv2

    # A low threshold: a 64-pixel crop of a soft picture must still have keypoints.
    detector: Any = cv2.SIFT_create(contrastThreshold=0.01)  # pyright: ignore[reportAttributeAccessIssue]
    points, descriptors = detector.detectAndCompute(gray, None)
    if not len(points):
        return np.zeros((1, 4), np.float32), np.zeros((1, 128), np.uint8)
    order = np.argsort([-point.response for point in points], kind="stable")[:_FEATURES]
    rows = [(*point.pt, point.size, point.angle) for point in points]
    return np.array(rows, np.float32)[order], np.asarray(descriptors).astype(np.uint8)[order]
