"""Where the instructions of a program that XLA compiled come from: their scopes, for the two backends that use XLA."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.worker.backends.spans import UPDATED, last_of

INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*)$")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) .*\{$")
REFERENCE = re.compile(r"%([\w.-]+)")
OP_NAME = re.compile(r'op_name="([^"]*)"')
SUFFIX = re.compile(r"^(wrapped_)?(.*?)(\.\d+)*$")


class Instruction(NamedTuple):
    """Its path of scopes, empty where XLA has put it in, and the names of what it uses and calls."""

    op_name: str
    uses: Sequence[str]


class Program:
    """A compiled program, which says of an instruction what it is called and in which scopes it stands.

    Args:
        instructions: by name; names are unique in a program.
        computations: the names of the instructions in each computation, the last its root.
    """

    def __init__(self, instructions: Mapping[str, Instruction], computations: Mapping[str, Sequence[str]]) -> None:
        self._instructions, self._computations = instructions, computations
        self._own = {name: self._path(one) for name, one in instructions.items()}
        self._paths = self._spread()

    def place(self, name: str) -> tuple[str, str]:
        """What an instruction is called and its path of scopes, empty where neither it nor what is near it has one."""
        own = self._own.get(name)
        return last_of(own) if own else plain(name), self._paths.get(name, "")

    def _path(self, instruction: Instruction) -> str:
        """Its own path, or that of what it calls: a fusion has that of its root, or of the last within."""
        within = [
            self._instructions[one].op_name
            for called in instruction.uses
            for one in reversed(self._computations.get(called, ()))
        ]
        return next((path for path in (instruction.op_name, *within) if "/" in path), "")

    def _spread(self) -> Mapping[str, str]:
        """The paths of all instructions; what XLA has put in has that of what it was put in for.

        Which is where its result goes. A result that goes into the update alone is a gradient, and belongs to where it
        comes from. What uses nothing, as the batch, says nothing of what it is used for.
        """
        paths = {name: path for name, path in self._own.items() if path}
        uses = {name: one.uses for name, one in self._instructions.items()}
        users: dict[str, list[str]] = {}
        for name, used in uses.items():
            for one in used:
                users.setdefault(one, []).append(name)
        inner = [name for name, used in uses.items() if used]
        for names, neighbours, is_guide in ((inner, users, is_no_update), (inner, uses, bool), (uses, users, bool)):
            while found := {
                name: path
                for name in names
                if name not in paths
                for path in [next((paths[one] for one in neighbours.get(name, ()) if is_guide(paths.get(one))), "")]
                if path
            }:
                paths |= found
        return paths


def is_no_update(path: str | None) -> bool:
    """Whether there is a path, and one that is not of the optimizer."""
    return bool(path) and not UPDATED.search(path or "")


def plain(name: str) -> str:
    """The name of an instruction as it is counted: without its number, and without what says that it is alone."""
    found = SUFFIX.match(name)
    return found[2] if found and found[2] else name


def from_text(text: str) -> Program:
    """A program from what XLA prints of it."""
    instructions: dict[str, Instruction] = {}
    computations: dict[str, list[str]] = {}
    names: list[str] = []
    for line in text.splitlines():
        if found := INSTRUCTION.match(line):
            name, rest = found.groups()
            path = OP_NAME.search(rest)
            instructions[name] = Instruction(path[1] if path else "", REFERENCE.findall(rest))
            names.append(name)
        elif found := COMPUTATION.match(line):
            names = computations.setdefault(found[1], [])
    return Program(instructions, computations)
