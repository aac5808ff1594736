"""The docs site: complete, and built without a warning."""

import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from e2r_baselines.tasks import TASKS
from e2r_bench.cli import COMMANDS
from e2r_bench.run.plan import known_methods
from e2r_bench.run.protocols import PROTOCOLS
from e2r_metrics import CATALOG

ROOT = Path(__file__).parents[2]
EVERY = {
    "metrics": CATALOG, "methods": known_methods(), "tasks": TASKS, "protocols": PROTOCOLS,
    "commands": {f"e2r-bench {name}": None for name in COMMANDS},
}  # fmt: skip


def loaded(name: str) -> ModuleType:
    spec = spec_from_file_location(name, ROOT / "docs_site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return loaded("reference").pages()


@pytest.mark.parametrize("kind", EVERY)
def test_the_reference_lists_every_one(pages: dict[str, str], kind: str) -> None:
    page = pages[f"reference/{kind}.md"]
    assert [name for name in EVERY[kind] if f"\n## `{name}`\n" not in page] == []


@pytest.mark.parametrize("kind", ["metrics", "methods", "tasks", "sets", "weights"])
def test_every_entry_says_its_licence(pages: dict[str, str], kind: str) -> None:
    entries = pages[f"reference/{kind}.md"].split("\n## ")[1:]
    silent = [one.splitlines()[0] for one in entries if "licence" not in one]
    # The shares have no weights, and are this project's.
    assert [name for name in silent if "_share:bands" not in name] == []


def test_every_public_name_is_documented(pages: dict[str, str]) -> None:
    import e2r_bench

    page = pages["reference/python.md"]
    names = [name for name in e2r_bench.__all__ if name != "__version__"]
    assert [name for name in names if f".{name}\n" not in page] == []


def test_every_page_of_docs_is_reached_from_the_navigation() -> None:
    told = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [p.name for p in (ROOT / "docs").glob("*.md") if f": {p.name}\n" not in told] == []


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None:
        pytest.skip("mkdocs is not installed: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = (tmp_path / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    assert "e2r_bench.score" in shown or "score(" in shown
    assert (tmp_path / "index.html").is_file()
