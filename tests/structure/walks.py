"""How far an argument travels: `python tests/structure/walks.py [TREE]` counts four call paths.

A walk starts at a function with one of its parameters and goes, in the order of the code, into each
function that is called with that parameter or with something made from it, each function once:

    stays     functions entered
    rooms     modules entered
    climbs    calls from a lower package of the tower up to a higher one
    returns   calls into a module that had been left before

Nothing is run and nothing imported: TREE is any checkout, this one by default, so that two commits
are counted by one script. A method is followed where just one class has one of its name; where
several have, the way is chosen as the program runs, and the walk stops.
"""

import ast
import io
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TOWER = ("e2r_metrics", "e2r_baselines", "e2r_adapters", "e2r_bench")
ROOTS = {"e2r_bench": ".", "e2r_metrics": "metrics", "e2r_baselines": "baselines",
         "e2r_adapters": "adapters"}  # fmt: skip

PATHS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "run": [
        ("e2r_bench.run.runner", "run_experiment", "experiment"),
        ("e2r_bench.runner", "run_experiment", "experiment"),
    ],
    "train": [
        ("e2r_adapters.train.loop", "train", "config"),
        ("e2r_adapters.loop", "train", "config"),
    ],
    "claims": [
        ("e2r_bench.arms.judge", "judge_claims", "claims"),
        ("e2r_bench.studies.judge", "judge", "claims"),
    ],
    "score": [("e2r_metrics.score", "score_folders", "restored")],
}
"""Where each walk starts: the first that a tree has."""


# Names that a method of ours shares with files, paths, texts and containers: not followed.
_COMMON = {name for kind in (str, bytes, dict, list, set, tuple, Path, io.TextIOWrapper, io.BytesIO)
           for name in dir(kind)}  # fmt: skip


@dataclass(frozen=True)
class Function:
    """One function or method of the tree."""

    module: str
    name: str
    node: ast.FunctionDef
    method: bool

    def parameters(self) -> list[str]:
        """Return its parameters' names, without the receiver."""
        arguments = self.node.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        return [*(names[1:] if self.method else names), *(a.arg for a in arguments.kwonlyargs)]


@dataclass
class Tree:
    """Everything that a walk must be able to find by name."""

    functions: dict[tuple[str, str], Function] = field(default_factory=dict)
    methods: defaultdict[str, list[Function]] = field(default_factory=lambda: defaultdict(list))
    imported: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def resolve(self, call: ast.Call, here: Function) -> Function | None:
        """Return the function that a call enters, None where nobody of the tree is meant."""
        if isinstance(call.func, ast.Name):
            name = call.func.id
            module, original = self.imported.get((here.module, name), (here.module, name))
            found = self.functions.get((module, original))
            return found or self.functions.get((module, f"{original}.__init__"))
        if not isinstance(call.func, ast.Attribute):
            return None
        name, owner = call.func.attr, call.func.value
        if isinstance(owner, ast.Name) and (here.module, owner.id) in self.imported:
            package, original = self.imported[here.module, owner.id]
            found = self.functions.get((f"{package}.{original}", name))
            return found or self.functions.get((package, f"{original}.{name}"))
        if isinstance(owner, ast.Name) and owner.id == "self":
            return self.functions.get((here.module, f"{here.name.rpartition('.')[0]}.{name}"))
        doors = self.methods[name]
        return doors[0] if len(doors) == 1 and name not in _COMMON else None


def read_tree(root: Path) -> Tree:
    """Read every module of the four packages of a checkout."""
    tree = Tree()
    for package, place in ROOTS.items():
        for path in sorted((root / place / package).rglob("*.py")):
            parts = path.relative_to(root / place).with_suffix("").parts
            module = ".".join(part for part in parts if part != "__init__")
            _read(tree, module, ast.parse(path.read_text(encoding="utf-8")))
    return tree


