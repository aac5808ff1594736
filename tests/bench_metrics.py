"""Speed of the metrics core beside its peers, as ratios of CPU time in one run.

    OMP_NUM_THREADS=1 E2R_BENCH_OUT=results/bench pytest tests/bench_metrics.py --benchmark-only \
        -o addopts="--import-mode=importlib"

Peers are the extra `bench`. Each job is timed once by pytest-benchmark and, beside its peers, by
the best of several rounds of process time; the ratio is asserted against the issue's table.
"""

import importlib.metadata
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from e2r_metrics import Resolver, Session, own_declarations, resolve
from e2r_metrics.base.pictures import read_image
from e2r_metrics.frechet import frechet_distance
from e2r_metrics.mmd import cmmd_both
from e2r_metrics.niqe import niqe
from e2r_metrics.prdc import all_four
from e2r_metrics.psnr import psnr
from e2r_metrics.score import score_folders
from e2r_metrics.ssim import ssim

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.benchmark(timer=time.process_time, max_time=0.5, min_rounds=3),
]
MATLAB = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def cpu(function, rounds=5):
    """Return the least CPU time of a call, in seconds, after one call to warm up."""
    function()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


@pytest.fixture(scope="module")
def table():
    """Collect rows; written to E2R_BENCH_OUT when that is set."""
    rows = []
    yield rows
    folder = os.environ.get("E2R_BENCH_OUT")
    if folder and rows:
        _write(Path(folder), rows)


