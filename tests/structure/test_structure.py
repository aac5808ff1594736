"""The house keeps its shape: one tower, no circles, rooms and functions that a person can hold."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "e2r_metrics": ROOT / "metrics" / "e2r_metrics",
    "e2r_baselines": ROOT / "baselines" / "e2r_baselines",
    "e2r_adapters": ROOT / "adapters" / "e2r_adapters",
    "e2r_bench": ROOT / "e2r_bench",
}
LONGEST_MODULE, LONGEST_FUNCTION, USUAL_FUNCTION = 250, 45, 25


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *(part for part in parts if part != "__init__"))), path


SOURCES = dict(modules())
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}


def imports(name: str, at_import: bool) -> set[str]:
    """The modules of ours that a module imports; `at_import` leaves out those inside functions."""
    found: set[str] = set()
    for node in ast.walk(TREES[name]) if not at_import else _top_level(TREES[name]):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            found |= names & SOURCES.keys()
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & SOURCES.keys()
    # A package's face is not what its own modules depend on.
    return {other for other in found if other != name and not name.startswith(f"{other}.")}


def _top_level(tree: ast.Module) -> Iterator[ast.AST]:
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        yield node
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not checking:
            stack.extend(ast.iter_child_nodes(node))


def cycles(edges: dict[str, set[str]]) -> list[set[str]]:
    """The groups of nodes that reach each other."""
    reach = {node: set(others) for node, others in edges.items()}
    for middle in edges:
        for others in reach.values():
            if middle in others:
                others |= reach.get(middle, set())
    found: list[set[str]] = []
    for node in edges:
        group = {other for other in reach[node] if node in reach.get(other, set())}
        if group and group not in found:
            found.append(group)
    return found


def test_the_tower_is_climbed_downwards_only() -> None:
    order = list(PACKAGES)
    wrong = [
        f"{name} imports {other}"
        for name in SOURCES
        for other in imports(name, at_import=False)
        if order.index(other.split(".")[0]) > order.index(name.split(".")[0])
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycles({name: imports(name, at_import=True) for name in SOURCES}) == []


def test_no_folders_import_each_other_in_a_circle() -> None:
    """A folder is a package or one directly inside it; modules beside folders stand alone."""
    packages = {name for name, path in SOURCES.items() if path.name == "__init__.py"}

    def folder(name: str) -> str:
        parts = name.split(".")
        two = ".".join(parts[:2])
        return two if two in packages and len(parts) > 1 else name

    edges: defaultdict[str, set[str]] = defaultdict(set)
    for name in SOURCES:
        mine = folder(name)
        edges[mine] |= {folder(o) for o in imports(name, at_import=False)} - {mine}
    assert cycles(dict(edges)) == []


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_modules_fit_on_a_few_screens(name: str) -> None:
    assert len(SOURCES[name].read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


def functions() -> Iterator[tuple[int, str]]:
    """The length of each function, without the example at the end of its docstring."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                example = (ast.get_docstring(node) or "").partition("\nExample:\n")[2]
                length = node.end_lineno - node.lineno + 1 - len(example.splitlines())
                yield length, f"{name}:{node.name}"


def test_functions_fit_on_a_screen() -> None:
    lengths = sorted(functions())
    assert [named for named in lengths if named[0] > LONGEST_FUNCTION] == []
    assert lengths[len(lengths) * 9 // 10][0] <= USUAL_FUNCTION


def test_a_planted_circle_is_seen() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert cycles({"a": {"b"}, "b": set()}) == []
