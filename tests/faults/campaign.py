"""The whole campaign: `python tests/faults/campaign.py OUT` writes OUT/README.md, results.csv."""

import csv
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import cases
from matrix import Case, Outcome, attempt

from e2r_metrics.base.files import write_text


def preload() -> None:
    """Import what commands import, so that every child has it."""
    import importlib

    for name in (
        "torch", "pandas", "e2r_bench.run.runner", "e2r_bench.report.page",
        "e2r_bench.report.compare", "e2r_bench.maps.write", "e2r_bench.studies.steps",
        "e2r_bench.studies.seeds", "e2r_bench.studies.leakage", "e2r_bench.arms.claims",
        "e2r_adapters.train", "e2r_adapters.lora", "e2r_adapters.catalog", "diffusers.loaders",
        "e2r_metrics.score", "PIL.Image", "rich.table", "e2r_bench.console",
    ):  # fmt: skip
        importlib.import_module(name)


def tried(matrix: Iterable[Case], folder: Path, slower: float = 1.0) -> list[Outcome]:
    """Try every case; print a line for each that is wrong."""
    done: list[Outcome] = []
    for number, case in enumerate(matrix):
        outcome = attempt(case, folder / str(number), slower)
        done.append(outcome)
        for wrong in outcome.wrong:
            print(f"{case.name}: {wrong} | {outcome.line}", flush=True)
    return done


def write(done: Sequence[Outcome], out: Path) -> None:
    """Write results.csv, a row per try, and README.md with the numbers."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["door", "kind", "exit", "seconds", "wrong"])
    for one in done:
        row = [one.case.door, one.case.kind, one.code, f"{one.seconds:.1f}", "; ".join(one.wrong)]
        writer.writerow(row)
    write_text(out / "results.csv", buffer.getvalue())
    write_text(out / "README.md", _readme(done))


def _readme(done: Sequence[Outcome]) -> str:
    codes = Counter(one.code for one in done)
    bad = [one for one in done if one.wrong]
    kinds = Counter(one.wrong[0].split(":")[0].split(",")[0] for one in bad)
    lines = [
        "# Fault campaign",
        "",
        f"Bad inputs tried: {len(done)}; right: {len(done) - len(bad)}; not right: {len(bad)}.",
        "Made by `python tests/faults/campaign.py results/faults`; a row of results.csv each.",
        "",
        "| exit code | tries |",
        "|---|---|",
        *(f"| {code} | {count} |" for code, count in sorted(codes.items())),
        "",
        f"Slowest: {max(one.seconds for one in done):.1f} s.",
        "",
        *(f"- {kind}: {count}" for kind, count in kinds.most_common()),
    ]
    return "\n".join(lines).rstrip() + "\n"


def chosen(words: Sequence[str]) -> list[Case]:
    """Return the cases whose door starts with one of the words; all for none."""
    every = cases.all_cases()
    return [case for case in every if not words or case.door.startswith(tuple(words))]


if __name__ == "__main__":
    preload()
    with tempfile.TemporaryDirectory(prefix="campaign-") as name:
        results = tried(chosen(sys.argv[2:]), Path(name), slower=3)
    write(results, Path(sys.argv[1]))
    sys.exit(any(one.wrong for one in results))
