"""Entries drawn together as a space file writes them: an activation into the layer before it, batch norm into the
convolution, squeeze-and-excitation from pooling to the product.

Only where nothing else reads what is drawn in, whatever is chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spacecut.errors import InputError
from spacecut.integrations.nni.recording import Entry
from spacecut.operators.operator import LINEAR

__all__ = ["fused"]

_FUSING = (*LINEAR, "add")
_GATED = {"sigmoid": "swish", "hardsigmoid": "hardswish"}


def fused(entries: Sequence[Entry], output: int) -> tuple[list[Entry], int]:
    """The entries that reach the output, drawn together, and the number of the output's.

    Raises:
        InputError: A product that is no swish, hardswish or squeeze-and-excitation.
    """
    graph = _Graph([replace(entry, fields=dict(entry.fields)) for entry in entries], output)
    for number in range(len(entries)):
        graph.visit(number)
    return graph.compact()


@dataclass
class _Graph:
    entries: list[Entry]
    output: int

    def __post_init__(self) -> None:
        self.alias = {number: number for number in range(-1, len(self.entries))}
        self.readers: dict[int, int] = defaultdict(int)
        for number in self._reached():
            for source in self.entries[number].inputs:
                self.readers[source] += 1
        self.readers[self.output] += 1

    def _reached(self) -> list[int]:
        needed = {self.alias[self.output] if hasattr(self, "alias") else self.output}
        for number in range(len(self.entries) - 1, -1, -1):
            if number in needed:
                needed.update(source for source in self.entries[number].inputs if source >= 0)
        return sorted(number for number in needed if number >= 0)

    def visit(self, number: int) -> None:
        """Draw an entry into the one before it, if it can be."""
        entry = self.entries[number]
        entry.inputs = tuple(self.alias[source] for source in entry.inputs)
        if not self.readers[number]:
            return
        if entry.kind == "product":
            self._product(number, entry)
            return
        if entry.kind not in ("activation", "batch_norm") or entry.inputs[0] < 0:
            return
        source = self.entries[entry.inputs[0]]
        plain = source.kind in (_FUSING if entry.kind == "activation" else LINEAR) and "activation" not in source.fields
        if plain and self.readers[entry.inputs[0]] == 1:
            if entry.kind == "activation":
                source.fields["activation"] = entry.fields["activation"]
            self._stands_for(number, entry.inputs[0])

    def _stands_for(self, number: int, source: int) -> None:
        self.alias[number] = source
        self.readers[source] += self.readers[number] - 1

    def _product(self, number: int, entry: Entry) -> None:
        for value, gate in (entry.inputs, entry.inputs[::-1]):
            last = self.entries[gate] if gate >= 0 else None
            if last is None or self.readers[gate] != 1:
                continue
            if last.kind == "activation" and last.inputs == (value,) and last.fields["activation"] in _GATED:
                word = _GATED[str(last.fields["activation"])]
                self.entries[number] = replace(entry, kind="activation", inputs=(value,), fields={"activation": word})
                self.readers[value] -= 1
                self.visit(number)
                return
            if (chain := self._chain(gate)) is not None and self.entries[chain[0]].inputs == (value,):
                reduced = self.entries[chain[1]].fields["out_channels"]
                fields = {"reduced": reduced, "activation": last.fields["activation"]}
                self.entries[number] = replace(entry, kind="squeeze_excite", inputs=(value,), fields=fields)
                self.readers[value] -= 1
                return
        raise InputError(f"{entry.path}: a product that is no swish, hardswish or squeeze-and-excitation")

    def _chain(self, gate: int) -> list[int] | None:
        """Pooling and the two convolutions of a squeeze-and-excitation, the last with its gate."""
        chain = [gate]
        while len(chain) < 3:
            source = self.entries[chain[0]].inputs[0] if self.entries[chain[0]].inputs else -1
            if source < 0 or self.readers[source] != 1:
                return None
            chain.insert(0, source)
        kinds = [self.entries[number].kind for number in chain]
        words = [self.entries[number].fields.get("activation") for number in chain]
        if kinds != ["global_avg_pool", "conv2d", "conv2d"] or words[1] != "relu" or words[2] is None:
            return None
        return chain

    def compact(self) -> tuple[list[Entry], int]:
        """Only what reaches the output."""
        kept = self._reached()
        number = {old: new for new, old in enumerate(kept)} | {-1: -1}
        entries = [
            replace(self.entries[old], inputs=tuple(number[source] for source in self.entries[old].inputs))
            for old in kept
        ]
        return entries, number[self.alias[self.output]]
