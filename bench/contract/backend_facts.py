"""The plain facts about a backend, as `backend.toml` in its folder has them: what every world may know of it.

Standard library only. What a backend does stands beside it, in the functions of `bench.worker.backends.Backend`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from bench.contract.errors import UsageError
from bench.contract.paths import ROOT

FILE = "backend.toml"
PROCESSES = "BENCH_PROCESSES"  # the setting of a launch that says which of a backend's `processes` it takes


@dataclass(frozen=True)
class InputFacts:
    """An input of `fit` that a framework brings, as code to be pasted.

    `call` is the argument, in which `{batch}` stands for the batch size; `before` is what comes before the call.
    """

    call: str
    before: str


@dataclass(frozen=True)
class Finding:
    """A known way of a backend, under its `title` in docs/findings.md, and where parity's ladder meets it.

    `rung` is the first that parts. `layers` is a regular expression for the class of the layer and, where it has an
    activation, a space and its name; `weight` is one for the name of the weight, where it is a weight that parts.
    `rounded`: it is inaccuracy in rounded arithmetic, and not another computation, which exact mode shows too.
    `devices`: several devices compute something else than one does where the model has such a layer, wherever they
    part; the class of the layer is then the kind that `bench.worker.exact.devices.kind_of` gives it.
    `float32_inside`: it computes in float32 whatever it is asked, so that exact mode meets float32's rounding there.
    """

    title: str
    rung: str
    layers: str
    weight: str = ".*"
    rounded: bool = False
    float32_inside: bool = False
    devices: bool = False


@dataclass(frozen=True)
class Cause:
    """A known reason for a slow step, by which operations of a traced epoch it is known, and what helps.

    `layers`, `phase` and `operations` are regular expressions: for the class of the layer, for the pass, and for the
    operation's name. On this `device` they take at least `share` of the time of all. `what` names them in a sentence,
    `cure` says what to do and what it gained, `source` where that was measured.
    """

    device: str
    layers: str
    phase: str
    share: float
    what: str
    cure: str
    source: str
    operations: str = ".*"


@dataclass(frozen=True)
class BackendFacts:
    """What every world may know of a backend.

    name: as KERAS_BACKEND spells it, which is the folder's.
    trains: whether Keras can train on it, which its `loop.py` says.
    shares: whether it trains on several devices here, which its `devices.py` says.
    colour, symbol: how it is drawn: `#rrggbb`, at least 3 : 1 against white and black, and a marker of Plotly's.
    packages: modules whose versions are recorded, the framework's first.
    distributions: what a registry calls the packages that bring its framework, the one for a CPU first.
    no_memory: regular expressions for what it says when memory is out, in whatever case.
    foreign_settings: environment variables of a user's that are dropped: they would change precision, memory, waiting
        or what is computed.
    recorded_settings: environment variables of a user's that stay, and are recorded with the machine.
    compile_caches: environment variables that name folders of compiled code. Each launch has its own, empty ones, else
        its cold epoch would be as warm as an earlier launch has left them.
    findings: what is known of its ways, where parity's ladder meets it.
    causes: known reasons for a slow step.
    errors: words of an error of its own that a finding explains, to the finding's title.
    inputs: what its framework can hand to `fit`, by the name that `--inputs` takes; on other backends too, where their
        environment has the framework.
    processes: how several devices of one machine may be trained: by `one` process for all, or by `each` its own; the
        first is what is done where nothing else is asked for.
    lacking: numerics that it does not compute in, each with the reason.
    other_devices: what it makes of accelerators that are not measured, as words that follow its name.
    """

    name: str
    trains: bool
    shares: bool
    colour: str
    symbol: str
    packages: tuple[str, ...]
    distributions: tuple[str, ...]
    no_memory: tuple[str, ...]
    foreign_settings: tuple[str, ...]
    recorded_settings: tuple[str, ...]
    compile_caches: tuple[str, ...]
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...]
    errors: Mapping[str, str]
    inputs: Mapping[str, InputFacts]
    processes: tuple[str, ...]
    lacking: Mapping[str, str]
    other_devices: Mapping[str, str]


class Key(NamedTuple):
    """A key of the file: what is expected of it in words, and whether a value is that."""

    expected: str
    fits: Callable[[Any], bool]


def read(folder: Path) -> BackendFacts:
    """The facts in a backend's folder; UsageError, one line with file and key, where one is missing or wrong."""
    path = folder / FILE
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    given = {**OPTIONAL, **_parsed(path, shown)}
    for name, key in KEYS.items():
        if name not in given:
            raise UsageError(f"{shown}: {name} is missing, expected {key.expected}")
        if not key.fits(given[name]):
            raise UsageError(f"{shown}: {name} = {given[name]!r}, expected {key.expected}")
    for name in given.keys() - KEYS.keys():
        raise UsageError(f"{shown}: {name} is no key of it, known: {', '.join(KEYS)}")
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    inputs = {name: InputFacts(**value) for name, value in given["inputs"].items()}
    findings = tuple(Finding(**value) for value in given["findings"])
    causes = tuple(Cause(**value) for value in given["causes"])
    made = {**given, **lists, "inputs": inputs, "findings": findings, "causes": causes}
    trains, shares = ((folder / f"{part}.py").is_file() for part in ("loop", "devices"))
    return BackendFacts(folder.name, trains, shares, **made)


