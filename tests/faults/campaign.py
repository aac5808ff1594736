"""The whole campaign: `python tests/faults/campaign.py OUT` writes OUT/README.md, results.csv."""

import argparse
import csv
import io
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import cases
import commands
import harness
import targets
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
        "e2r_metrics.score", "PIL.Image", "rich.table", "e2r_bench.console", "accelerate", "peft",
        "matplotlib.figure", "matplotlib.backends.backend_agg", "diffusers.training_utils",
        "e2r_adapters.restorer", "rich._emoji_codes", "e2r_bench.arms.pairs",
        "pyarrow.pandas_compat", "e2r_bench.arms.judge", "e2r_bench.commands.arms",
    ):  # fmt: skip
        importlib.import_module(name)


def tried(
    matrix: Iterable[Case], folder: Path, seconds: float = math.inf, slower: float = 3
) -> list[Outcome]:
    """Try cases until the time is over; print a line for each that is wrong."""
    done: list[Outcome] = []
    until = time.monotonic() + seconds
    for number, case in enumerate(matrix):
        if time.monotonic() > until:
            break
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
    bad = [one for one in done if one.wrong]
    killed = [one for one in done if one.case.door.startswith("kill")]
    both = [one for one in done if one.case.door.startswith("two at once")]
    inputs = [one for one in done if one not in killed and one not in both]
    whole = len(cases.all_cases())
    lines = [
        "# Fault campaign",
        "",
        "Made by `python tests/faults/campaign.py results/faults`; each try is a row of",
        "results.csv. A campaign that is cut short is a random sample of the matrix.",
        "",
        f"Slowest: {max((one.seconds for one in done), default=0):.1f} s; a hang is what lasts",
        "three times its case's patience, 10 s for most: other jobs may run beside it.",
        "",
        "| | tried | right |",
        "|---|---|---|",
        *(
            f"| {name} | {len(part)} | {sum(not one.wrong for one in part)} |"
            for name, part in (
                (f"bad inputs, of {whole} in the matrix", inputs),
                *((f"kills of `{name}`, resumed", _of(killed, name)) for name in SHARES),
                ("kills in all", killed),
                ("two processes on one folder", both),
            )
        ),
        "",
        "## What is not right",
        "",
        *(f"- {one.case.name}: {'; '.join(one.wrong)[:200]}" for one in bad),
        *(() if bad else ("Nothing that was tried.",)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _of(killed: Sequence[Outcome], name: str) -> list[Outcome]:
    return [one for one in killed if one.case.door == f"kill, {name}"]


def kills(folder: Path, count: int) -> Iterator[Outcome]:
    """Kill every command, most often those that write most, and give each again."""
    whole = sum(SHARES.values())
    for name, target in targets.all_targets(folder).items():
        since = time.monotonic()
        for when, wrong in target.kills(max(1, round(count * SHARES[name] / whole))):
            case = Case(f"kill, {name}", when, _no_words, frozenset({0}))
            yield Outcome(case, 0, time.monotonic() - since, "", tuple(wrong))
            since = time.monotonic()


SHARES = {"run": 110, "score": 55, "maps": 35, "report": 18, "study seeds": 14, "compare": 15,
          "leakage": 10, "train": 25, "claims": 10, "study pairs": 8}  # fmt: skip
"""Of 300 kills."""


def together(folder: Path, count: int) -> Iterator[Outcome]:
    """Start two runs on one folder at once: one is refused or comes after, and nothing mixes."""
    data, whole = commands.pictures(folder / "two"), folder / "alone" / "run"
    harness.run(commands.run_command(data, whole), whole)
    for k in range(count):
        out, since = folder / f"both{k}" / "run", time.monotonic()
        codes = harness.at_once(commands.line_or_refused(data, out), out, 2)
        differ = harness.differences(harness.contents(out), harness.contents(whole))
        wrong = [f"{name} differs" for name in differ if name not in ("run.json", "report.md")]
        wrong += [] if set(codes) <= {0, 2} and 0 in codes else [f"exit codes {codes}"]
        case = Case("two at once, run", f"try {k}", _no_words, frozenset({0}))
        yield Outcome(case, max(codes), time.monotonic() - since, "", tuple(wrong))
        shutil.rmtree(out.parent)


def _no_words(folder: Path) -> list[str]:
    del folder
    return []


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what is asked of a campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("doors", nargs="*", help="only doors that start so")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop bad inputs then")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--together", type=int, default=50)
    return parser.parse_args(words)


def main() -> int:
    """Run the campaign in a random but fixed order, so that a shorter one is a sample."""
    asked = parsed()
    preload()
    every = [
        case for case in cases.all_cases()
        if not asked.doors or case.door.startswith(tuple(asked.doors))
    ]  # fmt: skip
    random.Random(0).shuffle(every)
    with tempfile.TemporaryDirectory(prefix="campaign-") as name:
        folder = Path(name)
        done = tried(every, folder / "cases", asked.seconds)
        done += kills(folder, asked.kills) if asked.kills else []
        done += together(folder, asked.together) if asked.together else []
    write(done, asked.out)
    return int(any(one.wrong for one in done))


if __name__ == "__main__":
    sys.exit(main())
