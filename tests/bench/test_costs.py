"""Parameters, multiply-adds and peak memory: against arithmetic, and without touching a picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from e2r_baselines.method import DETERMINISTIC, Compute, Photo
from e2r_baselines.network import NetworkRestorer, place
from e2r_baselines.prenet import PReNet
from e2r_baselines.tasks import TASKS
from e2r_bench.cli import main
from e2r_bench.run.costs import Peak, count, counting
from e2r_bench.store.costs import cost_lines, read_costs
from e2r_bench.store.store import open_store

ONE = Photo("a", np.random.default_rng(0).random((40, 150, 3), dtype=np.float32))


def restorer(network: nn.Module) -> NetworkRestorer:
    placed = place(network, Compute())
    return NetworkRestorer(lambda images, _: placed(images), Compute())


def test_multiply_adds_of_two_convolutions_are_those_of_the_textbook() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))
    found = count(restorer(network), ONE, TASKS["denoise25"], DETERMINISTIC)
    # 128 of the 150 columns are counted on.
    assert (found.height, found.width) == (40, 128)
    assert found.multiply_adds == 40 * 128 * (9 * 3 * 8 + 8 * 3)
    assert found.parameters == 9 * 3 * 8 + 8 + 8 * 3 + 3


def test_a_parameter_that_is_read_six_times_counts_once() -> None:
    # PReNet's six recurrences share their weights; its published count is 168,963.
    found = count(restorer(PReNet()), ONE, TASKS["derain"], DETERMINISTIC)
    assert found.parameters == 168_963


def test_what_is_never_read_does_not_count() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    found = count(restorer(Half()), ONE, TASKS["denoise25"], DETERMINISTIC)
    assert found.parameters == 12


def test_products_of_matrices_count() -> None:
    with counting() as found:
        torch.mm(torch.ones(5, 7), torch.ones(7, 11))
    assert (found.multiply_adds, found.parameters) == (5 * 7 * 11, 0)


def test_the_peak_holds_what_was_let_go_again() -> None:
    peak = Peak("cpu")
    before = peak.bytes()
    if before is None:
        pytest.skip("this machine does not say how much memory a process held")
    np.ones(30_000_000).sum()  # 240 MB
    most = peak.bytes()
    assert most is not None
    assert 200e6 < most - before < 400e6
    later = Peak("cpu").bytes()
    assert later is not None
    assert later < 100e6


def test_a_run_says_what_its_methods_cost(tmp_path: Path) -> None:
    out = tmp_path / "run"
    asked = ["run", "--methods", "promptir,wavelet", "--tasks", "denoise25", "--limit", "2"]
    asked += ["--metrics", "psnr", "--out", str(out)]
    assert main(asked) == 0
    costs = read_costs(out)
    assert set(costs) == {"degraded", "clean", "promptir", "wavelet"}
    assert 0 < costs["promptir"].parameters <= 771_130
    assert costs["promptir"].counted_on == (128, 128)
    assert costs["wavelet"].parameters == 0
    lines = cost_lines(open_store(out))
    assert [line.partition(":")[0] for line in lines] == ["promptir", "wavelet"]
    assert "GMAC for 128x128" in lines[0]
    assert "s a picture on denoise25" in lines[1]
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "**Costs:** promptir: " in page
    # Counted once: the same command finds all there.
    stamp = (out / "costs.json").stat().st_mtime_ns
    assert main(asked) == 0
    assert (out / "costs.json").stat().st_mtime_ns == stamp


def test_a_damaged_file_of_costs_is_counted_as_none(tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text('{"a": {"parameters": "many"}}')
    assert read_costs(tmp_path) == {}
    assert read_costs(tmp_path / "nowhere") == {}
