"""What click refuses is one line too, for every flag of every command."""

from collections.abc import Iterator

import click
import pytest

from e2r_bench.cli import cli, main

Words = tuple[str, ...]


def commands(group: click.Group, words: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield (*words, name), found
        if isinstance(found, click.Group):
            yield from commands(found, (*words, name))


EVERY = list(commands(cli))


def wrong(kind: click.ParamType) -> str | None:
    """Return a value that a type of click's refuses."""
    if isinstance(kind, click.Choice | click.IntRange | click.FloatRange) or kind is click.INT:
        return "Nobody's"
    return "/no/such" if isinstance(kind, click.Path) and kind.exists else None


FLAGS = [
    (words, max(param.opts, key=len), value)
    for words, command in EVERY
    for param in command.params
    if isinstance(param, click.Option) and (value := wrong(param.type)) is not None
]


def said(arguments: Words, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("e2r-bench: ")
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.mark.parametrize(("words", "flag", "value"), FLAGS, ids=" ".join)
def test_a_value_that_a_flag_does_not_take(
    words: Words, flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Arguments that are missing are complained of later than flags.
    line = said((*words, flag, value), capsys)
    assert line.startswith(f"e2r-bench: {flag}: expected ")
    assert f"found none at {value!r}" in line or f'found "{value}"' in line
    assert line.endswith(f"; see `e2r-bench {' '.join(words)} --help`\n")


@pytest.mark.parametrize("words", [words for words, _ in EVERY], ids=" ".join)
def test_an_unknown_flag(words: Words, capsys: pytest.CaptureFixture[str]) -> None:
    line = said((*words, "--no-such-flag"), capsys)
    assert line.startswith("e2r-bench: expected one of its flags, found --no-such-flag")
    assert line.endswith(f"; see `e2r-bench {' '.join(words)} --help`\n")


def test_there_are_flags_of_every_kind() -> None:
    assert len(FLAGS) > 60


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("rnu", "expected a command, found 'rnu'; did you mean run?; see `e2r-bench --help`"),
        ("list", "expected a command, found 'list'; see `e2r-bench --help`"),
        ("study sedes", "expected a command, found 'sedes'; did you mean seeds?; see "
         "`e2r-bench study --help`"),
        ("run --methdos x", "expected one of its flags, found --methdos; did you mean --methods?; "
         "see `e2r-bench run --help`"),
        ("run --methods", "--methods: expected a value behind it, found none; see its --help"),
        ("run --redo=yes", "--redo: expected no value, found one; see its --help"),
        ("report", "expected RUN, found none; see `e2r-bench report --help`"),
        ("export x", "expected --to, one of latex, csv, markdown, json, hub, model-card, "
         "tensorboard, found none; see `e2r-bench export --help`"),
        ("methods a b", "expected no more arguments, found a b; see `e2r-bench methods --help`"),
        ("run --limit 0", "--limit: expected a whole number from 1 on, found 0; see "
         "`e2r-bench run --help`"),
        ("train --top-k 3", "--top-k: expected a whole number from 1 to 2, found 3; see "
         "`e2r-bench train --help`"),
        ("maps x --level 1", "--level: expected a number above 0 and below 1, found 1.0; see "
         "`e2r-bench maps --help`"),
        ("maps x --bound nan", "--bound: expected a finite number, found nan; see "
         "`e2r-bench maps --help`"),
        ("run --noise-seed 1.5", "--noise-seed: expected a whole number, found '1.5'; see "
         "`e2r-bench run --help`"),
        ("completion tcsh", "SHELL: expected one of bash, zsh, fish, found 'tcsh'; see "
         "`e2r-bench completion --help`"),
        ("merge /no/such --out x", "SHARDS: expected a folder, found none at '/no/such'; see "
         "`e2r-bench merge --help`"),
        ("merge setup.cfg --out x", "SHARDS: expected a folder, found 'setup.cfg', a file; see "
         "`e2r-bench merge --help`"),
        ("claims --only , x", "--only: expected one or more names by comma, found ','; see "
         "`e2r-bench claims --help`"),
        ("score a b --reference degraded --no-reference", "expected one of --reference and "
         "--no-reference, found both"),
        ("compare a b --range 255", "--range: has no effect on methods and runs; folders of "
         "results need --clean; leave it out"),
        ("compare a b --clean c --unit image", "--unit: has no effect on folders; leave it out"),
        ("study seeds x --set guidance=3", "--set: expected a finished run, or settings of a new "
         "one, found both; leave RUN or the flag out"),
    ],
)  # fmt: skip
def test_it_says_what_was_expected_and_found_and_what_to_do(
    arguments: str, expected: str, capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    open("setup.cfg", "w", encoding="utf-8").close()
    assert said(tuple(arguments.split()), capsys) == f"e2r-bench: {expected}\n"


def test_a_group_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study"]) == 2
    assert "Usage: e2r-bench study" in capsys.readouterr().err
