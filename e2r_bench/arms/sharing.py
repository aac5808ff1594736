"""The arms of claims and studies on several machines: each makes some, and all are judged together.

Arms that stand on one adapter stay on one machine, which trains it. A shard leaves adapters and run
folders; laid into one folder they are what the command without `--shard` goes on with.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from e2r_bench.arms.claims import Arm
from e2r_bench.arms.running import ArmRunner
from e2r_bench.run.shards import Shard
from e2r_bench.store.store import RUN_JSON, RUN_MARKS
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import unfinished_name

PARTS = ("adapters", "runs")
ARM_MARKS = (
    *(f"runs/*/{mark}" for mark in RUN_MARKS), "adapters/*/training.json",
    "studies/claims/margins.json",
)  # fmt: skip
"""What tells a folder of arms, whole or interrupted."""
_OF_THIS_CALL = frozenset({"timing.jsonl", "costs.json", ".lock", ".lock.json", "train.jsonl"})
_NAMED = frozenset({RUN_JSON, "report.html", "report.md"})
"""They name their own folder, and how it was passed."""


def make_shard(runner: ArmRunner, wanted: Sequence[tuple[Arm, str]], shard: Shard) -> Iterator[str]:
    """Train and run the arms of one shard, and say what was left to others; nothing is judged.

    Args:
        runner: of all arms.
        wanted: every arm with every task that it is asked for on.
        shard: which part of how many.

    Raises:
        UsageError: there are more shards than adapters and methods.
    """
    names = list(dict.fromkeys(runner.name_of(arm) for arm, _ in wanted))
    if shard.of > len(names):
        raise UsageError(
            f"--shard: expected at most {len(names)} shards, one an adapter or method, found "
            f"{shard.of}"
        )
    mine = names[shard.part - 1 :: shard.of]
    planned = runner.planning([arm for arm, _ in wanted])
    for arm, task in wanted:
        if runner.name_of(arm) in mine:
            try:
                planned.arm(arm, task)
            except UsageError as error:
                # As without shards: what needs it is not measured, and the others are made.
                yield f"{runner.name_of(arm)}: {error}"
    runner.failures |= planned.failures
    yield (
        f"shard {shard.part}/{shard.of}: {len(mine)} of {len(names)} adapters and methods are "
        f"made: {', '.join(mine)}; when all shards are, `e2r-bench merge` them, and give this "
        "command without --shard, with --out of the merged"
    )


def are_arms(folder: Path) -> bool:
    """Return whether a folder is what a shard of claims or of a study leaves."""
    return (folder / "runs").is_dir() and not (folder / RUN_JSON).exists()


def join_arms(folders: Sequence[Path], out: Path) -> Iterator[str]:
    """Lay the adapters and runs of shards into one folder; called again, it goes on.

    Args:
        folders: of the shards, in any order.
        out: held by the caller.

    Raises:
        UsageError: two shards, or a shard and `out`, hold another content under one name.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        for part in (p for name in PARTS for p in sorted((folder / name).glob("*")) if p.is_dir()):
            place = part.relative_to(folder)
            _refuse_other(found.setdefault(place, part), part)
    for place, part in found.items():
        if (out / place).exists():
            _refuse_other(out / place, part)
        else:
            _copy(part, out / place)
    yield f"{out}: {len(found)} adapters and runs of {len(folders)} shards"


def _copy(part: Path, target: Path) -> None:
    aside = target.parent / unfinished_name(target.name)
    try:
        shutil.copytree(part, aside, ignore=shutil.ignore_patterns(".lock*"))
        aside.replace(target)
    except OSError as error:
        raise UsageError(
            f"cannot write {target}: {error.strerror}; choose another --out"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _refuse_other(one: Path, two: Path) -> None:
    if one == two:
        return
    mine, yours = _contents(one), _contents(two)
    differ = sorted(
        name for name in mine.keys() | yours.keys() if mine.get(name) != yours.get(name)
    )
    if differ:
        raise UsageError(
            f"expected the same content under one name, found {one} and {two} with another "
            f"{differ[0]}; merge shards of one command"
        )


def _contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in _OF_THIS_CALL | _NAMED
    }
