"""The clean side of `score` as a file: read, scored against, and written; see docs/metrics.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands.folders import session_of
from e2r_bench.commands.types import OUTPUT

if TYPE_CHECKING:
    from e2r_bench.api.score import Scored
    from e2r_bench.api.session import Watch
    from e2r_bench.studies.entrants import Entrant, Measures
    from e2r_metrics import Session

SUFFIX = ".npz"

clean_extractor = click.option(
    "--clean-extractor", metavar="NAME",
    help="What made a CLEAN file of mu and sigma, such as inception-pytorch-fid.",
)  # fmt: skip
keep_clean = click.option(
    "--keep-clean", type=OUTPUT, help="Keep the clean pictures' features as an .npz for CLEAN."
)


def is_file(clean: Path) -> bool:
    """Return whether the clean side is a file of statistics or features."""
    return clean.suffix.lower() == SUFFIX and not clean.is_dir()


def refuse_folder(clean: Path, asked: Mapping[str, Any]) -> None:
    """Refuse what only a CLEAN file has."""
    if asked["clean_extractor"] is not None:
        raise click.UsageError(f"--clean-extractor: expected a CLEAN file, found {clean}")


def scored_against(
    folders: Sequence[Path],
    clean: Path,
    measures: "Measures",
    asked: Mapping[str, Any],
    watch: "Watch",
) -> "list[Scored]":
    """Score folders against a file; they are not compared: it has no pictures to pair.

    Raises:
        UsageError: see `reference_files.read_reference` and `references.score_reference`.
    """
    from e2r_bench.api.score import scored
    from e2r_bench.studies.entrants import Entrant, names_of
    from e2r_metrics.base.errors import UsageError
    from e2r_metrics.reference_files import read_reference
    from e2r_metrics.references import score_reference

    if measures.shares or asked["keep_clean"] is not None:
        raise UsageError(
            f"{clean}: expected a folder of clean pictures for --keep-clean and for shares such as "
            "invented_share, found a file"
        )
    session = session_of(asked)
    reference = read_reference(clean, asked["clean_extractor"], session)
    entrants = (
        Entrant(
            name,
            score_reference(
                folder, reference, measures.metrics, session, measures.parts,
                lambda done, total, name=name: watch(f"score {name}", done, total),
            ),
            {},
            parts=measures.parts,
        )
        for name, folder in zip(names_of(folders), folders, strict=True)
    )  # fmt: skip
    return [scored(one, measures, session) for one in entrants]


def keep(out: Path, one: "Entrant", session: "Session") -> None:
    """Write the features of the clean pictures that were scored.

    Raises:
        UsageError: not one extractor among the metrics, or nothing that was measured.
    """
    from e2r_metrics.base.errors import UsageError
    from e2r_metrics.reference_files import write_reference

    if len(one.scores.features) != 1:
        raise UsageError(
            f"--keep-clean {out}: expected metrics of sets on one extractor, such as --metrics "
            f"fd_effnet, found {', '.join(one.scores.features) or 'none that was measured'}"
        )
    ((extractor, features),) = one.scores.features.items()
    write_reference(out, features, extractor, session)
