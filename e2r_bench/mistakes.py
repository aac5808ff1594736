"""What click refuses, as one line: what was expected, what came in, what to do."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click

_EXTRA = "Got unexpected extra argument"


def line_of(error: click.ClickException) -> str:
    """Return a mistake on the command line in one line; what we say ourselves stays as it is."""
    if not isinstance(error, click.UsageError):
        return " ".join(error.format_message().split())
    said = " ".join(_said(error).split())
    if type(error) is click.UsageError and not error.message.startswith(_EXTRA):
        return said  # a command's own, with what to do
    # A flag without its value is refused before click knows whose it is.
    return f"{said}; see " + (f"`{error.ctx.command_path} --help`" if error.ctx else "its --help")


def _said(error: click.UsageError) -> str:
    match error:
        case click.NoSuchOption():
            near = error.possibilities or ()
            return f"expected one of its flags, found {error.option_name}{_nearest(near)}"
        case click.NoSuchCommand(ctx=click.Context(command=click.Group() as group) as context):
            names = group.list_commands(context)
            near = get_close_matches(error.command_name, names, n=1, cutoff=0.65)
            return f"expected a command, found {error.command_name!r}{_nearest(near)}"
        case click.BadOptionUsage():
            # Of both faults that click finds, only this one is of a flag alone.
            none = "not take a value" in error.message
            wanted = "no value, found one" if none else "a value behind it, found none"
            return f"{error.option_name}: expected {wanted}"
        case click.MissingParameter(param=click.Parameter() as param):
            return f"expected {name_of(param)}{_choices(param.type)}, found none"
        case click.BadParameter(param=click.Parameter() as param):
            return f"{name_of(param)}: {reason(param.type, error.message)}"
        case click.UsageError() if error.message.startswith(_EXTRA):
            words = error.message.partition("(")[2].rpartition(")")[0]
            return f"expected no more arguments, found {words}"
        case _:
            return error.format_message()


def reason(kind: click.ParamType[Any], said: str) -> str:
    """Return what a type expected and found.

    Args:
        kind: of the flag.
        said: by its `fail`: by ours in these words, by click's in its own.
    """
    if said.startswith("expected "):
        return said
    if isinstance(kind, click.Path):
        found = re.sub(r"^\w+ (.+) does not exist\.$", r"none at \1", said)
        found = re.sub(r"^\w+ (.+) is (.+)\.$", r"\1, \2", found)
        return f"expected {_place(kind)}, found {found}"
    return f"expected {_expected(kind)}, found {said.rpartition(' is not ')[0] or said}"


def _expected(kind: click.ParamType[Any]) -> str:
    match kind:
        case click.Choice():
            return f"one of {', '.join(map(str, kind.choices))}"
        case click.IntRange():
            return f"a whole number {_range(kind)}"
        case click.FloatRange():
            return f"a number {_range(kind)}"
        case _:
            return "a whole number" if kind is click.INT else f"a {kind.name}"


def _range(kind: click.IntRange | click.FloatRange) -> str:
    low = "" if kind.min is None else f"{'above' if kind.min_open else 'from'} {kind.min}"
    if kind.max is None:
        return low if kind.min_open else f"{low} on"
    return f"{low} {'and below' if kind.max_open else 'to'} {kind.max}".strip()


def _place(kind: "click.Path") -> str:
    return "a folder" if not kind.file_okay else "a file" if not kind.dir_okay else "a path"


def name_of(param: click.Parameter) -> str:
    """Return its longest flag, or what an argument is called in the help."""
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return param.human_readable_name


def _choices(kind: click.ParamType[Any]) -> str:
    return f", {_expected(kind)}" if isinstance(kind, click.Choice) else ""


def _nearest(names: Sequence[str]) -> str:
    return f"; did you mean {names[0]}?" if names else ""
