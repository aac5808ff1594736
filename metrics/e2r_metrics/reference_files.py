"""The clean side of set metrics as a file: statistics of other packages, or features of our own.

What a file was made with is known where it says so (our own) and has to be said where it does not:
`mu` and `sigma` of pytorch-fid and clean-fid look the same for every network of their width.
"""

import io
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.files import refuse_foreign, write_bytes
from e2r_metrics.catalog import EXTRACTORS
from e2r_metrics.numbers import Features
from e2r_metrics.references import Float64, Reference
from e2r_metrics.session import Session

SUFFIX = ".npz"
_OWN = ("features", "names", "extractor", "key")
_FOREIGN = (("mu", "sigma"), ("feats",))
_MOST_BYTES = 4 * 2**30


def read_reference(path: Path, said: str | None, session: Session) -> Reference:
    """Read a file of `mu` and `sigma`, of `feats`, or of our own features.

    Args:
        path: an .npz; nothing in it is unpickled.
        said: id of the extractor that it was made with; needed where the file does not say it.
        session: knows the extractors' weights.

    Raises:
        UsageError: no such file, another content, or an extractor that is not said or not the one.
    """
    arrays = _arrays(path)
    if said is not None and said not in EXTRACTORS:
        raise unknown("feature extractor", said, EXTRACTORS)
    own = set(_OWN) <= arrays.keys()
    extractor = _own_extractor(path, arrays, said, session) if own else _said(path, said)
    head = f"clean side {path.name} (sha256 {sha256_of(path)[:12]})"
    tail = f"of {extractor}{'' if own else ', as said'}; no swap test: it has no pictures to pair"
    size = EXTRACTORS[extractor].dimension
    if "mu" in arrays and not own:
        moments = _moments(path, arrays["mu"], arrays["sigma"], size)
        told = f"{head}: mean and covariance, n unknown, {tail}"
        return Reference(told, extractor, moments=moments)
    features = _features(path, arrays["features" if own else "feats"], size)
    count = f"{len(features)} pictures"
    if EXTRACTORS[extractor].patch is not None:
        count = f"{len(features)} crops of {len(np.unique(arrays['names']))} pictures"
    return Reference(f"{head}: {count}, {tail}", extractor, features)


def write_reference(path: Path, features: Features, extractor: str, session: Session) -> None:
    """Keep the clean side's features, with what they were made with and whose each row is.

    Raises:
        UsageError: the file cannot be written, or holds something else.
    """
    buffer = io.BytesIO()
    np.savez(
        buffer, features=features.clean.rows,
        names=np.array(features.names)[features.clean.pictures],
        extractor=np.array(extractor), key=np.array(session.extractor_key(extractor)),
    )  # fmt: skip
    refuse_foreign(path, lambda head: head[:2] == b"PK")
    write_bytes(path, buffer.getvalue())


# What is in the file


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    expected = "an .npz of `mu` and `sigma` (pytorch-fid, clean-fid), of `feats`, or of our own"
    try:
        with ZipFile(path) as archive:
            size = sum(one.file_size for one in archive.infolist())
        if size > _MOST_BYTES:
            raise UsageError(f"{path}: expected {expected}, found {size / 2**30:.0f} GiB")
        with np.load(path, allow_pickle=False) as content:
            known = {name for names in (_OWN, *_FOREIGN) for name in names}
            arrays = {name: content[name] for name in content.files if name in known}
            others = ", ".join(content.files) or "nothing"
    except (OSError, ValueError, EOFError, BadZipFile, MemoryError) as error:
        raise UsageError(f"{path}: expected {expected}, found: {error}") from error
    if not any(set(names) <= arrays.keys() for names in (_OWN, *_FOREIGN)):
        raise UsageError(f"{path}: expected {expected}, found {others}")
    return arrays


def _own_extractor(
    path: Path, arrays: dict[str, npt.NDArray[Any]], said: str | None, session: Session
) -> str:
    extractor, key = str(arrays["extractor"]), str(arrays["key"])
    if extractor not in EXTRACTORS or said not in (None, extractor):
        raise UsageError(
            f"{path}: expected features of {said or 'an extractor of ours'}, found {extractor!r}"
        )
    now = session.extractor_key(extractor)
    if key != now:
        raise UsageError(
            f"{path}: expected features made by {now}, found {key}: other weights or another "
            "preprocessing; make it again with --keep-clean"
        )
    return extractor


def _said(path: Path, said: str | None) -> str:
    if said is None:
        whole = (name for name, row in EXTRACTORS.items() if row.patch is None)
        raise UsageError(
            f"{path}: it does not say what made it; expected --clean-extractor, one of "
            f"{', '.join(whole)} (pytorch-fid: inception-pytorch-fid; clean-fid: "
            "inception-clean)"
        )
    if EXTRACTORS[said].patch is not None:
        raise UsageError(
            f"{path}: expected for {said} a file that --keep-clean made, found one that does not "
            "say how its pictures were cut into crops"
        )
    return said


def _moments(
    path: Path, mean: npt.NDArray[Any], covariance: npt.NDArray[Any], size: int
) -> tuple[Float64, Float64]:
    if mean.shape != (size,) or covariance.shape != (size, size):
        raise UsageError(
            f"{path}: expected mu ({size},) and sigma ({size}, {size}), found {mean.shape} and "
            f"{covariance.shape}: made by another extractor than was said"
        )
    mu, sigma = (_numbers(path, one).astype(np.float64) for one in (mean, covariance))
    scale = float(np.abs(sigma).max())
    if float(np.abs(sigma - sigma.T).max()) > 1e-6 * scale or float(np.diag(sigma).min()) < 0:
        raise UsageError(f"{path}: expected a covariance, symmetric, without variances below 0")
    return mu, (sigma + sigma.T) / 2


def _features(path: Path, found: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    if found.ndim != 2 or found.shape[1] != size or len(found) < 2:
        raise UsageError(f"{path}: expected features (n, {size}), n >= 2, found {found.shape}")
    numbers = _numbers(path, found)
    return numbers if numbers.dtype == np.float32 else numbers.astype(np.float64)


def _numbers(path: Path, found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if found.dtype.kind != "f" or not np.isfinite(found).all():
        raise UsageError(f"{path}: expected finite floats, found {found.dtype} or NaN or infinity")
    return found
