"""The package of statistics knows no run, no store and no model: arrays in, small values out."""

import ast
from pathlib import Path

import e2r_bench.statistics
import e2r_metrics

FOLDER = Path(e2r_bench.statistics.__file__).parent
METRICS_FOLDER = Path(e2r_metrics.__file__).parent
# Neighbourhoods are counted anew in every resample, and roots of covariances taken, by the metrics'
# own arithmetic; what they import is held to the same below.
METRICS = ("clusters", "frechet", "prdc")
ALLOWED = (
    "e2r_metrics.base.errors", "e2r_metrics.rows.types", "e2r_bench.statistics",
    *(f"e2r_metrics.{name}" for name in METRICS),
)  # fmt: skip
OUTSIDE = {"numpy", "scipy", "threadpoolctl"}


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_it_imports_itself_errors_and_numerics_only():
    import sys

    modules = sorted(FOLDER.glob("*.py"))
    assert len(modules) > 10
    modules += [METRICS_FOLDER / f"{name}.py" for name in METRICS]
    for path in modules:
        for name in _imported(path):
            ours = name.startswith(ALLOWED)
            assert ours or name.split(".")[0] in OUTSIDE | set(sys.stdlib_module_names), (
                f"{path.name} imports {name}"
            )


def test_no_module_is_longer_than_the_house_allows():
    long = {p.name: n for p in FOLDER.glob("*.py") if (n := len(p.read_text().splitlines())) > 250}
    assert not long