def _parsed(path: Path, shown: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror}; every backend has one") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"{shown}: not TOML: {error}") from None


def _text(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _each(fits: Callable[[Any], bool], least: int = 0) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) >= least and all(map(fits, value))


def _is_expression(value: Any) -> bool:
    try:
        return bool(value) and isinstance(value, str) and re.compile(value) is not None
    except re.error:
        return False


def _are_inputs(value: Any) -> bool:
    keys = {"call", "before"}
    return isinstance(value, dict) and all(_are_words(one) and one.keys() == keys for one in value.values())


def _is_finding(value: Any) -> bool:
    needed = {"title", "rung", "layers"}
    if not isinstance(value, dict) or not needed <= value.keys() <= needed | {"weight", *FLAGS}:
        return False
    words = {name: text for name, text in value.items() if name not in FLAGS}
    patterns = [text for name, text in words.items() if name in ("layers", "weight")]
    are_flags = all(isinstance(value.get(name, False), bool) for name in FLAGS)
    return are_flags and _are_words(words) and all(map(_is_expression, patterns))


def _is_cause(value: Any) -> bool:
    needed = {field.name for field in fields(Cause)}
    if not isinstance(value, dict) or not needed - {"operations"} <= value.keys() <= needed:
        return False
    words = {name: text for name, text in value.items() if name != "share"}
    patterns = [text for name, text in words.items() if name in ("layers", "phase", "operations")]
    return _is_share(value["share"]) and _are_words(words) and all(map(_is_expression, patterns))


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _are_words(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


FLAGS = "rounded", "float32_inside", "devices"  # of a finding
OPTIONAL: dict[str, Any] = {
    "compile_caches": [],
    "distributions": [],
    "findings": [],
    "causes": [],
    "errors": {},
    "inputs": {},
    "processes": [],
    "lacking": {},
    "other_devices": {},
}
SETTINGS = Key("a list of environment variables", _each(_text(r"[A-Z][A-Z0-9_]*")))
KEYS = {
    "colour": Key('a colour as "#0072b2"', _text("#[0-9a-f]{6}")),
    "symbol": Key('the name of a marker of Plotly\'s, as "circle"', _text("[a-z]+(-[a-z]+)*")),
    "packages": Key("a list of modules, the framework's first", _each(_text(r"[A-Za-z_][\w.]*"), least=1)),
    "distributions": Key("a list of packages, the one for a CPU first", _each(_text(r"[A-Za-z0-9][\w.-]*"))),
    "no_memory": Key("a list of regular expressions", _each(_is_expression)),
    "foreign_settings": SETTINGS,
    "recorded_settings": SETTINGS,
    "compile_caches": SETTINGS,
    "findings": Key("a list of tables, each with title, rung and layers, the last an expression", _each(_is_finding)),
    "causes": Key("a list of tables, each with the fields of Cause, share between 0 and 1", _each(_is_cause)),
    "errors": Key("a table of words, each with a finding's title", _are_words),
    "inputs": Key("a table of inputs, each with the texts call and before", _are_inputs),
    "processes": Key("a list of `one`, `each` or both", _each(_text("one|each"))),
    "lacking": Key("a table of numerics, each with the reason in words", _are_words),
    "other_devices": Key("a table of accelerators, each with words", _are_words),
}
