"""`command:LINE`: a program that restores a folder into a folder."""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_baselines.controls import ANY_TASK
from e2r_baselines.method import Build, Compute, Method, MethodSpec
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.programs import files_read, words_of

if TYPE_CHECKING:
    from e2r_baselines.command_restorer import CommandRestorer

_TITLE = 60


@dataclass(frozen=True)
class CommandOptions:
    """How a program is run.

    Attributes:
        timeout: seconds that one call may take, "inf" for no limit; the program and all that it
            started are then ended. An hour by default: a call restores one batch of photos, so
            that nothing but a hang takes so long, and a hang costs no night.
    """

    timeout: float = 3600.0


def command_method(name: str) -> Method:
    """Return the row of `command:LINE`.

    `{input}`, `{output}`, `{task}` and `{prompt}` in LINE are replaced; input and output are
    appended where LINE names neither. No shell reads the line, and the program gets no standard
    input. Inputs are 8-bit PNG; results are expected under the same names, or with the known
    endings, in any format that is read elsewhere. `Method.runs` has the words of the line.

    Raises:
        UsageError: the line is empty, or its quotes do not close.
    """
    words = _words(name)
    return Method(name, CommandOptions, partial(_command_spec, name, words), runs=words)


def _words(name: str) -> tuple[str, ...]:
    words = words_of(name)
    if not any("{input}" in word or "{output}" in word for word in words):
        words = (*words, "{input}", "{output}")
    return words


def _command_spec(name: str, words: tuple[str, ...], options: CommandOptions) -> MethodSpec:
    if math.isnan(options.timeout) or options.timeout <= 0:
        raise UsageError(f"{name}: expected a timeout above 0 seconds, found {options.timeout:g}")
    if shutil.which(words[0]) is None:
        raise UsageError(
            f"command {words[0]!r}: cannot be started: expected a program, found none of that name"
        )
    line = name.partition(":")[2]
    return MethodSpec(
        name=name,
        title=f"command {line if len(line) <= _TITLE else line[: _TITLE - 3] + '...'}",
        source="the user's",
        licence="the user's",
        builds=(Build("command", own_files=files_read(words)),),
        tasks=ANY_TASK,
        open=partial(_open_command, words, options.timeout),
    )


def _open_command(
    words: Sequence[str],
    timeout: float,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> "CommandRestorer":
    from e2r_baselines.command_restorer import CommandRestorer

    del build, files, compute
    return CommandRestorer(words, timeout)
