"""The small expression language of space files: arithmetic, comparisons and a few functions over choices.

Expressions are parsed with :mod:`ast` and interpreted over :class:`~spacecut.space.table.Table`; nothing is ever
handed to Python to evaluate.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spacecut.errors import InputError
from spacecut.space.place import hint
from spacecut.space.table import Table, combine, constant

__all__ = ["FUNCTIONS", "MAX_NUMBER", "evaluate", "names_in"]

MAX_LENGTH = 500
MOST_SHOWN = 80
MAX_NUMBER = 2**31
"""No number may be larger, so that no product of two overflows."""
MANY = 100


def _is_word(value: np.ndarray) -> bool:
    return bool(value.dtype.kind == "U")


def _arithmetic(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*values: np.ndarray) -> Any:
        if any(map(_is_word, values)):
            raise ValueError("a word is no number")
        return function(*(value.astype(np.int64) if value.dtype.kind == "b" else value for value in values))

    return apply


def _comparison(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(one: np.ndarray, other: np.ndarray) -> Any:
        if _is_word(one) != _is_word(other):
            raise ValueError("a word is compared with a number")
        return function(one, other)

    return apply


def _logic(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*values: np.ndarray) -> Any:
        if any(map(_is_word, values)):
            raise ValueError("a word is no condition")
        return functools.reduce(function, values) if len(values) > 1 else function(*values)

    return apply


def _if_else(test: np.ndarray, body: np.ndarray, otherwise: np.ndarray) -> Any:
    if _is_word(test):
        raise ValueError("a word is no condition")
    if _is_word(body) != _is_word(otherwise):
        raise ValueError("the value is a word or a number")
    return np.where(test, body, otherwise)


def _divisible(value: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """MobileNet's channel rounding: to the nearest multiple, never more than 10 % below ``value``."""
    rounded = np.maximum(divisor, (value + divisor / 2).astype(np.int64) // divisor * divisor)
    return np.where(rounded < 0.9 * value, rounded + divisor, rounded).astype(np.int64)


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: _arithmetic(operator.add),
    ast.Sub: _arithmetic(operator.sub),
    ast.Mult: _arithmetic(operator.mul),
    ast.Div: _arithmetic(operator.truediv),
    ast.FloorDiv: _arithmetic(operator.floordiv),
    ast.Mod: _arithmetic(operator.mod),
    ast.USub: _arithmetic(operator.neg),
    ast.Eq: _comparison(operator.eq),
    ast.NotEq: _comparison(operator.ne),
    ast.Lt: _arithmetic(operator.lt),
    ast.LtE: _arithmetic(operator.le),
    ast.Gt: _arithmetic(operator.gt),
    ast.GtE: _arithmetic(operator.ge),
    ast.Not: _logic(np.logical_not),
    ast.And: _logic(np.logical_and),
    ast.Or: _logic(np.logical_or),
}

FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "int": (lambda value: np.trunc(value).astype(np.int64), 1, 1),
    "floor": (lambda value: np.floor(value).astype(np.int64), 1, 1),
    "ceil": (lambda value: np.ceil(value).astype(np.int64), 1, 1),
    "min": (lambda *values: functools.reduce(np.minimum, values), 2, MANY),
    "max": (lambda *values: functools.reduce(np.maximum, values), 2, MANY),
    "divisible": (_divisible, 2, 2),
}
"""Each function with the fewest and the most arguments that it takes."""


def _parse(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise InputError(f"{_shown(text)} is longer than {MAX_LENGTH} characters; use definitions")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise InputError(f"cannot read {_shown(text)}: {error.msg}; mend it") from None
    except ValueError:
        raise InputError(f"cannot read {_shown(text)}: it has characters of no meaning; mend it") from None
    except (MemoryError, RecursionError):
        raise _too_deep(text) from None


def _too_deep(text: str) -> InputError:
    return InputError(f"{_shown(text)} is nested too deep; use definitions")


def _shown(text: str) -> str:
    return f"the expression {text[:MOST_SHOWN]!r}{'...' if len(text) > MOST_SHOWN else ''}"


def names_in(text: Any) -> set[str]:
    """The names that an expression refers to (functions excepted)."""
    if not isinstance(text, str):
        return set()
    tree = _parse(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}


def evaluate(text: Any, names: Mapping[str, Table]) -> Table:
    """The value of an expression over the choices.

    Args:
        text: An expression such as ``int(64 * s1.scale)``, or a plain number.
        names: What names stand for.

    Raises:
        InputError: The expression cannot be read, or names something unknown.
    """
    if isinstance(text, str):
        try:
            return _Interpreter(text, names).value(_parse(text))
        except RecursionError:
            raise _too_deep(text) from None
    if isinstance(text, bool | int | float):
        return _Interpreter(str(text), names).value(ast.Constant(text))
    raise InputError(f"{text!r} is no value; give a number, a word or an expression")


class _Interpreter:
    def __init__(self, text: str, names: Mapping[str, Table]) -> None:
        self._text = text
        self._names = names

    def _fail(self, problem: str, mend: str) -> InputError:
        return InputError(f"{problem} in {_shown(self._text)}; {mend}")

    def value(self, node: ast.expr) -> Table:
        match node:
            case ast.Constant(value=str() as value):
                return constant(value)
            case ast.Constant(value=bool() | int() | float() as value):
                if not abs(value) <= MAX_NUMBER:
                    raise self._fail("too large a number", f"stay within {MAX_NUMBER}")
                return constant(value)
            case ast.Name(id=name):
                if name not in self._names:
                    raise self._fail(f"unknown name {name!r}", hint(name, self._names))
                return self._names[name]
            case ast.Attribute(value=owner, attr=attribute):
                table = self.value(owner)
                if attribute not in table.attributes:
                    raise self._fail(f"unknown attribute {attribute!r}", hint(attribute, table.attributes))
                return table.attributes[attribute]
        return self._apply(*self._operation(node))

    def _operation(self, node: ast.expr) -> tuple[Callable[..., Any], Sequence[ast.expr]]:
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)], (left, right)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)], (operand,)
            case ast.BoolOp(op=op, values=values):
                return _OPERATORS[type(op)], values
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)], (left, right)
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return _if_else, (test, body, otherwise)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
                function, fewest, most = FUNCTIONS[name]
                if not fewest <= len(arguments) <= most:
                    wanted = f"{fewest}" if most == fewest else f"{fewest} or more"
                    raise self._fail(f"{name} with {len(arguments)} arguments", f"give it {wanted}")
                return _arithmetic(function), arguments
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                raise self._fail(f"unknown function {name!r}", hint(name, FUNCTIONS))
        raise self._fail(
            f"{ast.unparse(node)!r}, which is not part of the language,",
            f"use + - * / // %, comparisons, and, or, not, if else and {', '.join(FUNCTIONS)}",
        )

    def _apply(self, function: Callable[..., Any], nodes: Sequence[ast.expr]) -> Table:
        tables = [self.value(node) for node in nodes]
        try:
            with np.errstate(divide="raise", invalid="raise", over="ignore"):
                result = combine(function, *tables)
        except FloatingPointError:
            raise self._fail("division by zero", "guard against it, as in max(1, ...)") from None
        except ValueError as error:
            raise self._fail(str(error), "compare names with names, and compute with numbers") from None
        if result.values.dtype.kind in "if" and not (np.abs(result.values) <= MAX_NUMBER).all():
            raise self._fail("too large a number", f"stay within {MAX_NUMBER}")
        return result
