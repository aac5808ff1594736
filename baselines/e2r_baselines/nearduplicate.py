"""Pictures that stand in two sets at once: the same pixels, the same photograph, or a crop of it.

Three steps, each cheaper than what it spares: a hash of the decoded pixels; candidates from a
64-bit perceptual hash (same framing) and from SIFT keypoints (crops and rescaled copies); and one
verification for both kinds of candidate, the correlation of fine detail after alignment, so that
two skies or two lawns are no match.

Sources: those of `picture_prints`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from e2r_baselines.picture_alignment import Affine, agreement, align, stretch
from e2r_baselines.picture_prints import Print, Unit, fingerprint, unit

Kind = Literal["identical", "near-duplicate", "crop"]

_BLOCK = 128  # training pictures at a time: about 80 MB of descriptors
_STRONGEST = 200
_ALIKE = 0.9  # cosine of two RootSIFT descriptors
HASH_BITS = 12  # of 64; unrelated photographs differ in 32 +- 4
_CANDIDATES = 12
CORRELATION = 0.8


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
    probes = [fingerprint(path) for path in test]
    found: list[Overlap] = []
    for start in range(0, len(train), _BLOCK):
        index = _Index.of([fingerprint(path) for path in train[start : start + _BLOCK]])
        for probe in probes:
            found += _overlaps_of(probe, index)
    return sorted(found)


@dataclass(frozen=True)
class _Index:
    """The descriptors of a block of training pictures in one table, picture after picture."""

    known: Sequence[Print]
    descriptors: Unit
    first: npt.NDArray[np.intp]
    strongest: Unit
    first_strongest: npt.NDArray[np.intp]
    bits: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, known: Sequence[Print]) -> "_Index":
        every = [unit(entry.descriptors) for entry in known]
        strong = [rows[:_STRONGEST] for rows in every]
        return cls(
            known,
            np.concatenate(every),
            _starts(every),
            np.concatenate(strong),
            _starts(strong),
            np.array([entry.bits for entry in known], dtype=np.uint64),
        )


def _starts(tables: Sequence[Unit]) -> npt.NDArray[np.intp]:
    return np.cumsum([0, *(len(table) for table in tables[:-1])], dtype=np.intp)


def _overlaps_of(probe: Print, index: _Index) -> Iterator[Overlap]:
    known = index.known
    same = {k for k, entry in enumerate(known) if entry.pixels == probe.pixels}
    for k in sorted(same):
        yield Overlap(probe.path, known[k].path, "identical", 1.0, 1.0)
    seen = set(same)
    for kind, k, affine in _candidates(probe, index):
        if k in seen:
            continue
        correlation, coverage = agreement(
            known[k].gray.astype(np.float32), probe.gray.astype(np.float32), affine
        )
        if correlation >= CORRELATION:
            seen.add(k)
            yield Overlap(probe.path, known[k].path, kind, correlation, coverage)


def _candidates(probe: Print, index: _Index) -> Iterator[tuple[Kind, int, Affine]]:
    distance = np.bitwise_count(index.bits ^ probe.bits)
    for k in np.flatnonzero(distance <= HASH_BITS).tolist():
        yield "near-duplicate", k, stretch(index.known[k].gray.shape, probe.gray.shape)
    descriptors = unit(probe.descriptors)
    votes = _votes(descriptors, index)
    for k in np.argsort(-votes, kind="stable")[:_CANDIDATES].tolist():
        entry = index.known[k]
        ours, theirs = _matches(descriptors, unit(entry.descriptors))
        affine = align(entry.points[theirs], probe.points[ours])
        if affine is not None:
            yield "crop", k, affine


def _votes(probe: Unit, index: _Index) -> npt.NDArray[np.intp]:
    """Count, for each training picture, keypoints that look like one of the test picture's.

    The strongest keypoints of either side are looked up among all of the other's, since either may
    be the crop: a crop has few keypoints, and the whole must offer all of its own.
    """
    ours = np.maximum.reduceat(probe[:_STRONGEST] @ index.descriptors.T, index.first, axis=1)
    theirs = (index.strongest @ probe.T).max(axis=1) > _ALIKE
    return (ours > _ALIKE).sum(axis=0) + np.add.reduceat(theirs, index.first_strongest, dtype=int)


def _matches(probe: Unit, entry: Unit) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows of descriptors that are each other's nearest and alike."""
    alike = probe @ entry.T
    nearest = alike.argmax(axis=1)
    ours = np.arange(len(probe))
    good = (alike.argmax(axis=0)[nearest] == ours) & (alike[ours, nearest] > _ALIKE)
    return ours[good], nearest[good]
