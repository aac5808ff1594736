"""A pair of libraries that cannot carry a LoRA is one honest line, and the declared ranges work."""

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from e2r_adapters import compat, lora
from e2r_adapters.editors.kontext import KONTEXT
from e2r_bench.cli import main
from e2r_metrics.base.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
TARGETS = KONTEXT.lora.parts["transformer"].targets
TEXT_TARGETS = KONTEXT.lora.parts["text_encoder"].targets["full"]
RANGES = {Requirement(item).name: Requirement(item).specifier for item in compat.TOGETHER}


@pytest.fixture
def demanding(monkeypatch):
    """Let a library ask for a PEFT that nobody has, as transformers 5.24 did when it came out."""

    def plant(library):
        __import__(library)
        monkeypatch.setattr(sys.modules[library], "MIN_PEFT_VERSION", "99.0")

    return plant


@pytest.mark.parametrize(
    ("needed", "peft", "suits"),
    [
        ("0.22.0", "0.21.2", False),
        ("0.20.0", "0.20.0", True),
        ("0.20.0", "0.21.2", True),
        ("0.9.0", "0.20.0", True),  # as text, 0.9 is above 0.20
        ("0.20.0", "0.9.0", False),
        ("0.22.0", "0.22.0.dev0", False),
        ("0.20", "1.0", True),
    ],
)
def test_versions_are_compared_as_versions(needed, peft, suits):
    assert (compat.misfit("transformers", "5.24.0", needed, peft) is None) == suits


def test_the_line_says_what_was_found_what_is_needed_and_what_to_do():
    said = compat.misfit("transformers", "5.24.0", "0.22.0", "0.21.2")
    assert "\n" not in said
    for part in ("transformers 5.24.0", "peft >= 0.22.0", "found peft 0.21.2", "pip install '"):
        assert part in said
    for name in RANGES:
        assert f"'{name}>=" in said


def test_the_advised_ranges_are_those_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {Requirement(item).name: Requirement(item) for item in project["dependencies"]}
    assert {name: declared[name].specifier for name in RANGES} == RANGES


@pytest.mark.parametrize("part", ["transformer", "text_encoder"])
def test_every_peft_of_the_range_suits_the_installed_libraries(tiny_pipe, part):
    needed = compat.peft_needed(getattr(tiny_pipe, part))
    lowest = next(bound.version for bound in RANGES["peft"] if bound.operator == ">=")
    assert needed is not None, f"{part}: its library no longer says which PEFT it needs"
    assert Version(needed) <= Version(lowest)


@pytest.mark.parametrize(
    ("library", "part", "targets"),
    [
        ("transformers.integrations.peft", "text_encoder", TEXT_TARGETS),
        ("diffusers.loaders.peft", "transformer", TARGETS["attention"]),
    ],
)
def test_attaching_stops_before_it_changes_anything(tiny_pipe, demanding, library, part, targets):
    demanding(library)
    network = getattr(tiny_pipe, part)
    with pytest.raises(UsageError, match=r"needs peft >= 99\.0, found peft \d.*pip install"):
        lora.attach(network, targets, 64, 4, seed=0)
    assert all(parameter.requires_grad for parameter in network.parameters())


def saved(pipe, folder, text_encoder):
    lora.attach(pipe.transformer, TARGETS["attention"], 64, 4, seed=0)
    if text_encoder:
        lora.attach(pipe.text_encoder, TEXT_TARGETS, 64, 4, seed=0)
    return lora.save(KONTEXT.open(pipe), folder, {})


def test_loading_asks_only_the_libraries_of_the_parts_in_the_file(
    make_tiny_pipe, demanding, tmp_path
):
    both = saved(make_tiny_pipe(), tmp_path / "both", text_encoder=True)
    image = saved(make_tiny_pipe(), tmp_path / "image", text_encoder=False)
    demanding("transformers.integrations.peft")
    with pytest.raises(UsageError, match=r"through transformers \d.* needs peft >= 99\.0"):
        lora.load(KONTEXT.open(make_tiny_pipe()), both, "a")
    assert lora.load(KONTEXT.open(make_tiny_pipe()), image, "a") > 0
    demanding("diffusers.loaders.peft")
    with pytest.raises(UsageError, match=r"through diffusers \d.* needs peft >= 99\.0"):
        lora.load(KONTEXT.open(make_tiny_pipe()), image, "a")


def test_the_command_line_ends_with_the_line_and_code_2(tiny_pipe, demanding, tmp_path, capsys):
    tiny_pipe.save_pretrained(tmp_path / "base")
    demanding("transformers.integrations.peft")
    code = main(
        ["train", "--profile", "nano", "--tasks", "denoise25", "--pairs", "2", "--text-encoder",
         "--device", "cpu", "--backbone", str(tmp_path / "base"), "--out", str(tmp_path / "out")]
    )  # fmt: skip
    assert code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("e2r-bench: ")
    assert "needs peft >= 99.0, found peft" in last


def test_settings_of_a_newer_peft_are_left_out_where_they_are_off() -> None:
    """An adapter lists all settings of the PEFT that wrote it; an older one knows fewer."""
    said = {"transformer.r": 4, "transformer.lora_alpha": 8, "transformer.yet_to_come": None}
    assert compat.known_settings(said, "x") == {"transformer.r": 4, "transformer.lora_alpha": 8}
    for value in (True, {"k": 1}, 3):
        with pytest.raises(UsageError, match=r"x: .* transformer.yet_to_come = .* install -U peft"):
            compat.known_settings({"transformer.yet_to_come": value}, "x")
