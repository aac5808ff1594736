"""A threshold goes to another run only where task, noise, method and looks do not differ."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_bench.maps.bands import texture
from e2r_bench.maps.carry import carry
from e2r_bench.maps.looks import LEVEL, Looks, differences, made_of, unlike
from e2r_bench.maps.trust import trust_masks
from e2r_bench.maps.write import Wanted, picture_path, write_maps
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png


def quiet(stage: str, done: int, total: int) -> None:
    del stage, done, total


@pytest.fixture(params=[8.0])
def calibrated(
    run_copy: Store, tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[Store, tuple[Cell, ...], Path]:
    """Return a run, its pictures by one method, and what half of them calibrated, elsewhere."""
    bound: float = request.param
    wanted = Wanted(methods=("promptir",), tasks=("denoise25",), maps=("ciede2000",))
    cells = write_maps(run_copy, wanted, None, quiet).cells
    trust_masks(run_copy, cells, bound=bound, level=0.3, score=None)
    told = tmp_path / "trust.json"
    told.write_bytes((run_copy.folder / "maps" / "trust.json").read_bytes())
    return run_copy, cells, told


def _edited(told: Path, **changes: object) -> Path:
    entries = json.loads(told.read_text())
    told.write_text(json.dumps([{**one, **changes} for one in entries]))
    return told


def test_a_threshold_is_carried_and_says_on_what_condition(calibrated) -> None:
    run, cells, told = calibrated
    (one,) = carry(run, cells, told)
    assert len(one.scenes) == 6
    assert one.threshold == json.loads(told.read_text())[0]["threshold"]
    assert "assumed, not shown" in one.line()
    assert "exchangeable with the 3 calibration scenes" in one.line()
    assert f"smallest p {one.smallest_p:.2g}" in one.line()
    shares = []
    for cell in cells:
        score = texture(read_image(run.path(cell)))
        inside = score <= one.threshold
        shares.append(inside.mean() if inside.mean() >= 0.01 else 0.0)
        assert picture_path(run, cell, "trusted").is_file()
    assert one.trusted_share == pytest.approx(np.mean(shares))
    assert one.trusted_share > 0
    (written,) = json.loads((run.folder / "maps" / "trust.json").read_text())
    assert written["calibrated_on"] == one.calibrated_on


@pytest.mark.parametrize("calibrated", [99.0], indirect=True)
def test_a_bound_that_nothing_breaks_trusts_everything_there_too(calibrated) -> None:
    run, cells, told = calibrated
    (one,) = carry(run, cells, told)
    assert one.trusted_share == 1
    assert one.broken == 0


def test_another_task_is_refused_by_name_and_nothing_is_written(calibrated, capsys) -> None:
    run, cells, told = calibrated
    before = (run.folder / "maps" / "trust.json").read_bytes()
    words = ["maps", str(run.folder), "--methods", "promptir", "--maps", "ciede2000", "--offline"]
    assert main([*words, "--tasks", "denoise50", "--carry", str(told)]) == 2
    said = capsys.readouterr().err
    assert "task: denoise25 -> denoise50" in said
    assert "degradation: Gaussian sigma 25" in said
    assert "calibrate on this run with --bound" in said
    assert (run.folder / "maps" / "trust.json").read_bytes() == before
    fifty = [replace(cell, task="denoise50") for cell in cells]
    assert not any(picture_path(run, cell, "trusted").exists() for cell in fifty)


def test_other_noise_of_the_same_name_is_seen_by_its_looks(calibrated) -> None:
    """Inputs that somebody else made, twice as noisy: no record says so, the residual does."""
    run, cells, told = calibrated
    looks = json.loads(told.read_text())[0]["looks"]
    many = {name: np.linspace(0.9, 1.1, 30) * np.mean(values) for name, values in looks.items()}
    _edited(told, looks={name: list(values) for name, values in many.items()})
    for cell in cells:
        path = run.degraded_path(cell.task, cell.image)
        noise = np.random.default_rng(len(cell.image)).normal(0, 50, (128, 128, 3))
        write_png(path, np.clip(read_image(path) + noise, 0, 255).astype(np.uint8))
    with pytest.raises(UsageError, match=r"look unlike .*residual: median"):
        carry(run, cells, told)


def test_another_method_or_protocol_is_refused(calibrated) -> None:
    run, cells, told = calibrated
    made = json.loads(told.read_text())[0]["made"]
    for change in ({"build": "promptir"}, {"protocol": "airnet"}, {"options": {"tile": 64}}):
        _edited(told, made=made | change)
        (key,) = change
        with pytest.raises(UsageError, match=f"nearest differs in {key}: "):
            carry(run, cells, told)


@pytest.mark.parametrize("content", ["", "{}", "[{}]", '[{"threshold": 1.0}]', "[]", "[1]"])
def test_another_file_is_one_line(calibrated, content, capsys) -> None:
    run, _, told = calibrated
    told.write_text(content)
    assert main(["maps", str(run.folder), "--limit", "1", "--maps", "ciede2000", "--offline",
                 "--tasks", "denoise25", "--carry", str(told)]) == 2  # fmt: skip
    assert "--carry" in capsys.readouterr().err


def test_masks_that_trust_nothing_are_not_carried(calibrated) -> None:
    run, cells, told = calibrated
    with pytest.raises(UsageError, match="only masks without trust"):
        carry(run, cells, _edited(told, threshold=None))


def test_carry_stands_alone(calibrated, capsys) -> None:
    run, _, told = calibrated
    for more in (["--bound", "3"], ["--score", "texture"]):
        assert main(["maps", str(run.folder), "--carry", str(told), *more]) == 2
        assert "expected no --bound and no --score" in capsys.readouterr().err


def test_the_draw_of_a_noise_makes_no_difference(run_copy: Store) -> None:
    here = made_of(run_copy, "promptir", "denoise25")
    assert "seed 0" not in here.degradation
    assert differences(here, here) == []
    assert differences(here, replace(here, task="denoise15")) == ["task: denoise25 -> denoise15"]


def _drawn(rng: np.random.Generator, n: int, factor: float = 1.0) -> Looks:
    residual, detail, light = (
        factor * rng.lognormal(3, 0.2, n),
        rng.lognormal(1, 1, n),
        9 * rng.random(n),
    )
    return Looks(*(tuple(map(float, values)) for values in (residual, detail, light)))


def test_scenes_that_look_alike_are_refused_no_more_often_than_stated() -> None:
    rng = np.random.default_rng(0)
    refused = [bool(unlike(_drawn(rng, 30), _drawn(rng, 34))[1]) for _ in range(400)]
    assert np.mean(refused) <= LEVEL + 2 * np.sqrt(LEVEL / 400)
    told = [unlike(_drawn(rng, 30), _drawn(rng, 34, 1.5))[1] for _ in range(20)]
    assert all(len(one) == 1 and one[0].startswith("residual: median") for one in told)
