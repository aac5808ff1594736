"""The drift gate: green as it stands, red when a constant moves, written only with a reason."""

import json

import pytest
from click.testing import CliRunner

from e2r_bench.commands import drift as cli
from e2r_metrics import UsageError, drift, ssim_terms
from e2r_metrics.goldens import catalog_numbers

pytest_plugins = ["pytester"]


def test_goldens_hold():
    found = drift.check(drift.GOLDENS, catalog_numbers)
    assert found.checked >= 40
    assert not found.moved, "\n".join(drift.report(found))


@pytest.mark.parametrize(("constant", "value"), [("K1", 0.0101), ("K2", 0.0301)])
def test_a_changed_constant_of_ssim_turns_it_red(monkeypatch, constant, value):
    monkeypatch.setattr(ssim_terms, constant, value)
    done = CliRunner().invoke(cli.command, [], standalone_mode=False)
    assert done.return_value == 1
    moved = [line for line in done.stdout.splitlines() if "moved by" in line]
    assert any("ssim:gauss float64" in line for line in moved)
    assert not any("psnr" in line for line in moved)


def test_versions_that_changed_are_named(tmp_path, monkeypatch):
    path = tmp_path / "goldens.json"
    record = json.loads(drift.GOLDENS.read_text())
    record["versions"]["numpy"] = "1.0"
    path.write_text(json.dumps(record))
    lines = drift.report(drift.check(path, catalog_numbers))
    assert any(line.strip().startswith("numpy: 1.0 ->") for line in lines)


def _numbers(*rows):
    return lambda: iter([drift.Golden(*row) for row in rows])


def test_tolerance_is_by_precision(tmp_path):
    path = tmp_path / "goldens.json"
    drift.write("three words here", path, _numbers(("a", 1.0, "float64"), ("b", 1.0, "float32")))
    small, large = 1 + 1e-10, 1 + 1e-5
    found = drift.check(path, _numbers(("a", small, "float64"), ("b", small, "float32")))
    assert [moved.golden.name for moved in found.moved] == ["a"]
    found = drift.check(path, _numbers(("a", 1.0, "float64"), ("b", large, "float32")))
    assert [moved.golden.name for moved in found.moved] == ["b"]
    found = drift.check(path, _numbers(("a", float("nan"), "float64")))
    assert [moved.golden.name for moved in found.moved] == ["a", "b"]


def test_a_number_without_golden_is_an_error(tmp_path):
    path = tmp_path / "goldens.json"
    drift.write("three words here", path, _numbers(("a", 1.0, "float64")))
    with pytest.raises(UsageError, match="no golden for c"):
        drift.check(path, _numbers(("a", 1.0, "float64"), ("c", 1.0, "float64")))


def test_goldens_are_written_only_with_a_reason(tmp_path):
    path = tmp_path / "goldens.json"
    with pytest.raises(UsageError, match="reason"):
        drift.write("because", path, _numbers(("a", 1.0, "float64")))
    assert not path.exists()
    drift.write("a reason that says why", path, _numbers(("a", 1.0, "float64")))
    assert drift.read_record(path).reason == "a reason that says why"
    for arguments in (["--write-goldens"], ["--reason", "a b c"]):
        assert CliRunner().invoke(cli.command, arguments).exit_code == 2


def test_not_goldens(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    for name in ("a.json", "absent.json"):
        with pytest.raises(UsageError, match="expected a file of goldens"):
            drift.check(tmp_path / name, catalog_numbers)


def test_fixture_for_users(pytester):
    pytester.makeconftest('pytest_plugins = ["e2r_metrics.pytest_plugin"]')
    test = "def test_mine(watch_numbers):\n    watch_numbers({'a': VALUE})\n"
    pytester.makepyfile(test_one=test.replace("VALUE", "1.0"))
    options = ["-p", "no:cacheprovider", "-p", "no:benchmark"]
    pytester.runpytest(*options).assert_outcomes(failed=1)
    pytester.runpytest(*options, "--write-goldens", "first numbers of mine").assert_outcomes(
        passed=1
    )
    pytester.runpytest(*options).assert_outcomes(passed=1)
    pytester.makepyfile(test_one=test.replace("VALUE", "1.1"))
    pytester.runpytest(*options).assert_outcomes(failed=1)
