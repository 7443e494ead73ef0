"""The small expression language of space files: arithmetic, comparisons and a few functions over choices.

Expressions are parsed with :mod:`ast` and interpreted over :class:`~spacecut.space.table.Table`; nothing is ever
handed to Python to evaluate.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from spacecut.errors import InputError
from spacecut.space.table import Table, combine, constant

__all__ = ["FUNCTIONS", "evaluate", "names_in"]

_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _divisible(value: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """MobileNet's channel rounding: to the nearest multiple, never more than 10 % below ``value``."""
    rounded = np.maximum(divisor, (value + divisor / 2).astype(np.int64) // divisor * divisor)
    return np.where(rounded < 0.9 * value, rounded + divisor, rounded).astype(np.int64)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "int": lambda value: np.trunc(value).astype(np.int64),
    "floor": lambda value: np.floor(value).astype(np.int64),
    "ceil": lambda value: np.ceil(value).astype(np.int64),
    "min": np.minimum,
    "max": np.maximum,
    "divisible": _divisible,
}


def _parse(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise InputError(f"cannot read the expression {text!r}: {error.msg}") from None


def names_in(text: str | int | float) -> set[str]:
    """The names that an expression refers to (functions excepted)."""
    if not isinstance(text, str):
        return set()
    tree = _parse(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}


def evaluate(text: str | int | float | bool, names: Mapping[str, Table]) -> Table:
    """The value of an expression over the choices.

    Args:
        text: An expression such as ``int(64 * s1.scale)``, or a plain number.
        names: What names stand for.

    Raises:
        InputError: The expression cannot be read, or names something unknown.
    """
    if not isinstance(text, str):
        return constant(text)
    return _Interpreter(text, names).value(_parse(text))


class _Interpreter:
    def __init__(self, text: str, names: Mapping[str, Table]) -> None:
        self._text = text
        self._names = names

    def _fail(self, problem: str) -> InputError:
        return InputError(f"{problem} in the expression {self._text!r}")

    def value(self, node: ast.expr) -> Table:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return constant(value)
            case ast.Name(id=name):
                if name not in self._names:
                    known = ", ".join(sorted(self._names)) or "none"
                    raise self._fail(f"unknown name {name!r} (known: {known})")
                return self._names[name]
            case ast.Attribute(value=owner, attr=attribute):
                table = self.value(owner)
                if attribute not in table.attributes:
                    known = ", ".join(sorted(table.attributes)) or "none"
                    raise self._fail(f"unknown attribute {attribute!r} (known: {known})")
                return table.attributes[attribute]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._apply(_ARITHMETIC[type(op)], left, right)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._apply(operator.neg, operand)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._apply(np.logical_not, operand)
            case ast.BoolOp(op=op, values=values):
                function = np.logical_and if isinstance(op, ast.And) else np.logical_or
                result = self.value(values[0])
                for other in values[1:]:
                    result = combine(function, result, self.value(other))
                return result
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                return self._apply(_COMPARISONS[type(op)], left, right)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._apply(np.where, test, body, orelse)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
                return self._apply(FUNCTIONS[name], *arguments)
            case ast.Call(func=ast.Name(id=name)):
                raise self._fail(f"unknown function {name!r} (known: {', '.join(sorted(FUNCTIONS))})")
        raise self._fail(f"{ast.unparse(node)!r} is not part of the expression language")

    def _apply(self, function: Callable[..., Any], *nodes: ast.expr) -> Table:
        tables = [self.value(node) for node in nodes]
        try:
            with np.errstate(divide="raise", invalid="raise"):
                return combine(function, *tables)
        except (TypeError, ValueError, FloatingPointError) as error:
            raise self._fail(f"cannot compute ({error})") from None