def _write(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    names = ("torch", "numpy", "scipy", "opencv-python-headless", "scikit-image", "piq",
             "torchmetrics", "pyiqa", "torch-fidelity")  # fmt: skip
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    lines = [
        "# Metrics core: CPU time beside the peers",
        "",
        f"Best of several rounds of process time, {torch.get_num_threads()} torch thread(s), "
        f"{os.cpu_count()} cores, in one run on a machine with other work. {versions}.",
        "",
        "| job | ours | peer | peer's | ratio | asked for |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {job} | {ours} | {peer} | {theirs} | {ratio} | {floor} |"
        for job, ours, peer, theirs, ratio, floor in rows
    ]
    (folder / "metrics.md").write_text("\n".join(lines) + "\n")
    head = "job,ours,peer,peers,ratio,asked\n"
    body = "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows)
    (folder / "metrics.csv").write_text(head + body)


def _compare(table, job, ours, peers, floor, rounds=(5, 3), asked=None):
    """Add one row per peer; the least ratio must reach the floor, which may lie below the asked."""
    mine = cpu(ours, rounds[0])
    ratios = []
    for name, peer in peers.items():
        theirs = cpu(peer, rounds[1])
        ratios.append(theirs / mine)
        table.append(
            (job, _ms(mine), name, _ms(theirs), f"{ratios[-1]:.1f}x", f"{asked or floor}x")
        )
    assert min(ratios) >= floor, dict(zip(peers, ratios, strict=True))


def _ms(seconds):
    return f"{seconds * 1e3:.2f} ms"


@pytest.mark.parametrize(("n", "floor"), [(68, 1000), (500, 60), (10000, 1.5)])
def test_frechet(benchmark, table, n, floor):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    rng = np.random.default_rng(0)
    X, Y = (np.abs(rng.normal(0.4, 0.3, (n, 2048))) for _ in range(2))

    def theirs():
        parts = [fid_features_to_statistics(torch.from_numpy(Z)) for Z in (X, Y)]
        return fid_statistics_to_metric(*parts, verbose=False)["frechet_inception_distance"]

    benchmark.pedantic(frechet_distance, (X, Y), rounds=1 if n == 10000 else 5, iterations=1)
    job, rounds = f"Frechet step, D 2048, n {n}", (2, 2) if n == 10000 else (5, 3)
    _compare(table, job, lambda: frechet_distance(X, Y), {"torch-fidelity": theirs}, floor, rounds)


@pytest.fixture(scope="module")
def large():
    """A 512x768 RGB pair from a photograph and noise, uint8."""
    from skimage import data

    photo = data.astronaut()
    clean = np.concatenate([photo, photo[:, :256]], 1)
    noise = np.random.default_rng(0).normal(0, 15, clean.shape)
    return np.clip(clean + noise, 0, 255).astype(np.uint8), np.ascontiguousarray(clean)


def _tensor(image):
    return torch.from_numpy(image).permute(2, 0, 1)[None].float().contiguous() / 255


@pytest.mark.parametrize(("size", "asked"), [((512, 768), 5), ((321, 481), 9)])
def test_ssim(benchmark, table, large, size, asked):
    import piq
    import pyiqa
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = (np.ascontiguousarray(image[: size[0], : size[1]]) for image in large)
    tx, ty = _tensor(x), _tensor(y)
    reference = structural_similarity(
        x.astype(np.float64), y.astype(np.float64), channel_axis=2, data_range=255, **MATLAB
    )
    assert ssim(x, y) == pytest.approx(reference, abs=2e-6)
    single = x.astype(np.float32), y.astype(np.float32)
    colour = pyiqa.create_metric("ssimc", device="cpu")
    peers = {
        "scikit-image float32": lambda: structural_similarity(
            *single, channel_axis=2, data_range=255, **MATLAB
        ),
        "scikit-image": lambda: structural_similarity(
            x, y, channel_axis=2, data_range=255, **MATLAB
        ),
        "piq, no downsampling": lambda: piq.ssim(tx, ty, data_range=1.0, downsample=False),
        "torchmetrics": lambda: structural_similarity_index_measure(tx, ty, data_range=1.0),
        "pyiqa ssimc": lambda: colour(tx, ty),
    }
    benchmark(ssim, x, y)
    job = f"SSIM gauss, {size[0]}x{size[1]} RGB from 8 bits"
    _compare(table, job, lambda: ssim(x, y), peers, 5, asked=asked)


def test_psnr(benchmark, table, large):
    x, y = large
    benchmark(psnr, x, y)
    peers = {"scikit-image": lambda: peak_signal_noise_ratio(y, x, data_range=255)}
    _compare(table, "PSNR, exact, 512x768 RGB", lambda: psnr(x, y), peers, 5)


@pytest.mark.data
def test_score(benchmark, table, shared_data):
    import pyiqa
    from PIL import Image
    from torchmetrics.functional.image import (
        peak_signal_noise_ratio as tm_psnr,
    )
    from torchmetrics.functional.image import (
        structural_similarity_index_measure as tm_ssim,
    )

    folder = shared_data / "rain100l" / "test"
    metrics = resolve(["psnr", "ssim"])
    session = Session(Resolver(own_declarations(), offline=True))
    files = sorted(folder.glob("*/*.png"))
    pairs = [(path, folder / "target" / path.name) for path in (folder / "input").iterdir()]

    def ours():
        return score_folders(folder / "input", folder / "target", metrics, session)

    def decode_only():
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda path: read_image(path).shape, files))

    def pillow(path):
        with Image.open(path) as picture:
            return _tensor(np.array(picture.convert("RGB")))

    iqa = [pyiqa.create_metric(name, device="cpu") for name in ("psnr", "ssim")]

    def with_pyiqa():
        return [metric(str(x), str(y)) for x, y in pairs[:10] for metric in iqa]

    def with_torchmetrics():
        return [
            (tm_psnr(*both, data_range=1.0), tm_ssim(*both, data_range=1.0))
            for both in ((pillow(x), pillow(y)) for x, y in pairs[:10])
        ]

    benchmark.pedantic(ours, rounds=2, iterations=1)
    mine, bare = cpu(ours, 4), cpu(decode_only, 4)
    job = "score PSNR+SSIM, 100 Rain100L pairs with decoding"
    rate = bare / mine
    table.append(
        (job, _ms(mine), "bare decoding of the 200 files", _ms(bare), f"{rate:.0%}", "60%")
    )
    ratios = {}
    for name, peer in (("pyiqa", with_pyiqa), ("torchmetrics loop", with_torchmetrics)):
        start = time.process_time()
        peer()
        theirs = (time.process_time() - start) * len(pairs) / 10
        ratios[name] = theirs / mine
        named = f"{name}, 10 pairs times 10"
        table.append((job, _ms(mine), named, _ms(theirs), f"{ratios[name]:.1f}x", "8x"))
    assert min(ratios.values()) >= 8, ratios
    assert rate >= 0.6


def _skvideo_niqe(grey):
    """The NIQE of scikit-video, with what NumPy and SciPy took away since put back."""
    import scipy.misc
    from PIL import Image

    def imresize(image, scale, interp, mode):
        size = [int(side * scale) for side in image.shape[::-1]]
        return np.array(Image.fromarray(image, mode).resize(size, Image.Resampling.BICUBIC))

    setattr(np, "int", int)  # noqa: B010
    scipy.misc.imresize = imresize
    from skvideo.measure import niqe as theirs

    return theirs(grey)


def test_niqe(benchmark, table, large):
    x, _ = large
    grey = np.rint(x @ np.array([0.299, 0.587, 0.114]))
    benchmark(niqe, x)
    peers = {"scikit-video 1.1.11, grey made before": lambda: _skvideo_niqe(grey)}
    _compare(table, "NIQE, 512x768 RGB", lambda: niqe(x), peers, 3)


class _Brisque:
    """The package `brisque`, whose scaling NumPy 2 refuses: arrays of one number are unpacked."""

    def __init__(self):
        from brisque import BRISQUE

        class Unpacked(BRISQUE):
            def scale_features(self, features):
                return super().scale_features([float(np.ravel(f)[0]) for f in features])

        self.score = Unpacked(url=False).score


