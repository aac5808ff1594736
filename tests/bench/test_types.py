"""What flags mean: lists, numbers, maps, options of methods, addresses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2r_bench.cli import cli, main
from e2r_bench.commands import types
from e2r_bench.commands.lists import CommaList
from e2r_bench.commands.report import Box
from e2r_bench.commands.varying import Stages
from e2r_bench.run.config import make_experiment
from e2r_metrics.base.errors import UsageError

NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-:=/.", min_size=1, max_size=12)
BLANKS = st.text(" \t", max_size=3)


def refused(kind: click.ParamType, text: str) -> str:
    """What a parameter type says of a text that it refuses."""
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert "\n" not in caught.value.message
    return caught.value.message


@given(st.lists(st.tuples(BLANKS, NAME, BLANKS), min_size=1, unique_by=lambda part: part[1]))
def test_blanks_around_names_mean_nothing(parts: list[tuple[str, str, str]]) -> None:
    text = ",".join("".join(part) for part in parts)
    assert types.NAMES.convert(text, None, None) == tuple(name for _, name, _ in parts)


@pytest.mark.parametrize("text", ["", ",", " , ,", "  "])
def test_a_list_of_nothing_is_refused(text: str) -> None:
    assert "expected one or more names" in refused(types.NAMES, text)
    assert "expected whole numbers" in refused(types.WHOLE, text)


@given(st.lists(st.integers(0, 10**9), min_size=1, unique=True))
def test_numbers_come_back(numbers: list[int]) -> None:
    text = ", ".join(map(str, numbers))
    assert types.WHOLE.convert(text, None, None) == tuple(numbers)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (types.POSITIVE, "0", "expected numbers from 1 on, found 0"),
        (types.POSITIVE, "4,-1", "expected whole numbers"),
        (types.WHOLE, "-1", "expected whole numbers"),
        (types.WHOLE, "1.5", "expected whole numbers"),
        (types.WHOLE, "\u0661", "expected whole numbers"),
        (types.WHOLE, "\u00b2", "expected whole numbers"),
        (types.VARIANTS, "psnr", "expected METRIC=VARIANT"),
        (types.VARIANTS, "psnr=", "expected METRIC=VARIANT"),
        (types.Folders(), "derain", "expected TASK=FOLDER"),
        (types.Folders(), "=x", "expected TASK=FOLDER"),
        (types.Folders(), "painted", "expected TASK=FOLDER"),
        (types.Folders(), "derain=a,derain=b", "expected each once, found derain twice"),
        (types.NAMES, "a=nlm, b ,a=nlm", "expected each once, found a=nlm twice"),
        (types.WHOLE, "0,1,00", "expected each once, found 0 twice"),
        (types.POSITIVE, "4,4", "expected each once, found 4 twice"),
        (types.VARIANTS, "psnr=y,psnr=rgb", "expected each once, found psnr twice"),
        (types.NUMBERS_OF, "psnr=1, psnr=1", "expected each once, found psnr twice"),
        (types.OPTION, "guidance", "expected OPTION=VALUE"),
        (types.OPTION, "guidance=", "expected OPTION=VALUE"),
        (types.OPTION, ".guidance=1", "expected OPTION=VALUE"),
        (types.OPTION, "a.=1", "expected OPTION=VALUE"),
        (types.COLOUR, "transparentish", "expected a colour"),
        (types.OUTPUT, "s3://bucket/run", "`fsspec`"),
        (types.OUTPUT, "gs:/bucket", "only `run` writes there"),
        (types.ABOVE_ZERO, "0", "0"),
        (types.EXISTING_FOLDER, "/no/such/folder", "does not exist"),
    ],
)  # fmt: skip
def test_what_is_refused_says_what_was_expected(
    kind: click.ParamType, text: str, said: str
) -> None:
    assert said in refused(kind, text)


@pytest.mark.parametrize("kind", [types.NAMES, types.WHOLE])
def test_lists_of_a_file_name_each_once_too(kind: click.ParamType) -> None:
    assert kind.convert([1, 2], None, None) == (1, 2)
    with pytest.raises(click.BadParameter, match="expected each once, found 1 twice"):
        kind.convert([1, 2, 1], None, None)


def test_every_list_of_a_command_refuses_what_stands_in_it_twice() -> None:
    """Whatever flag is added: its type is a list of one of ours, or there is no comma in it."""
    lists = [
        param.type
        for command in commands_below(cli)
        for param in command.params
        if "," in str(getattr(param.type, "name", "")) and not isinstance(param.type, Stages | Box)
    ]
    assert len(lists) > 40
    assert {type(kind) for kind in lists} <= set(CommaList.__subclasses__())


def commands_below(group: click.Command) -> Iterator[click.Command]:
    yield group
    if isinstance(group, click.Group):
        for name in group.list_commands(click.Context(group)):
            found = group.get_command(click.Context(group), name)
            assert found is not None
            yield from commands_below(found)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"methods": ["nlm", "nlm"]}, "f.toml: methods: expected each once, found nlm twice"),
        ({"methods": ["nlm"], "seeds": [0, 1, 0]}, "f.toml: seeds: expected each once, found 0 tw"),
        ({"methods": ["nlm"], "data": ["mini", "mini"]}, "f.toml: data: expected each once"),
    ],
)
def test_lists_of_an_experiment_name_each_once(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_experiment(settings, "f.toml")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--metrics", "psnr", "--methods", "a=nlm,a=nlm"],
            "--methods: expected each once, found a=nlm twice",
        ),
        (
            ["--metrics", "psnr", "--methods", "nlm,nlm=nlm"],
            "expected one method called 'nlm', found two",
        ),
        (["--methods", "nlm", "--metrics", "psnr,psnr:rgb"], "expected each once, found psnr:rgb"),
        (["--methods", "nlm", "--metrics", "psnr,psnr:y"], "of psnr in a run, found psnr:rgb and"),
    ],
)
def test_two_names_for_one_thing_are_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--tasks", "denoise25", "--limit", "1", "--offline", "--out", str(tmp_path / "run")]
    assert main(["run", *arguments, *small]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_maps_and_options() -> None:
    folders = types.Folders(alone="painted")
    assert folders.convert("denoise=a, derain = b", None, None) == {"denoise": "a", "derain": "b"}
    assert folders.convert("painted", None, None) == {"": "painted"}
    assert types.OPTION.convert("guidance=3.5", None, None) == ("", "guidance", "3.5")
    assert types.OPTION.convert("a.adapter=x=y.z", None, None) == ("a", "adapter", "x=y.z")
    assert types.OPTION.convert("moce-ir.scale=1", None, None) == ("moce-ir", "scale", "1")
    assert types.COLOUR.convert("#808080", None, None) == "#808080"
    assert types.joined([{"psnr": "y"}, {"ssim": "a", "psnr": "rgb"}]) == {
        "psnr": "rgb", "ssim": "a",
    }  # fmt: skip


def test_options_of_methods_go_over_those_of_a_file() -> None:
    file = {"guidance": 2.5, "a": {"adapter": "x", "resize": "paper"}}
    given_here = [("", "guidance", "3"), ("a", "adapter", "y"), ("b", "adapter", "z")]
    assert types.method_options(given_here, file) == {
        "guidance": "3", "a": {"adapter": "y", "resize": "paper"}, "b": {"adapter": "z"},
    }  # fmt: skip
    assert file["a"]["adapter"] == "x"


def test_paths_that_look_like_addresses_but_are_none() -> None:
    for text in ("results/run", "/tmp/a:b", "C:", "a:b/c"):
        assert str(types.OUTPUT.convert(text, None, None)) == text
