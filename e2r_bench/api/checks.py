"""Arguments of the public functions against their annotations: another type is one line.

Annotations are read as text, so that nothing is imported for it; a class is known by its name.
Pictures are left to `e2r_bench.api.pictures`, which says what each kind has to be.
"""

import ast
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from e2r_metrics.base.errors import UsageError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_NUMBERS: Mapping[str, type] = {"int": Integral, "float": Real}
_ELSEWHERE = frozenset({"Any", "Picture", "Pictures"})
_SHOWN = 60
_MODULES = re.compile(r"(\w+\.)+")


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Refuse arguments of another type than a function's annotations say, before it starts.

    Raises:
        UsageError: at the call; it names the argument, what was expected and what came in.
        TypeError: an argument that is missing or unknown, as of any function of Python's.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{function.__name__}() {error}") from None
        for name, value in bound.arguments.items():
            parameter = signature.parameters[name]
            several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
            for one in value if several else (value,):
                refuse_other(f"{function.__name__}: {name}", one, parameter.annotation)
        return function(*args, **kwargs)

    return call


def refuse_other(where: str, value: object, annotation: Any) -> None:
    """Raise `UsageError` where a value is not of an annotation's type.

    Args:
        where: of what, for the line.
        value: what came in.
        annotation: a type, or text of one.
    """
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    if not _fits(value, _parsed(text)):
        plain = _MODULES.sub("", text)
        raise UsageError(f"{where}: expected {plain}, found {type(value).__name__}{_shown(value)}")


def _shown(value: object) -> str:
    """Return a value of Python's own in short; what others print may be pages long."""
    if value is None or type(value).__module__ != "builtins":
        return ""
    return f" {' '.join(repr(value).split())[:_SHOWN]}"


@functools.cache
def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _fits(value: object, node: ast.expr) -> bool:
    match node:
        case ast.BinOp():
            return _fits(value, node.left) or _fits(value, node.right)
        case ast.Constant(value=str()):
            return _fits(value, _parsed(node.value))
        case ast.Constant():
            return value is None
        case ast.Subscript():
            return _holds(value, _word(node.value), node.slice)
        case _:
            return _is(value, _word(node))


def _is(value: object, word: str) -> bool:
    if word in _NUMBERS:
        return isinstance(value, _NUMBERS[word]) and not isinstance(value, bool)
    return word in _ELSEWHERE or any(one.__name__ == word for one in type(value).__mro__)


def _word(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _holds(value: Any, outer: str, inner: ast.expr) -> bool:
    """Return whether a value is such a container, with such things in it."""
    if outer == "Sequence":
        return _is_list(value) and all(_fits(one, inner) for one in value)
    if outer == "Mapping":
        key, entry = inner.elts if isinstance(inner, ast.Tuple) else (inner, inner)
        return isinstance(value, Mapping) and all(
            _fits(name, key) and _fits(one, entry) for name, one in value.items()
        )
    if outer == "Literal":
        words = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        return any(isinstance(one, ast.Constant) and one.value == value for one in words)
    return callable(value) if outer == "Callable" else True


def _is_list(value: Any) -> bool:
    """Return whether it has an order and a length, as lists and arrays have."""
    return hasattr(value, "__getitem__") and hasattr(value, "__len__") and not isinstance(
        value, str | bytes | Mapping
    )  # fmt: skip
