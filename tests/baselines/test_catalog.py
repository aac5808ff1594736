"""Methods by name, and what the catalog promises about each."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import e2r_baselines
from e2r_baselines.catalog import METHODS, method_named
from e2r_baselines.method import MethodSpec, spec_of
from e2r_metrics.base.errors import UsageError

DECLARED = tomllib.loads(
    Path(e2r_baselines.__file__).with_name("weights.toml").read_text(encoding="utf-8")
)

SPECS = {name: spec_of(method) for name, method in METHODS.items()}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_found_under_its_own_name(name: str) -> None:
    assert method_named(name) is METHODS[name]
    assert METHODS[name].name == SPECS[name].name == name


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_every_file_of_every_build_is_declared(spec: MethodSpec) -> None:
    assert spec.builds
    for build in spec.builds:
        assert set(build.files) <= DECLARED.keys()
        for file in build.files:
            assert spec.name in DECLARED[file]["used_by"]


def test_every_declared_file_is_used() -> None:
    used = {f for spec in SPECS.values() for build in spec.builds for f in build.files}
    assert used == DECLARED.keys()


def test_a_miniature_is_called_one() -> None:
    (official, nano) = SPECS["promptir"].builds
    assert (official.name, official.miniature) == ("promptir", False)
    assert (nano.name, nano.miniature) == ("promptir-nano", True)


def test_an_edition_of_the_miniature_is_what_its_record_says() -> None:
    """Whoever changes the file must raise the edition, and both here."""
    row = DECLARED["promptir-nano"]
    assert (row["edition"], row["sha256"][:16]) == (3, "3bf3a2559801d307")
    page = (Path(__file__).parents[2] / "docs" / "kontext.md").read_text(encoding="utf-8")
    assert "| `promptir-nano` | 3 | " in page
    official, nano = SPECS["promptir"].builds
    assert (official.title, nano.title) == ("promptir", "promptir-nano (edition 3)")


def test_networks_estimate_their_memory_per_build() -> None:
    for spec in SPECS.values():
        if not any(build.files for build in spec.builds):
            continue
        assert spec.peak_bytes is not None, spec.name
        for build in spec.builds:
            small, large = (spec.peak_bytes(build, side, side) for side in (100, 1000))
            assert 50 * small < large < 200 * small
    official, nano = SPECS["promptir"].builds
    estimate = SPECS["promptir"].peak_bytes
    assert estimate is not None
    assert estimate(official, 321, 481) == 11_000 * 336 * 496
    assert estimate(nano, 321, 481) < estimate(official, 321, 481) / 4


def test_what_a_reader_has_to_know_stands_in_the_row() -> None:
    for name in ("adair-3d", "adair-5d"):
        assert "never trained" in SPECS[name].note
        assert "512 pixels" in SPECS[name].note
    assert "invented" in SPECS["realesrgan"].note
    assert SPECS["diffuir-t"].stochastic
    for spec in SPECS.values():
        assert "\n" not in spec.note


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="the nearest is 'promptir'"):
        method_named("prompt-ir")
    with pytest.raises(UsageError, match="the nearest is 'kontext_lora'"):
        method_named("kontextlora", also=("kontext", "kontext_lora"))
    with pytest.raises(UsageError, match="unknown method 'folder:'"):
        method_named("folder:")


def test_the_catalog_costs_no_heavy_import() -> None:
    heavy = ["torch", "cv2", "skimage", "spandrel", "transformers", "scipy", "bm3d"]
    code = "import sys, e2r_baselines.catalog; print(*sys.modules)"
    paths = str(Path(e2r_baselines.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": paths},
    )  # fmt: skip
    assert not set(heavy) & set(done.stdout.split())
