"""Every command that the README and docs/ show is one: it parses, option by option."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from e2r_bench.cli import cli
from e2r_metrics import UsageError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```", re.S | re.M)
_INLINE = re.compile(r"`(e2r-bench [^`]+)`")
# Words of a usage line, which stand for what a reader puts there.
_USAGE = re.compile(r"\.\.\.|…|\[[A-Z]|[a-z]\|[a-z]")


def shown(page: Path) -> Iterator[str]:
    """The commands of a page, as one would type them."""
    text = page.read_text(encoding="utf-8")
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s*(?:&&|;|\|)\s+", line.split(" # ")[0].split("  #")[0]):
                if part.strip().startswith("e2r-bench "):
                    yield part.strip()
    yield from (found for found in _INLINE.findall(text) if not _USAGE.search(found))


COMMANDS = [
    pytest.param(line, id=f"{page.name}: {line}")
    for page in PAGES
    for line in dict.fromkeys(shown(page))
]


def parse(words: list[str]) -> None:
    """Parse as the program does, and run nothing; `...` in a page stands for more of the same."""
    command: click.Command = cli
    context = click.Context(cli, info_name="e2r-bench")
    while isinstance(command, click.Group) and words:
        child = command.get_command(context, words[0])
        if child is None:
            raise click.UsageError(f"no command {words[0]!r}")
        command, words = child, words[1:]
        if isinstance(command, click.Group):
            context = click.Context(command, context, info_name=command.name)
    if "--help" not in words:  # of a group too: some do something by themselves
        command.make_context(command.name, words, parent=context)


def fault(words: list[str]) -> str:
    """Why a line does not parse; empty where it does, or where only a reader's folder lacks."""
    try:
        parse(words)
    except click.UsageError as error:
        said = error.format_message()
        # A command that is spoken of, without its arguments; and folders of a reader's own.
        spoken = "Missing argument" in said and len(words) <= 2
        return "" if spoken or "does not exist" in said else said
    except UsageError as error:
        return "" if "expected fsspec's driver" in str(error) else str(error)
    return ""


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_docs_parses(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fault([word for word in shlex.split(line)[1:] if word != "..."]) == ""


def test_there_are_commands_on_most_pages() -> None:
    assert len(COMMANDS) > 60


@pytest.mark.parametrize(
    "line",
    [
        "scores A B",
        "score A B --metrix psnr",
        "study",
        "study seed",
        "run --steps x",
        "score --power A",
    ],
)
def test_a_wrong_command_does_not_parse(line: str) -> None:
    assert fault(shlex.split(line))