def _read(tree: Tree, module: str, parsed: ast.Module) -> None:
    for node in ast.walk(parsed):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                tree.imported[module, alias.asname or alias.name] = (node.module, alias.name)
    for node in parsed.body:
        if isinstance(node, ast.FunctionDef):
            tree.functions[module, node.name] = Function(module, node.name, node, False)
        elif isinstance(node, ast.ClassDef):
            for inner in (part for part in node.body if isinstance(part, ast.FunctionDef)):
                made = Function(module, f"{node.name}.{inner.name}", inner, True)
                tree.functions[module, made.name] = made
                tree.methods[inner.name].append(made)


@dataclass
class Walk:
    """One argument's way through a tree."""

    tree: Tree
    passed: set[tuple[str, str]] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    room: str = ""
    climbs: int = 0
    returns: int = 0
    log: list = field(default_factory=list)

    def enter(self, here: Function, tracked: set[str]) -> None:
        """Go through a function's calls in their order; the names in `tracked` are the argument."""
        self._move(here.module)
        self.passed.add((here.module, here.name))
        for node in _in_order(here.node):
            if isinstance(node, ast.Call):
                self._call(node, here, tracked)
            elif made := _made(node, tracked):
                tracked |= made
        # Whoever called goes on where it was.

    def _call(self, call: ast.Call, here: Function, tracked: set[str]) -> None:
        target = self.tree.resolve(call, here)
        if target is None or not _mentions(call, tracked):
            return
        names = _bound(call, target, tracked)
        seen = (target.module, target.name) in self.passed
        if seen:
            self._move(target.module)
        else:
            self.enter(target, names or {"self"})
        self._move(here.module, back=True)

    def _move(self, room: str, back: bool = False) -> None:
        """Change rooms; going back to a caller is no return, being called again is one."""
        if room != self.room:
            if not back:
                self.returns += room in self.left
                self.log.append((self.room, room, room in self.left))
                self.climbs += bool(self.room) and _floor(room) > _floor(self.room)
            self.left |= {self.room, room}
        self.room = room


def _floor(module: str) -> int:
    return TOWER.index(module.split(".")[0])


def _in_order(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield statements and calls as the program meets them: the inside before what is around."""

    def inside(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            yield from inside(child)
        yield node

    for statement in function.body:
        yield from inside(statement)


def _mentions(node: ast.AST, tracked: set[str]) -> bool:
    return any(isinstance(part, ast.Name) and part.id in tracked for part in ast.walk(node))


def _made(node: ast.AST, tracked: set[str]) -> set[str]:
    """Return the names that an assignment or a loop makes from the argument."""
    pairs: list[tuple[ast.AST, ast.AST]] = []
    if isinstance(node, ast.Assign):
        pairs = [(target, node.value) for target in node.targets]
    elif isinstance(node, ast.For | ast.comprehension):
        pairs = [(node.target, node.iter)]
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        pairs = [(node.target, node.value)]
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        pairs = [(node.optional_vars, node.context_expr)]
    return {
        part.id
        for target, value in pairs
        if _mentions(value, tracked)
        for part in ast.walk(target)
        if isinstance(part, ast.Name)
    }


def _bound(call: ast.Call, target: Function, tracked: set[str]) -> set[str]:
    """Return the parameters of `target` that receive the argument."""
    names = target.parameters()
    given = [
        name for name, value in zip(names, call.args, strict=False) if _mentions(value, tracked)
    ]
    given += [k.arg for k in call.keywords if k.arg in names and _mentions(k.value, tracked)]
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
    if receiver is not None and _mentions(receiver, tracked):
        given.append("self")
    return set(given)


def count(tree: Tree, path: str) -> str:
    """Walk one call path and return the line that says how far it was."""
    starts = [start for start in PATHS[path] if start[:2] in tree.functions]
    if not starts:
        return "does not start in this tree"
    module, name, parameter = starts[0]
    walk = Walk(tree)
    walk.enter(tree.functions[module, name], {parameter})
    rooms = {module for module, _ in walk.passed}
    return (
        f"{len(walk.passed)} stays / {len(rooms)} rooms / {walk.climbs} climbs / "
        f"{walk.returns} returns"
    )


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2]
    read = read_tree(where)
    for each in PATHS:
        print(f"{each:8}{count(read, each)}")
