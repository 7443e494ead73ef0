"""Values of expressions, and that nothing outside the language is read, least of all by Python."""

from __future__ import annotations

import contextlib
import math
import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacecut.errors import InputError
from spacecut.space.expressions import FUNCTIONS, MAX_NUMBER, evaluate, names_in
from spacecut.space.table import Table, constant

WIDTHS = np.asarray([8, 16, 24])
SCALES = np.asarray([0.5, 1.0])
NAMES = {
    "w": Table((0,), WIDTHS, {"half": Table((0,), WIDTHS // 2)}),
    "s": Table((1,), SCALES),
    "op": Table((2,), np.asarray(["conv", "skip"])),
    "relu": constant("relu"),
}
BINARY = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip
small = st.integers(-1000, 1000) | st.floats(-1000, 1000).filter(lambda value: value == 0 or abs(value) > 1e-3)


def value(text: Any) -> Any:
    return evaluate(text, NAMES).values.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (3, 3),
        (True, True),
        (0.5, 0.5),
        ("relu", "relu"),
        ("'a word'", "a word"),
        ("-3", -3),
        ("7 // 2 + 7 % 4", 6),
        ("7 / 2", 3.5),
        ("(2 + 3) * 4", 20),
        ("True + True", 2),
        ("not 3 > 2", False),
        ("1 < 2 and 2 < 3 and 3 < 4", True),
        ("1 > 2 or 2 > 3 or False", False),
        ("4 if 2 > 1 else 5", 4),
        ("'a' if 2 < 1 else 'b'", "b"),
        ("int(3.99)", 3),
        ("int(-3.99)", -3),
        ("floor(-3.5)", -4),
        ("ceil(3.01)", 4),
        ("min(3, 2)", 2),
        ("max(1, 5, 3, 4)", 5),
        ("divisible(37, 8)", 40),
        ("divisible(3, 8)", 8),
        ("divisible(11, 8)", 16),
    ],
)
def test_value(text: Any, expected: Any) -> None:
    assert value(text) == expected


def test_depends_on_what_it_names() -> None:
    table = evaluate("int(w * s)", NAMES)
    assert table.scope == (0, 1)
    assert table.values.tolist() == [[4, 8], [8, 16], [12, 24]]
    assert evaluate("op == 'skip'", NAMES).values.tolist() == [False, True]
    assert evaluate("w.half if op == 'conv' else 1", NAMES).values.tolist() == [[4, 1], [8, 1], [12, 1]]


def test_many_arguments_leave_the_names_alone() -> None:
    assert value("min(w, 20, w)") == [8, 16, 20]
    assert value("max(1, 2, w)") == [8, 16, 24]
    assert WIDTHS.tolist() == [8, 16, 24]


def test_names_in() -> None:
    assert names_in("max(a.width, b) if c > 1 else int") == {"a", "b", "c", "int"}
    assert names_in(3) == set()


@given(small, small, st.sampled_from(list(BINARY)))
@settings(deadline=None)
def test_operators_compute_as_python_does(one: float, other: float, symbol: str) -> None:
    text = f"({one!r}) {symbol} ({other!r})"
    if other == 0 and symbol in ("/", "//", "%"):
        with pytest.raises(InputError, match="division by zero"):
            value(text)
    else:
        assert value(text) == pytest.approx(BINARY[symbol](one, other))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=4), st.lists(st.integers(1, 50), min_size=1, max_size=4))
@settings(deadline=None)
def test_computes_for_all_candidates_what_it_computes_for_each(ones: list[int], others: list[int]) -> None:
    text = "divisible(max(a * 3 - b, 1), 8) if a % 2 == 0 or not b > 7 else floor(a / b) + ceil(-0.5 * b)"
    table = evaluate(text, {"a": Table((0,), np.asarray(ones)), "b": Table((1,), np.asarray(others))})
    each = [[evaluate(text, {"a": constant(a), "b": constant(b)}).values.item() for b in others] for a in ones]
    assert table.values.tolist() == each


