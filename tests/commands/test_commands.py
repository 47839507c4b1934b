"""A command is one file."""

import subprocess
import sys

import pytest

from bench import commands
from bench.__main__ import find_commands, main
from bench.contract.paths import ROOT

GREET = """
HELP = "say hello to somebody"


def add_arguments(parser):
    parser.add_argument("--name", default="you")


def main(given):
    print(f"hello, {given.name}")
    return 3
"""


@pytest.fixture
def dropped(tmp_path, monkeypatch):
    """A file in the folder of commands, which is all that is done for it."""
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    (tmp_path / "greet.py").write_text(GREET)
    (tmp_path / "_shared.py").write_text("")
    yield
    sys.modules.pop("bench.commands.greet", None)


@pytest.mark.usefixtures("dropped")
def test_a_file_in_the_folder_is_a_command(capsys):
    assert main(["greet", "--name=Ada"]) == 3
    assert capsys.readouterr().out == "hello, Ada\n"


@pytest.mark.usefixtures("dropped")
def test_the_help_has_the_line_of_every_file(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())

    assert "greet say hello to somebody" in told
    assert "report rebuild a run's tables and report from its records" in told
    assert "_shared" not in told


def test_a_missing_command_is_refused_in_one_line(capsys):
    assert main([]) == 2
    assert capsys.readouterr().err == "bench: the following arguments are required: COMMAND\n"


@pytest.mark.parametrize("name", find_commands())
def test_a_bare_interpreter_shows_a_commands_help(name):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bench.__main__ import main; main([{name!r}, '--help'])"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m bench {name} ")