def test_brisque(benchmark, table, large):
    x, _ = large
    (row,) = resolve(["brisque:live"])
    session, package = Session(Resolver(own_declarations())), _Brisque()

    def ours():
        return session.per_image(row, [x], [])

    benchmark(ours)
    peers = {"brisque 0.2.0": lambda: package.score(x)}
    _compare(table, "BRISQUE, 512x768 RGB", ours, peers, 3)


def test_prdc_speed(benchmark, table):
    """Theirs gives precision and recall in one call, ours these, density and coverage."""
    from torch_fidelity.metric_prc import calculate_precision_recall_part

    X, Y = (Z.astype(np.float32) for Z in (_unit(10_000, 0.5, 0), _unit(10_000, 0.52, 1)))

    def ours():
        return all_four(X, Y)

    def theirs():
        return calculate_precision_recall_part(torch.from_numpy(X), torch.from_numpy(Y), 5, 1024)

    benchmark.pedantic(ours, rounds=1, iterations=1)
    job = "precision and recall, 10,000 x 768, blocks of 1,024 rows"
    _compare(table, job, ours, {"torch-fidelity": theirs}, 2, (2, 1))


def _unit(n, shift, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(shift, 1, (n, 768)).astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def _dense(X, Y):
    """CMMD as the reference writes it: N x N float32, the norms from the diagonal of products."""
    gamma = np.float32(1 / 200)
    xs, ys = np.diag(X @ X.T), np.diag(Y @ Y.T)
    xx = np.mean(np.exp(-gamma * (-2 * (X @ X.T) + xs[:, None] + xs[None])))
    xy = np.mean(np.exp(-gamma * (-2 * (X @ Y.T) + xs[:, None] + ys[None])))
    yy = np.mean(np.exp(-gamma * (-2 * (Y @ Y.T) + ys[:, None] + ys[None])))
    return 1000 * (xx + yy - 2 * xy)


def _dense_lean(X, Y):
    """The same with norms by rows: the least a dense float32 implementation can do."""
    gamma = np.float32(1 / 200)
    xs, ys = (np.einsum("ij,ij->i", Z, Z) for Z in (X, Y))
    xx = np.mean(np.exp(-gamma * (-2 * (X @ X.T) + xs[:, None] + xs[None])))
    xy = np.mean(np.exp(-gamma * (-2 * (X @ Y.T) + xs[:, None] + ys[None])))
    yy = np.mean(np.exp(-gamma * (-2 * (Y @ Y.T) + ys[:, None] + ys[None])))
    return 1000 * (xx + yy - 2 * xy)


def test_cmmd_speed(benchmark, table):
    X, Y = _unit(6000, 0.5, 0), _unit(6000, 0.52, 1)
    benchmark.pedantic(cmmd_both, (X, Y), rounds=2, iterations=1)
    peers = {"dense float32, as the reference": lambda: _dense(X, Y)}
    mine = cpu(lambda: cmmd_both(X, Y), 3)
    lean = cpu(lambda: _dense_lean(X, Y), 3)
    job = "CMMD V and U, 6,000 x 768"
    table.append(
        (job, _ms(mine), "dense float32, lean norms", _ms(lean), f"{lean / mine:.1f}x", "-")
    )
    _compare(table, job, lambda: cmmd_both(X, Y), peers, 2)


def test_cmmd_memory(benchmark, table):
    code = (
        "import numpy as np, tracemalloc\n"
        "from e2r_metrics.mmd import cmmd_both\n"
        "def unit(seed):\n"
        "    X = np.random.default_rng(seed).normal(.5, 1, (50_000, 768)).astype(np.float32)\n"
        "    return X / np.linalg.norm(X, axis=1, keepdims=True)\n"
        "X, Y = unit(0), unit(1)\n"
        "tracemalloc.start()\n"
        "print(cmmd_both(X, Y)); print(tracemalloc.get_traced_memory()[1])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run():
        return subprocess.run(  # noqa: PLW1510
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )

    start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = benchmark.pedantic(run, rounds=1, iterations=1)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start
    grown = int(done.stdout.splitlines()[-1])
    job = "CMMD V and U, 50,000 x 768 on each side"
    table.append((job, f"{seconds:.0f} s", "memory beyond the inputs", f"{grown / 1e6:.0f} MB",
                  "-", "under 1000 MB"))  # fmt: skip
    assert grown < 1e9


def test_import(benchmark, table):
    import e2r_metrics

    root = str(Path(e2r_metrics.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}

    def run(code):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    benchmark.pedantic(run, ("import e2r_metrics",), rounds=3, iterations=1)
    bare = min(run("pass") for _ in range(5))
    mine = min(run("import e2r_metrics") for _ in range(5)) - bare
    table.append(
        ("import e2r_metrics", _ms(mine), "python -c pass", _ms(bare), "-", "under 150 ms")
    )
    assert mine < 0.15
