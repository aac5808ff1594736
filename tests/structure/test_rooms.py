"""Inside the bench, too, imports go downwards only: commands, arms, studies and run, the rest."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "e2r_bench"
LEVELS = {
    "commands": 0, "api": 1, "arms": 2, "bundle": 2, "studies": 3, "run": 3, "report": 4,
    "maps": 4, "statistics": 5, "store": 5,
}  # fmt: skip


def rooms_of(path: Path) -> set[str]:
    """The rooms of the bench that a module imports from."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("e2r_bench.")}
    return found & LEVELS.keys()


def upward(room: str, imported: set[str]) -> set[str]:
    """The rooms above one that it imports from."""
    return {other for other in imported if LEVELS[other] < LEVELS[room]}


def test_no_room_imports_from_one_above_it() -> None:
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()} == set(LEVELS)
    wrong = {
        str(path.relative_to(ROOT)): found
        for room in LEVELS
        for path in (ROOT / room).rglob("*.py")
        if (found := upward(room, rooms_of(path)))
    }
    assert wrong == {}


def test_a_planted_climb_is_seen(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("def f():\n    from e2r_bench.arms.claims import Arm\n")
    assert upward("studies", rooms_of(tmp_path / "x.py")) == {"arms"}
