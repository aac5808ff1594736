"""Features and checkpoints that are damaged or hostile: never trusted, never run."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import bad_files

from e2r_adapters.train import checkpoint
from e2r_metrics.base.errors import UsageError
from e2r_metrics.features import FeatureStore

IMAGE = "ab" * 32
KINDS = list(bad_files.pickles(Path("witness")))


def _saved(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def _archive(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, a=np.ones(4, np.float32))


DAMAGES = {
    "nothing": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"[]"),
    "an empty array": _saved(lambda path: np.save(path, np.array([], np.float64))),
    "objects": _saved(lambda path: np.save(path, np.array([{}], object), allow_pickle=True)),
    "an archive": _saved(_archive),
    "half an archive": lambda path: (
        _archive(path), path.write_bytes(path.read_bytes()[:-30])
    ),
    "half": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "NaN": _saved(lambda path: np.save(path, np.full(4, np.nan, np.float32))),
    "integers": _saved(lambda path: np.save(path, np.ones(4, np.int64))),
    "a folder": _saved(lambda path: path.mkdir()),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_feature_is_computed_anew(tmp_path: Path, kind: str) -> None:
    store = FeatureStore(tmp_path)
    store.put("x", IMAGE, np.ones(4, np.float32))
    (path,) = tmp_path.rglob("*.npy")
    assert store.get("x", IMAGE) is not None
    DAMAGES[kind](path)
    assert store.get("x", IMAGE) is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_pickle_runs_as_a_feature_or_as_a_checkpoint(tmp_path: Path, kind: str) -> None:
    witness = tmp_path / "witness"
    write = bad_files.pickles(witness)[kind]
    store = FeatureStore(tmp_path / "cache")
    store.put("x", IMAGE, np.ones(4, np.float32))
    (path,) = (tmp_path / "cache").rglob("*.npy")
    write(path)
    assert store.get("x", IMAGE) is None
    weight = torch.nn.Parameter(torch.ones(2))
    write(tmp_path / "step000001.pt")
    with pytest.raises(UsageError, match="delete step000001"):
        checkpoint.read(tmp_path / "step000001.pt", [weight], torch.optim.AdamW([weight]), "x")
    assert not witness.exists()
