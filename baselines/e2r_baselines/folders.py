"""`folder:PATH`: what somebody else restored, read and paired by the rules of every path."""

import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_baselines.controls import ANY_TASK
from e2r_baselines.method import Build, Compute, Method, MethodSpec
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from e2r_baselines.results import FolderRestorer, Results
    from e2r_metrics.base.pictures import Reading


@dataclass(frozen=True)
class FolderOptions:
    """How the results of a folder are read and found.

    Attributes:
        value_range: the value that white has in float files, which are refused without it.
        flatten: the background of translucent pictures, such as "white"; refused without it.
        recursive: go through sub-folders; results and inputs then share the path below the folder.
        pair: a result's name for an input's, such as "{name}_out"; replaces the known endings.
    """

    value_range: float | None = None
    flatten: str | None = None
    recursive: bool = False
    pair: str | None = None


def folder_method(name: str) -> Method:
    """Return the row of `folder:PATH`: results on disk, found by name.

    A picture lies in PATH/TASK/ if there is such a folder, else in PATH/; see `base.pairs` for the
    names and `base.pictures` for what is read and how.

    Raises:
        UsageError: there is no such folder.
    """
    # os.path only says no where pathlib raises: a name too long, a home that nobody has.
    root = Path(os.path.expanduser(name.partition(":")[2]))
    if not os.path.isdir(root):
        raise UsageError(
            f"{name}: expected folder:PATH with the folder of a method's results, found no such "
            "folder"
        )
    return Method(name, FolderOptions, partial(_folder_spec, name, root))


def _folder_spec(name: str, root: Path, options: FolderOptions) -> MethodSpec:
    from e2r_baselines.results import Results
    from e2r_metrics.base.pairs import Matching

    if options.pair is not None and "{name}" not in options.pair:
        raise UsageError(
            f'{name}: expected a pair with {{name}} in it, such as "{{name}}_out", found '
            f"{options.pair!r}"
        )
    results = Results(root, Matching(options.recursive, options.pair))
    return MethodSpec(
        name=name,
        title=f"results in {root}",
        source="the user's",
        licence="the user's",
        builds=(Build("folder"),),
        tasks=ANY_TASK,
        open=partial(_open_folder, results, _reading(name, options)),
        inputs=results.find,
    )


def _reading(name: str, options: FolderOptions) -> "Reading":
    from e2r_metrics.base.pictures import Reading, parse_colour

    white = options.value_range
    if white is not None and not (math.isfinite(white) and white > 0):
        raise UsageError(
            f"{name}: expected a value_range above 0, such as 1 or 65535, found {white}"
        )
    return Reading(white, parse_colour(options.flatten) if options.flatten else None)


def _open_folder(
    results: "Results",
    reading: "Reading",
    build: Build,
    files: "Mapping[str, Path]",
    compute: Compute,
) -> "FolderRestorer":
    from e2r_baselines.results import FolderRestorer

    del build, files, compute
    return FolderRestorer(results, reading)