@given(st.integers(1, 5000), st.integers(1, 64))
@settings(deadline=None)
def test_divisible(width: int, divisor: int) -> None:
    rounded = value(f"divisible({width}, {divisor})")
    assert rounded % divisor == 0
    assert rounded >= 0.9 * width
    assert rounded <= max(divisor, width + divisor)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_refuse_a_wrong_number_of_arguments(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} with 0 arguments in the expression '{name}\\(\\)'; give it "):
        value(f"{name}()")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("__import__('os')", "unknown function '__import__'"),
        ("eval('1')", "unknown function 'eval'"),
        ("open('x')", "unknown function 'open'"),
        ("flor(1.5)", "did you mean floor?"),
        ("width + 1", "unknown name 'width'"),
        ("__builtins__", "unknown name '__builtins__'"),
        ("w.__class__", "unknown attribute '__class__'"),
        ("w.hal", "did you mean half?"),
        ("relu.half", "unknown attribute 'half'"),
        ("(w + 1).half", "unknown attribute 'half'"),
        ("(1).real", "unknown attribute 'real'"),
        ("'a'.upper()", "not part of the language"),
        ("w.half()", "not part of the language"),
        ("max(1, b=2)", "not part of the language"),
        ("max(*w, *w)", "not part of the language"),
        ("lambda: 0", "not part of the language"),
        ("[w]", "not part of the language"),
        ("(1, 2)", "not part of the language"),
        ("{1: 2}", "not part of the language"),
        ("w[0]", "not part of the language"),
        ("[a for a in w]", "not part of the language"),
        ("f'{w}'", "not part of the language"),
        ("b'a'", "not part of the language"),
        ("1j", "not part of the language"),
        ("...", "not part of the language"),
        ("None", "not part of the language"),
        ("(x := 3)", "not part of the language"),
        ("w ** 2", "not part of the language"),
        ("9 ** 9 ** 9", "not part of the language"),
        ("w @ w", "not part of the language"),
        ("w << 3", "not part of the language"),
        ("w & 1", "not part of the language"),
        ("~w", "not part of the language"),
        ("1 < w < 3", "not part of the language"),
        ("w in w", "not part of the language"),
        ("w is w", "not part of the language"),
        ("await w", "not part of the language"),
        ("w = 3", "cannot read the expression"),
        ("import os", "cannot read the expression"),
        ("w; w", "cannot read the expression"),
        ("w +", "cannot read the expression"),
        ("", "cannot read the expression"),
        ("w\0", "cannot read the expression"),
        ("\ud800", "cannot read the expression"),
        ("1 / 0", "division by zero"),
        ("1 // (w - 8)", "division by zero"),
        ("1.0 % 0", "division by zero"),
        ("divisible(w, 0)", "division by zero"),
        ("op + 1", "a word is no number"),
        ("op * 3", "a word is no number"),
        ("-op", "a word is no number"),
        ("op > 'a'", "a word is no number"),
        ("'%s' % w", "a word is no number"),
        ("int('3')", "a word is no number"),
        ("op == 3", "a word is compared with a number"),
        ("not op", "a word is no condition"),
        ("op and True", "a word is no condition"),
        ("1 if op else 2", "a word is no condition"),
        ("1 if w > 8 else 'a'", "a word or a number"),
        ("99999999999999999999", "too large a number"),
        ("1e999", "too large a number"),
        ("w * 1000000 * 1000000", "too large a number"),
        ("1000000.0 * 1000000.0 * 1000000.0", "too large a number"),
        ("-" * 400 + "1", "too deep"),
        ("(" * 220 + "1" + ")" * 220, "too many nested parentheses"),
        ("1" + "+1" * 400, "longer than"),
        (math.nan, "too large a number"),
        (math.inf, "too large a number"),
        (MAX_NUMBER + 1, "too large a number"),
        (None, "no value"),
        ([1], "no value"),
    ],
)
def test_refuses(text: Any, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        value(text)
    message = str(caught.value)
    assert problem in message
    assert len(message.splitlines()) == 1
    assert "; " in message, "it says how to mend it"


@given(st.text(st.sampled_from("ws.()[]{}'\"+-*/%<>=!,:0123 \nifelse\\#@~^&|_"), max_size=30))
@settings(deadline=None, max_examples=200)
def test_any_text_has_a_value_or_is_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        assert evaluate(text, NAMES).values.dtype.kind in "biufU"


def test_a_table_too_large_is_refused_before_it_is_made() -> None:
    names = {f"c{position}": Table((position,), np.arange(10_000)) for position in range(5)}
    with pytest.raises(InputError, match="depends on 2 choices with more than 4000000 combinations; tie some"):
        evaluate("c0 + c1 + c2 + c3 + c4", names)
