"""A metric, a restorer, a task, a family and a study are added as CONTRIBUTING says, and work."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = {"e2r_bench": "", "e2r_metrics": "metrics", "e2r_baselines": "baselines",
         "e2r_adapters": "adapters"}  # fmt: skip


@dataclass(frozen=True)
class Addition:
    """What somebody writes to add one thing.

    Attributes:
        most: how many files CONTRIBUTING allows.
        new: file -> content.
        rows: file -> (the line before which a row goes, the row).
    """

    most: int
    new: Mapping[str, str]
    rows: Mapping[str, tuple[str, str]]


METRIC = Addition(
    3,
    {
        "metrics/e2r_metrics/halves.py": """
import numpy as np

def open_metric(variant, files, device):
    def measure(restored, clean):
        return np.array([float(np.mean(x)) / 2 for x in restored])
    return measure
"""
    },
    {
        "metrics/e2r_metrics/catalog.py": (
            "CATALOG: Mapping",
            """_ROWS += (Metric("halves", "mean", "Halves", "halves", True, "half", "nobody",
                  "NumPy", "1e-12"),)
""",
        ),
    },
)
RESTORER = Addition(
    2,
    {
        "baselines/e2r_baselines/mirror.py": """
import numpy as np
from e2r_baselines.method import Restored

class Mirror:
    def restore(self, photos, task, draws):
        for photo in photos:
            for draw in draws:
                yield Restored(photo.id, draw, np.ascontiguousarray(photo.pixels[:, ::-1]))

def open_mirror(build, files, compute):
    return Mirror()
"""
    },
    {
        "baselines/e2r_baselines/catalog.py": (
            "METHODS: Mapping",
            """_ALL += (MethodSpec("mirror", "mirror", "nobody", "none", (Build("mirror"),),
                  frozenset({"denoise"}), late("mirror", "open_mirror")),)
""",
        )
    },
)
TASK = Addition(
    1,
    {},
    {
        "baselines/e2r_baselines/tasks.py": (
            "TASKS: Mapping",
            """def _darken(task, clean, depth, rng):
    return clean * np.float32(0.5)

_ALL += (task_row("darken", "darken", _darken, g1="lighten it", g2="lighten it"),)
""",
        )
    },
)
FAMILY = Addition(
    2,
    {
        "adapters/e2r_adapters/editors/other.py": """
from dataclasses import replace
from e2r_adapters.editors.kontext import KONTEXT

OTHER = replace(KONTEXT, name="other", pipeline="OtherPipeline")
"""
    },
    {
        "adapters/e2r_adapters/editors/families.py": (
            "def family_of",
            """from e2r_adapters.editors.other import OTHER
FAMILIES = MappingProxyType({**FAMILIES, OTHER.pipeline: OTHER})

""",
        )
    },
)
STUDY = Addition(
    2,
    {
        "e2r_bench/studies/counts.py": """
def study_counts(store):
    return {task: len(store.images(task)) for task in store.info.tasks}
"""
    },
    {
        "e2r_bench/commands/study.py": (
            '@command.command("seeds"',
            """@command.command("counts")
@click.argument("run", type=FILE)
def counts_command(run: Path) -> None:
    \"\"\"Count pictures.\"\"\"
    from e2r_bench.store.store import open_store
    from e2r_bench.studies.counts import study_counts

    click.echo(f"counted {study_counts(open_store(run))}")


""",
        )
    },
)
ALL = {"metric": METRIC, "restorer": RESTORER, "task": TASK, "family": FAMILY, "study": STUDY}

CHECK = """
import sys
from pathlib import Path
from e2r_bench.cli import main
from e2r_adapters.editors.families import family_of
from e2r_bench.store.store import open_store

data, out = sys.argv[1:]
assert main(["run", "--methods", "mirror", "--tasks", "darken", "--data", data, "--metrics",
             "halves,psnr", "--device", "cpu", "--offline", "--out", out]) == 0
store = open_store(Path(out))
(draw,) = store.draws("mirror")
values = store.values("mirror", "darken", draw, "halves:mean")
truth = store.values("clean", "darken", draw, "halves:mean")
assert len(values) == 3
assert all(abs(2 * values[name] - truth[name]) < 0.5 for name in values)
summary = store.summary()
assert summary[summary.metric == "halves"].interval.str.contains("scenes").all()
assert "darken" in store.info.methods["mirror"].outside
assert family_of("OtherPipeline", "here").name == "other"
assert main(["study", "counts", out]) == 0
"""


@pytest.mark.parametrize("what", ALL)
def test_no_more_files_than_contributing_says(what: str) -> None:
    addition = ALL[what]
    files = {*addition.new, *(name.partition("#")[0] for name in addition.rows)}
    assert len(files) <= addition.most


def test_one_of_each_is_added_and_found(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for package, root in ROOTS.items():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / root / package, tree / root / package, ignore=ignored)
    for addition in ALL.values():
        for name, content in addition.new.items():
            (tree / name).write_text(content.lstrip())
        for key, (before, row) in addition.rows.items():
            path = tree / key.partition("#")[0]
            head, mark, tail = path.read_text().partition(f"\n{before}")
            assert mark, f"{key}: no line starts with {before!r}"
            path.write_text(f"{head}\n{row}{mark[1:]}{tail}")
    _pictures(tmp_path / "data")
    roots = os.pathsep.join(str(tree / root) for root in ROOTS.values())
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path / "data"), str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": roots}, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "counted {'darken': 3}" in done.stdout


def _pictures(folder: Path) -> None:
    import numpy as np

    from e2r_metrics.base.pictures import write_png

    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        write_png(folder / f"{k}.png", pixels)
