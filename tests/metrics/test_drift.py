"""The drift gate: green as it stands, red when a constant moves, written only with a reason."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from e2r_bench.commands import drift as cli
from e2r_metrics import UsageError, drift, goldens, ssim_terms
from e2r_metrics.catalog import composites
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


def test_a_changed_formula_of_a_composite_turns_it_red(monkeypatch):
    def changed():
        made = []
        for metric in composites():
            terms = [replace(t, weight=t.weight * 1.01) for t in metric.composite.terms]
            made.append(replace(metric, composite=replace(metric.composite, terms=tuple(terms))))
        return tuple(made)

    before = list(goldens.composite_numbers())
    monkeypatch.setattr(goldens, "composites", changed)
    pairs = zip(before, goldens.composite_numbers(), strict=True)
    assert all(old.name == new.name and old.value != new.value for old, new in pairs)


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


def test_a_golden_has_a_tolerance_only_where_its_own_is_stated(tmp_path):
    path = tmp_path / "goldens.json"
    rows = ("a", 1.0, "float64"), ("b", float("inf"), "float32", 0.1)
    drift.write("three words here", path, _numbers(*rows))
    told = json.loads(path.read_text())["goldens"]
    assert [row.get("tolerance", "none") for row in told] == ["none", 0.1]
    assert drift.read_record(path).goldens == tuple(drift.Golden(*row) for row in rows)
    # As they were written before.
    told[0]["tolerance"] = None
    path.write_text(json.dumps({**json.loads(path.read_text()), "goldens": told}))
    assert drift.read_record(path).goldens[0] == drift.Golden("a", 1.0, "float64")


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


def test_goldens_are_never_written_among_installed_packages(tmp_path):
    path = tmp_path / "site-packages" / "e2r_metrics" / "goldens.json"
    with pytest.raises(UsageError, match="give --goldens FILE"):
        drift.write("three words here", path, _numbers(("a", 1.0, "float64")))
    assert not path.exists()


def test_goldens_of_ones_own_stand_where_one_says(tmp_path):
    path = tmp_path / "mine.json"
    write = ["--write-goldens", "--reason", "what we have now", "--goldens", str(path)]
    assert CliRunner().invoke(cli.command, write, standalone_mode=False).return_value == 0
    given = ["--goldens", str(path)]
    assert CliRunner().invoke(cli.command, given, standalone_mode=False).return_value == 0
    record = json.loads(path.read_text())
    record["goldens"][0]["value"] += 1
    path.write_text(json.dumps(record))
    assert CliRunner().invoke(cli.command, given, standalone_mode=False).return_value == 1


OPTIONS = ["-p", "no:cacheprovider", "-p", "no:benchmark"]
WRITE = ["--write-goldens", "first numbers of mine"]


@pytest.fixture
def users(pytester):
    pytester.makeconftest('pytest_plugins = ["e2r_metrics.pytest_plugin"]')

    def run(body, *more):
        pytester.makepyfile(test_one=body)
        return pytester.runpytest(*OPTIONS, *more)

    return run


def test_fixture_for_users(users):
    test = "def test_mine(watch_numbers):\n    watch_numbers({'a': VALUE})\n"
    users(test.replace("VALUE", "1.0")).assert_outcomes(failed=1)
    users(test.replace("VALUE", "1.0"), *WRITE).assert_outcomes(passed=1)
    users(test.replace("VALUE", "1.0")).assert_outcomes(passed=1)
    moved = users(test.replace("VALUE", "1.1"))
    moved.assert_outcomes(failed=1)
    moved.stdout.fnmatch_lines(["*a: 1.0 -> 1.1, moved by 0.1, allowed 1e-06*"])


def test_a_missing_golden_is_one_line_with_the_command_that_writes_it(users):
    found = users("def test_mine(watch_numbers):\n    watch_numbers({'a': 1.0})\n")
    found.assert_outcomes(failed=1)
    said = [line for line in found.outlines if "no golden for" in line]
    assert any('pytest "test_one.py::test_mine" --write-goldens' in line for line in said)
    assert "Traceback" not in found.stdout.str()


def test_every_test_class_and_parameter_has_goldens_of_its_own(users, pytester):
    body = """
import pytest
class TestA:
    def test_x(self, watch_numbers): watch_numbers({'a': 1.0})
class TestB:
    def test_x(self, watch_numbers): watch_numbers({'a': 2.0})
@pytest.mark.parametrize("name", ["a/b", "a_b"])
def test_y(name, watch_numbers): watch_numbers({'a': float(len(name)), 'b': ord(name[1])})
"""
    users(body, *WRITE).assert_outcomes(passed=4)
    users(body).assert_outcomes(passed=4)
    assert len(list((pytester.path / "goldens" / "test_one").iterdir())) == 4
    users(body.replace("'a': 2.0", "'a': 1.0")).assert_outcomes(passed=3, failed=1)


def test_a_test_may_watch_several_times_with_tolerances_per_number(users):
    body = """
def test_mine(watch_numbers):
    watch_numbers({'a': A, 'b': B}, tolerance={'b': 0.1})
    watch_numbers({'c': 3.0}, tolerance=0.5)
    MORE
"""
    plain = body.replace("MORE", "")
    users(plain.replace("A", "1.0").replace("B", "2.0"), *WRITE).assert_outcomes(passed=1)
    users(plain.replace("A", "1.0").replace("B", "2.1")).assert_outcomes(passed=1)
    users(plain.replace("A", "1.0").replace("B", "2.3")).assert_outcomes(failed=1)
    users(plain.replace("A", "1.1").replace("B", "2.0")).assert_outcomes(failed=1)
    good = body.replace("A", "1.0").replace("B", "2.0")
    users(good.replace("MORE", "watch_numbers({'a': 1.0})")).assert_outcomes(failed=1)
    # What is no longer computed is told, but not on top of another failure.
    gone = "def test_mine(watch_numbers):\n    watch_numbers({'a': 1.0})\n    assert MORE\n"
    found = users(gone.replace("MORE", "True"))
    found.assert_outcomes(passed=1, errors=1)
    found.stdout.fnmatch_lines(["*no longer computed: b, c*"])
    users(gone.replace("MORE", "False")).assert_outcomes(failed=1)
