"""A file on the clean side: the number of its folder, or one line that says why not."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from scipy import linalg

from e2r_bench.cli import main
from e2r_metrics import UsageError, resolve
from e2r_metrics.base.pictures import write_png
from e2r_metrics.frechet import frechet_distance, frechet_to_moments
from e2r_metrics.reference_files import read_reference

SIZE = 1280
SETS = "fd_effnet,mmd_effnet,prdc_effnet:coverage"


class Known:
    """A session whose weights are known; no picture is looked at."""

    def extractor_key(self, extractor):
        return f"{extractor}-0123456789ab"


def moments(X):
    return X.mean(0), np.cov(X, rowvar=False)


def own(path, **changed):
    X = np.random.default_rng(0).normal(size=(9, SIZE)).astype(np.float32)
    content = {"features": X, "names": np.array([f"p{k}" for k in range(9)]),
               "extractor": np.array("effnet-lite0"),
               "key": np.array("effnet-lite0-0123456789ab")}  # fmt: skip
    np.savez(path, **{**content, **changed})
    return path


@pytest.mark.parametrize("n", [5, 40, 200])
@pytest.mark.parametrize("m", [6, 300])
def test_moments_give_the_distance_of_the_features(n, m):
    generator = np.random.default_rng(n + m)
    X = generator.normal(size=(n, 32))
    Y = generator.normal(0.3, 1.4, size=(m, 32)) @ generator.normal(size=(32, 32))
    found = frechet_to_moments(X, *moments(Y))
    # Of a covariance of few pictures most eigenvalues are the rounding of zero.
    assert found == pytest.approx(frechet_distance(X, Y), rel=1e-9 if m > 32 else 1e-7)


def test_it_is_the_formula_of_pytorch_fid():
    """mu and sigma as that package makes them, and its formula with a root of D x D."""
    generator = np.random.default_rng(4)
    X, Y = generator.normal(size=(400, 24)), generator.normal(0.2, 2, size=(300, 24))
    (mx, sx), (my, sy) = moments(X), moments(Y)
    root = linalg.sqrtm(sx @ sy).real
    expected = np.sum((mx - my) ** 2) + np.trace(sx + sy - 2 * root)
    assert frechet_to_moments(X, my, sy) == pytest.approx(expected, rel=1e-9)
    wrong = np.cov(Y, rowvar=False, ddof=0)
    assert frechet_to_moments(X, my, wrong) != pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("content", "said", "told"),
    [
        ({"mu": np.zeros(SIZE), "sigma": np.eye(SIZE)}, None, "expected --clean-extractor"),
        ({"feats": np.zeros((4, SIZE))}, None, "expected --clean-extractor"),
        ({"mu": np.zeros(SIZE), "sigma": np.eye(SIZE)}, "effnet", "unknown feature extractor"),
        ({"mu": np.zeros(8), "sigma": np.eye(8)}, "effnet-lite0", "by another extractor"),
        ({"mu": np.zeros(SIZE), "sigma": np.full((SIZE, SIZE), np.nan)}, "effnet-lite0", "finite"),
        ({"mu": np.zeros(SIZE), "sigma": -np.eye(SIZE)}, "effnet-lite0", "variances below 0"),
        ({"mu": np.zeros(SIZE), "sigma": np.triu(np.ones((SIZE, SIZE)))}, "effnet-lite0",
         "symmetric"),
        ({"mu": np.zeros(SIZE, int), "sigma": np.eye(SIZE)}, "effnet-lite0", "finite floats"),
        ({"feats": np.zeros((1, SIZE))}, "effnet-lite0", "n >= 2"),
        ({"feats": np.zeros((4, 8))}, "effnet-lite0", "expected features (n, 1280)"),
        ({"mu": np.zeros(SIZE)}, "effnet-lite0", "found mu"),
        ({}, "effnet-lite0", "found nothing"),
    ],
)  # fmt: skip
def test_what_a_file_does_not_say_is_not_guessed(tmp_path, content, said, told):
    path = tmp_path / "s.npz"
    np.savez(path, **content)
    with pytest.raises(UsageError) as refused:
        read_reference(path, said, Known())
    assert told in str(refused.value)
    assert str(path) in str(refused.value) or "unknown" in told
    assert "\n" not in str(refused.value)


def test_features_of_ours_say_what_made_them(tmp_path):
    found = read_reference(own(tmp_path / "a.npz"), None, Known())
    assert found.extractor == "effnet-lite0"
    assert "9 pictures, of effnet-lite0; no swap test" in found.words
    assert "as said" not in found.words
    for changed, told in (
        ({"key": np.array("effnet-lite0-ffffffffffff")}, "other weights or another preprocessing"),
        ({"extractor": np.array("inception")}, "an extractor of ours"),
        ({"features": np.zeros((9, 7), np.float32)}, "expected features (n, 1280)"),
        ({"features": np.full((9, SIZE), np.inf, np.float32)}, "finite"),
    ):
        with pytest.raises(UsageError, match="expected") as refused:
            read_reference(own(tmp_path / "b.npz", **changed), None, Known())
        assert told in str(refused.value)
    with pytest.raises(UsageError, match="expected features of inception-clean"):
        read_reference(own(tmp_path / "c.npz"), "inception-clean", Known())


def test_nothing_in_a_file_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / "trap.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mu.npy", pickle.dumps(Trap()))
    np.savez(tmp_path / "object.npz", mu=np.array([Trap()], dtype=object), sigma=np.eye(2))
    for one in (path, tmp_path / "object.npz"):
        with pytest.raises(UsageError, match=r"expected an \.npz"):
            read_reference(one, "effnet-lite0", Known())
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"PK\x03\x04" + b"\0" * 60])
def test_no_file_ends_in_a_traceback(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        read_reference(path, None, Known())


def test_a_file_serves_its_own_extractor_and_what_it_holds(tmp_path):
    path = tmp_path / "m.npz"
    np.savez(path, mu=np.zeros(SIZE), sigma=np.eye(SIZE))
    found = read_reference(path, "effnet-lite0", Known())
    assert "mean and covariance, n unknown, of effnet-lite0, as said; no swap test" in found.words
    found.check(resolve(["fd_effnet"])[0])
    for name, told in (("fid", "expected one extractor"), ("mmd_effnet", "needs the features"),
                       ("prdc_effnet", "needs the features"), ("psnr", "compares pictures"),
                       ("niqe", "compares pictures")):  # fmt: skip
        with pytest.raises(UsageError, match=told):
            found.check(resolve([name])[0])


# On the command line


@pytest.fixture
def folders(tmp_path, photo, noisy, files):
    files("efficientnet-lite0")
    for k in range(7):
        cut = np.s_[10 * k : 10 * k + 64, 8 * k : 8 * k + 64]
        write_png(tmp_path / "clean" / f"{k}.png", photo[cut])
        write_png(tmp_path / "restored" / f"{k}.png", noisy(12, seed=k)[cut])
        write_png(tmp_path / "other" / f"{k}.png", noisy(25, seed=k)[cut])
    return tmp_path


def scored(capsys, *arguments):
    assert main(["score", *arguments, "--offline", "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_file_gives_the_numbers_of_its_folder(folders, capsys):
    restored, clean, kept = (str(folders / name) for name in ("restored", "clean", "k.npz"))
    first = scored(capsys, restored, clean, "--metrics", SETS, "--keep-clean", kept)["summary"]
    again = scored(capsys, restored, kept, "--metrics", SETS)["summary"]
    assert [row["value"] for row in again] == [row["value"] for row in first]
    assert all("clean side k.npz (sha256" in row["protocol"] for row in again)
    with np.load(kept, allow_pickle=False) as content:
        mu, sigma = moments(content["features"].astype(np.float64))
    np.savez(folders / "m.npz", mu=mu, sigma=sigma)
    said = ("--metrics", "fd_effnet", "--clean-extractor", "effnet-lite0")
    (third,) = scored(capsys, restored, str(folders / "m.npz"), *said)["summary"]
    assert third["value"] == pytest.approx(first[0]["value"], rel=1e-7)
    assert "n unknown" in third["protocol"]
    two = scored(capsys, restored, str(folders / "other"), str(folders / "m.npz"), *said)
    assert two.keys() == {"scores"}  # nothing is compared
    assert len(two["scores"]) == 2


def test_what_does_not_fit_a_file_is_one_line(folders, capsys):
    restored, clean = str(folders / "restored"), str(folders / "clean")
    kept = own(folders / "k.npz")
    for arguments, told in (
        ([restored, str(kept), "--metrics", "fd_effnet"], "other weights"),
        ([restored, clean, "--metrics", "psnr", "--keep-clean", "x.npz"], "one extractor"),
        ([restored, clean, "--metrics", "psnr", "--clean-extractor", "effnet-lite0"], "CLEAN file"),
        ([restored, str(kept), "--metrics", "invented_share"], "found a file"),
        ([restored, str(folders / "gone.npz"), "--metrics", "fd_effnet"], "No such file"),
    ):
        assert main(["score", *arguments, "--offline"]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert told in said[-1]


def test_nothing_beside_a_file_is_cut_or_paired(folders, capsys):
    np.savez(folders / "m.npz", mu=np.zeros(SIZE), sigma=np.eye(SIZE))
    said = ["--metrics", "fd_effnet", "--clean-extractor", "effnet-lite0", "--offline"]
    for cut in (("--shave", "4"), ("--crop", "x16"), ("--order", "sorted"), ("--pair", "{name}")):
        code = main(["score", str(folders / "restored"), str(folders / "m.npz"), *said, *cut])
        assert code == 2
        assert "nothing in the file can be cut or paired" in capsys.readouterr().err


def test_a_broken_picture_is_named_and_the_rest_counts(folders, capsys):
    (folders / "restored" / "3.png").write_bytes(b"no picture")
    np.savez(folders / "m.npz", mu=np.zeros(SIZE), sigma=np.eye(SIZE))
    code = main(["score", str(folders / "restored"), str(folders / "m.npz"), "--metrics",
                 "fd_effnet", "--clean-extractor", "effnet-lite0", "--offline"])  # fmt: skip
    told = capsys.readouterr()
    assert code == 1
    assert "failed: 3" in told.err
    assert "fd_effnet:lite0 ↓  6" in told.out
