"""The programs of docs/findings.md print what stands below them."""

import json
import os
import re
import subprocess
import sys

import pytest

from bench.contract.paths import ROOT

RUNNER = """
import contextlib, io, json, sys
import keras

printed = []
for program in json.load(sys.stdin):
    keras.config.set_floatx("float32")
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(program, "finding", "exec"), {"__name__": "__main__"})
    printed.append(output.getvalue().strip())
print(json.dumps(printed))
"""
FINDINGS = dict(
    re.findall(
        r"^### ([^\n]*)\n(?:(?!^#).)*?^```python\n(.*?)^```", (ROOT / "docs" / "findings.md").read_text(), re.M | re.S
    )
)


@pytest.fixture(scope="module")
def printed(request):
    """What each program prints on the backend, by its finding."""
    environment = {**os.environ, "KERAS_BACKEND": request.config.getoption("backend"), "JAX_ENABLE_X64": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(list(FINDINGS.values())),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(FINDINGS, json.loads(done.stdout.splitlines()[-1]), strict=True))


def same(found, said):
    """Equal words; a number behind the word `error` within a factor of three."""
    ours, theirs = found.split(), said.split()
    return len(ours) == len(theirs) and all(
        float(theirs[at]) / 3 <= float(ours[at]) <= 3 * float(theirs[at])
        if at and theirs[at - 1] == "error"
        else ours[at] == theirs[at]
        for at in range(len(ours))
    )


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_prints_what_the_page_says(name, printed, backend_name):
    said = dict(re.findall(r"^# (\w+): (.*)$", FINDINGS[name], re.MULTILINE))

    assert same(printed[name], said[backend_name]), printed[name]


def test_an_error_alone_may_be_three_times_what_is_said():
    assert same("float64 error 3e-08", "float64 error 1e-08")
    assert not same("float64 error 4e-08", "float64 error 1e-08")
    assert not same("0.1001", "0.1000")
    assert not same("0.1", "0.1 0.2")


def test_every_program_of_the_page_is_run():
    assert len(FINDINGS) == (ROOT / "docs" / "findings.md").read_text().count("```python")
