"""Space files: what is wrong in one is named in one line, with its place and its mend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spacecut.errors import InputError
from spacecut.space import load_space

MANY = "".join(f"  c{number}: {{candidates: 1..1000}}\n" for number in range(5))
START = """\
spacecut: 1
name: test
input: [3, 8, 8]
"""
CHOICES = """\
choices:
  w: {candidates: [8, 16]}
  op: {candidates: [conv, skip]}
"""
NETWORK = """\
network:
  - conv2d: {out_channels: 8, kernel: 3}
"""


def refusal(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        load_space(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable(), "it is one line"
    return message.removeprefix(str(path))


def check(path: Path, content: str | bytes, line: int, field: str, problem: str) -> None:
    message = refusal(path, content)
    found = re.fullmatch(r":(\d+): (.+?): (.+)", message)
    assert found is not None, message
    assert (int(found[1]), found[2]) == (line, field), message
    assert problem in found[3], message
    assert "; " in found[3], "it says how to mend it"


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ("", 1, "it is no space; write a mapping with the keys spacecut, name"),
        ("# nothing\n", 1, "it is no space"),
        ("5", 1, "it is no space"),
        ("# a list\n- 1\n- 2\n", 2, "it is no space"),
        (START + "x: [1,\n", 5, "broken YAML"),
        (START + "x: 'a\n", 5, "broken YAML"),
        ("a:\n\t- b\n", 2, "broken YAML"),
        (START + "choices: *nope\n", 4, "undefined alias 'nope'"),
        (START + "---\n" + START, 4, "expected a single document"),
        (START + NETWORK + "name: again\n", 6, "the key 'name' is given twice; remove one"),
        (START + CHOICES + "  w: {candidates: [8]}\n", 7, "the key 'w' is given twice; remove one"),
        (START + "choices:\n  w:\n    candidates:\n      1: {a: 2}\n      0x1: {a: 3}\n", 8, "'0x1' is given twice"),
        (START + "x: !!python/object/apply:os.system [ls]\n", 4, "has no place in a space file; remove it"),
        (START + "x: !!set {a, b}\n", 4, "has no place in a space file"),
        (START + "x: !!timestamp never\n", 4, "has no place in a space file"),
        (START + "x: !!bool maybe\n", 4, "cannot be read"),
        (START + "x: !!int ''\n", 4, "cannot be read"),
        (START + "? [a]\n: b\n", 4, "unhashable key"),
        (START + 'x: "\\ud800"\n', 4, "half a character; remove it"),
        (START + "x: \0\n", 4, "a character that may not stand there; remove it"),
        (START.encode() + b"x: \xff\n", 4, "it is not UTF-8 text; save it as UTF-8"),
        (START.encode("utf-16"), 1, "it is not UTF-8 text"),
        (START + "x: " + "[" * 100_000, 4, "nested deeper than 20; nest less"),
        (START + "x: " + "[" * 50 + "]" * 50, 4, "nested deeper than 20; nest less"),
        (START + "x: " + "{a: " * 50 + "}" * 50, 4, "nested deeper than 20; nest less"),
        (START + "x: &x [*x]\n", 4, "nested deeper than 20; nest less"),
        (START + "x: &x\n  <<: *x\n", 5, "nested deeper than 20; nest less"),
    ],
)
def test_what_is_no_space_file(tmp_path: Path, content: str | bytes, line: int, problem: str) -> None:
    message = refusal(tmp_path / "space.yaml", content)
    assert message.startswith(f":{line}: "), message
    assert problem in message


@pytest.mark.parametrize("form", ["[{}]", "{{<<: [{}]}}"])
def test_a_billion_laughs(tmp_path: Path, form: str) -> None:
    lines = [f"a0: &a0 {form.format('&b {x: 1}')}"]
    lines += [f"a{level}: &a{level} {form.format(', '.join([f'*a{level - 1}'] * 9))}" for level in range(1, 15)]
    message = refusal(tmp_path / "space.yaml", START + "\n".join(lines))
    assert "with its aliases it has more than 500000 values; write less" in message


def test_a_large_file(tmp_path: Path) -> None:
    assert "more than 1000000 bytes" in refusal(tmp_path / "space.yaml", "#" * 2_000_000)


@pytest.mark.parametrize(
    ("content", "line", "field", "problem"),
    [
        (NETWORK, 1, "spacecut", "it is missing; add it"),
        (START, 1, "network", "it is missing; add it"),
        (START + "netwrk: []\n", 4, "netwrk", "no such key; remove it, or check its spelling"),
        (START.replace("1", "2") + NETWORK, 1, "spacecut", "no version of the file format; give 1"),
        (START.replace("1", "true") + NETWORK, 1, "spacecut", "no version"),
        (START.replace("test", "5") + NETWORK, 2, "name", "it is no text; put it in quotes"),
        (START.replace("test", r'"a\nb"') + NETWORK, 2, "name", "one line"),
        (START.replace("3, 8, 8", "3, 224") + NETWORK, 3, "input", "give channels, height and width"),
        (START.replace("[3, 8, 8]", "5") + NETWORK, 3, "input", "give channels, height and width"),
        (START.replace("3", "-3") + NETWORK, 3, "input", "whole numbers from 1 to 1000000"),
        (START.replace("3", "3.0") + NETWORK, 3, "input", "whole numbers"),
        (START.replace("3", "true") + NETWORK, 3, "input", "whole numbers"),
        (START.replace("3", "0x" + "f" * 6000) + NETWORK, 3, "input", "whole numbers"),
        (START + "network: []\n", 4, "network", "it is empty; give at least one"),
        (START + "network: {}\n", 4, "network", "it is no list"),
        (START + "choices:\n" + NETWORK, 4, "choices", "it is no mapping; write {KEY: VALUE}, or {} for none"),
        (START + "definitions:\n  p: q + 1\n  q: p\n" + NETWORK, 5, "definitions.p", "p -> q -> p; break the circle"),
        (START + "definitions: {a: [1]}\n" + NETWORK, 4, "definitions.a", "it is a list; give a number"),
        (START + "definitions: {a: }\n" + NETWORK, 4, "definitions.a", "it is nothing; give a number"),
        (START + "definitions: {a: b}\n" + NETWORK, 4, "definitions.a", "unknown name 'b'"),
        (START + "definitions: {int: 3}\n" + NETWORK, 4, "definitions.int", "is a function; give it another name"),
        (START + "definitions: {in_width: 3}\n" + NETWORK, 4, "definitions.in_width", "size of a layer's input"),
        (START + CHOICES + "definitions: {w: 3}\n" + NETWORK, 7, "definitions.w", "'w' is a choice"),
        (START + "choices:\n" + MANY + "definitions:\n  a: c0 + c1 + c2\n" + NETWORK, 11, "definitions.a", "tie some"),
    ],
)
def test_what_is_wrong_in_the_document(tmp_path: Path, content: str, line: int, field: str, problem: str) -> None:
    check(tmp_path / "space.yaml", content, line, field, problem)


@pytest.mark.parametrize(
    ("choice", "field", "problem"),
    [
        ("w: 5", "w", "it is no mapping"),
        ("w: {}", "w.candidates", "it is missing"),
        ("w: {candidate: [1]}", "w.candidate", "no such key"),
        ("w: {candidates: []}", "w.candidates", "give at least one"),
        ("w: {candidates: 5..1}", "w.candidates", "give at least one"),
        ("w: {candidates: 5}", "w.candidates", "give a list, a range"),
        ("w: {candidates: 1..x}", "w.candidates", "'1..x' is no range; write FIRST..LAST"),
        ("w: {candidates: 1..9..0}", "w.candidates", "is no range"),
        ("w: {candidates: [1, 2, 1]}", "w.candidates", "the candidate 1 is given twice; remove one"),
        ("w: {candidates: [1, 1.0]}", "w.candidates", "the candidate 1.0 is given twice"),
        ("w: {candidates: [1, x]}", "w.candidates", "give all numbers, or put all in quotes"),
        ("w: {candidates: [2020-01-01, 3]}", "w.candidates", "give all numbers, or put all in quotes"),
        ("w: {candidates: [yes, no]}", "w.candidates[0]", "true is no candidate; give a number, or put the name in"),
        ("w: {candidates: [1, null]}", "w.candidates[1]", "it is nothing"),
        ("w: {candidates: [[1]]}", "w.candidates[0]", "it is a list"),
        ("w: {candidates: [.nan]}", "w.candidates[0]", "too large or no number"),
        ("w: {candidates: [-.inf]}", "w.candidates[0]", "too large or no number"),
        ("w: {candidates: [99999999999999999999]}", "w.candidates[0]", "too large"),
        ("w: {candidates: ['']}", "w.candidates[0]", "one line of printable characters"),
        ("w: {candidates: 0..10000000}", "w.candidates", "more than 10000 candidates; give a larger step"),
        ("w: {candidates: 99999999999999999998..99999999999999999999}", "w.candidates", "stay within"),
        (f"w: {{candidates: {list(range(10_001))}}}", "w.candidates", "more than 10000 candidates; leave some out"),
        ("w: {candidates: {1: {a: 2}, 2: {b: 3}}}", "w.candidates[2]", "the same attributes; give a"),
        ("w: {candidates: {1: {a: 2}, 2: {a: x}}}", "w.candidates", "'a' holds words and numbers; give one"),
        ("w: {candidates: {1: 2}}", "w.candidates[1]", "it is no mapping"),
        ("w: {candidates: [a, b], order: larger}", "w.order", "names have no larger; give chains"),
        ("w: {candidates: [a, b], order: bigger}", "w.order", "it is no order; write larger, none, or chains"),
        ("w: {candidates: [a, b], order: {a: b}}", "w.order", "it is no order"),
        ("w: {candidates: [a, b], order: [a, b]}", "w.order[0]", "it is no list"),
        ("w: {candidates: [a, b], order: [[a, c]]}", "w.order[0][1]", "no candidate 'c'; known: a, b"),
        ("w: {candidates: [1], attributes: 3}", "w.attributes", "it is no mapping"),
        ("w: {candidates: [1], attributes: {a: b, b: a}}", "w.attributes.a", "a -> b -> a; break the circle"),
        ("w: {candidates: [1], attributes: {a: b}}", "w.attributes.a", "unknown name 'b'"),
        ("w: {candidates: [1], attributes: {candidate: 3}}", "w.attributes.candidate", "the candidate itself"),
        ("w: {candidates: {1: {a: 2}}, attributes: {a: 3}}", "w.attributes.a", "an attribute already"),
        ("my choice: {candidates: [1]}", "my choice", "it is no name; use letters, digits and _"),
        ("relu: {candidates: [1]}", "relu", "is an activation; give it another name"),
        ("if: {candidates: [1]}", "if", "is a word of the language"),
        ("in_channels: {candidates: [1]}", "in_channels", "is the size of a layer's input"),
    ],
)
def test_what_is_wrong_in_a_choice(tmp_path: Path, choice: str, field: str, problem: str) -> None:
    content = f"{START}choices:\n  fine: {{candidates: [1]}}\n  {choice}\n{NETWORK}"
    check(tmp_path / "space.yaml", content, 6, f"choices.{field}", problem)


def test_lines_inside_of_a_choice(tmp_path: Path) -> None:
    content = f"{START}choices:\n  w:\n    candidates:\n      1: {{a: 2}}\n      2: {{a: [3]}}\n{NETWORK}"
    check(tmp_path / "space.yaml", content, 8, "choices.w.candidates[2].a", "it is a list")


@pytest.mark.parametrize(
    ("layer", "field", "problem"),
    [
        ("zero", "", "it is no mapping"),
        ("{}", "", "a layer has one key, its kind, not 0"),
        ("{zero: {}, add: {}}", "", "a layer has one key, its kind, not 2; split it"),
        ("zero:", ".zero", "it is no mapping; write {KEY: VALUE}, or {} for none"),
        ("zero: [1]", ".zero", "it is no mapping"),
        ("zero: {1: 2}", ".zero[1]", "it is no text"),
        (r'"zero\n": {}', ".zero ", "one line of printable characters"),
        ("conv3d: {}", ".conv3d", "unknown kind of layer 'conv3d'; did you mean conv2d?"),
        ("conv2d: {out_channels: 8}", ".conv2d", "conv2d needs the field 'kernel'; give it"),
        ("conv2d: {out_channels: 8, kernel: 3, kernl: 3}", ".conv2d.kernl", "no such field; did you mean kernel?"),
        ("conv2d: {out_channels: v, kernel: 3}", ".conv2d.out_channels", "unknown name 'v'"),
        ("conv2d: {out_channels: 0, kernel: 3}", ".conv2d.out_channels", "it is 0; give 1 to 1000000"),
        ("conv2d: {out_channels: w - 8, kernel: 3}", ".conv2d.out_channels", "'w - 8' gives 0; give 1 to"),
        ("conv2d: {out_channels: 8, kernel: -3}", ".conv2d.kernel", "it is -3; give 1 to 1000000"),
        ("conv2d: {out_channels: w * 0.5, kernel: 3}", ".conv2d.out_channels", "whole number; wrap it in int(...)"),
        ("conv2d: {out_channels: 8.0, kernel: 3}", ".conv2d.out_channels", "8.0 is not a whole number"),
        ("conv2d: {out_channels: true, kernel: 3}", ".conv2d.out_channels", "give a whole number"),
        ("conv2d: {out_channels: op, kernel: 3}", ".conv2d.out_channels", "give a whole number"),
        ("conv2d: {out_channels: w * 1000000, kernel: 3}", ".conv2d.out_channels", "gives 8000000; give 1 to"),
        ("conv2d: {out_channels: 1e999, kernel: 3}", ".conv2d.out_channels", "too large a number"),
        ("conv2d: {out_channels: .inf, kernel: 3}", ".conv2d.out_channels", "too large or no number"),
        ("conv2d: {out_channels: [w], kernel: 3}", ".conv2d.out_channels", "['w'] is no value"),
        ("conv2d: {out_channels: {w: 1}, kernel: 3}", ".conv2d.out_channels", "it is a dict"),
        ("conv2d: {out_channels: , kernel: 3}", ".conv2d.out_channels", "it is nothing"),
        ("conv2d: {out_channels: 2020-01-01, kernel: 3}", ".conv2d.out_channels", "cannot read the expression"),
        ("conv2d: {out_channels: 8 // (w - 8), kernel: 3}", ".conv2d.out_channels", "division by zero"),
        ("""conv2d: {out_channels: "__import__('os')", kernel: 3}""", ".conv2d.out_channels", "unknown function"),
        ("conv2d: {out_channels: w, kernel: 3, groups: 3}", ".conv2d.groups", "3 does not divide both 4 input and 8"),
        ("conv2d: {out_channels: 8, kernel: 3, activation: relux}", ".conv2d.activation", "did you mean relu?"),
        ("conv2d: {out_channels: 8, kernel: 3, activation: op}", ".conv2d.activation", "'op' gives conv; use one of"),
        ("conv2d: {out_channels: 8, kernel: 3, activation: 3}", ".conv2d.activation", "it is 3; use one of none, relu"),
        ("activation: {activation: none}", ".activation.activation", "use one of relu, relu6"),
        ("add: {inputs: [input, stem]}", ".add", "its inputs differ in channels (3 and 4); tie them or use 'when'"),
        ("add: {inputs: 5}", ".add.inputs", "no layer 5 before this one; known: input, previous, stem"),
        ("add: {inputs: []}", ".add.inputs", "it is no list of layer names; give at least one"),
        ("add: {inputs: [[stem]]}", ".add.inputs", "it is no list of layer names"),
        ("add: {inputs: [stemm]}", ".add.inputs", "no layer 'stemm' before this one; did you mean stem?"),
        ("zero: {inputs: [input, input]}", ".zero.inputs", "takes one input, not 2; add them first"),
        ("zero: {inputs: stem, input: stem}", ".zero.inputs", "'input' is given too; give one of them"),
        ("zero: {name: previous}", ".zero.name", "'previous' cannot name a layer"),
        ("zero: {name: 5}", ".zero.name", "5 cannot name a layer"),
        ("zero: {when: 3}", ".zero.when", "3 is no condition; compare, as in depth >= 3"),
        ("zero: {when: w}", ".zero.when", "'w' is no condition; compare"),
        ("zero: {when: op}", ".zero.when", "'op' is no condition; compare"),
        ("zero: {when: op == 3}", ".zero.when", "a word is compared with a number"),
        ("zero: {repeat: 0}", ".zero.repeat", "0 is no number of times; give 1 to 1000"),
        ("zero: {repeat: true}", ".zero.repeat", "True is no number of times"),
        ("zero: {repeat: w}", ".zero.repeat", "'w' is no number of times"),
        ("zero: {repeat: 1000000000}", ".zero.repeat", "1000000000 is no number of times; give 1 to 1000"),
        ("half: {}", ".half", "the parameter 'by' is missing; give it"),
        ("half: {by: 2, kernel: 3}", ".half.kernel", "block 'half' has no such parameter; known: by"),
        ("half: {by: 2, inputs: [input, input]}", ".half.inputs", "a block takes one input, not 2; keep one"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_layer(tmp_path: Path, layer: str, field: str, problem: str) -> None:
    block = "  half:\n    parameters: {by: null}\n    layers:\n      - conv2d: {out_channels: 8 // by, kernel: 1}\n"
    network = f"  - conv2d: {{out_channels: 4, kernel: 3, name: stem}}\n  - {layer}\n"
    content = f"{START}{CHOICES}blocks:\n{block}network:\n{network}"
    check(tmp_path / "space.yaml", content, 14, f"network[1]{field}", problem)


@pytest.mark.parametrize(
    ("blocks", "line", "field", "problem"),
    [
        ("a: {layers: [b: {}]}, b: {layers: [a: {}]}", 4, "network[0].a[0].b[0].a", "a -> b -> a; a block cannot hold"),
        ("a:\n    layers:\n      - zero: {wide: 3}", 7, "network[0].a[0].zero.wide", "zero has no such field"),
        ("a: {layers: []}", 4, "blocks.a.layers", "it is empty"),
        ("a: {}", 4, "blocks.a.layers", "it is missing"),
        ("conv2d: {layers: [zero: {}]}", 4, "blocks.conv2d", "is a kind of layer; give it another name"),
        ("a: {parameters: {when: 1}, layers: [zero: {}]}", 4, "blocks.a.parameters.when", "a field of every layer"),
        ("a: {layers: [b: {repeat: 999}]}, b: {layers: [zero: {repeat: 999}]}", 4, "network[0].a[0].b[0].zero",
         "the network has more than 10000 layers; repeat less"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_block(tmp_path: Path, blocks: str, line: int, field: str, problem: str) -> None:
    written = f"blocks:\n  {blocks}" if "\n" in blocks else f"blocks: {{{blocks}}}"
    content = f"{START}{written}\nnetwork:\n  - a: {{}}\n"
    check(tmp_path / "space.yaml", content, line, field, problem)


def test_blocks_nested_without_end(tmp_path: Path) -> None:
    blocks = [f"  b{level}: {{layers: [b{level + 1}: {{}}, b{level + 1}: {{}}]}}\n" for level in range(500)]
    content = f"{START}blocks:\n{''.join(blocks)}network:\n  - b0: {{}}\n"
    assert "blocks are nested deeper than 20; nest less" in refusal(tmp_path / "space.yaml", content)


def test_layers_of_too_many_combinations(tmp_path: Path) -> None:
    content = f"{START}choices:\n{MANY}network:\n  - conv2d: {{out_channels: c0, kernel: c1}}\n"
    check(
        tmp_path / "space.yaml", content + "  - zero: {when: c2 == c3}\n", 12, "network[1].zero", "depends on 3 choices"
    )
    more = "  - conv2d: {out_channels: c0, kernel: c1, repeat: 1000}\n"
    check(tmp_path / "space.yaml", content + more, 12, "network[1].conv2d", "more than 100000000 combinations")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere.yaml", "no space or file 'nowhere.yaml'; `spacecut spaces` lists the shipped ones"),
        ("metapruning/mobilenet_v3", "did you mean metapruning/mobilenet_v"),
        ("a\nb", "no space or file"),
        ("a\0b", "no space or file"),
        ("a" * 5000, "cannot be opened"),
        ("/", "no space file in the directory '/'"),
    ],
)
def test_what_is_no_file(name: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        load_space(name)
    assert problem in str(caught.value)
    assert str(caught.value).isprintable()
