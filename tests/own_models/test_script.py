"""A training script of the user's own: looked at, and given a file by which launches know it. Nothing is run."""

import ast
import json

import pytest

from bench.contract.errors import UsageError
from bench.plan.parse import parse_run

TEXT = "import keras\nmodel = keras.Sequential()\nmodel.fit(1, 2)\n"


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(TEXT)
    return path


def test_a_script_is_the_one_workload_of_its_run(script, tmp_path):
    given = parse_run([f"--script={script}", f"--output={tmp_path}", "--profile=quick"])
    (adopted,) = given.adopted

    assert given.workloads == (adopted.path,)
    assert adopted.path.endswith("/train.py")
    assert f"Script({str(script)!r}, sha256=" in adopted.text
    assert (given.tracks, given.numerics, given.parity, given.tasks) == (("shipped",), ("float32",), False, ("train",))
    assert adopted.said.startswith("train.py: a training script of your own")


def test_words_after_a_script_are_its_own(script, tmp_path):
    (one,) = parse_run([f"--script={script} --rate 0.1 'a b'", "--fit=2", f"--output={tmp_path}"]).adopted
    spaced = tmp_path / "my train.py"
    spaced.write_text(TEXT)
    (other,) = parse_run([f"--script={spaced}", f"--output={tmp_path}"]).adopted

    assert "arguments=('--rate', '0.1', 'a b'), fit=2)" in one.text
    assert one.said.startswith(
        "train.py --rate 0.1 'a b': a training script of your own, run as it is up to its fit num"
    )
    assert f"Script({str(spaced)!r}, " in other.text


def test_another_script_is_another_workload(script, tmp_path):
    before = parse_run([f"--script={script}", f"--output={tmp_path}"]).workloads
    script.write_text(TEXT + "# more\n")

    assert parse_run([f"--script={script}", f"--output={tmp_path}"]).workloads != before


def test_of_a_notebook_the_python_is_kept(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["model.fit"]},
        {"cell_type": "code", "source": ["%pip install keras\n", "if True:\n", "    !ls\n"]},
        {"cell_type": "code", "source": "%%bash\necho"},
        {"cell_type": "code", "source": "model.fit(1)"},
    ]
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": cells}))
    (adopted,) = parse_run([f"--script={tmp_path / 'train.ipynb'}", f"--output={tmp_path}"]).adopted
    (source,) = [one.value.value for one in ast.walk(ast.parse(adopted.text)) if getattr(one, "arg", "") == "source"]

    assert source.splitlines() == [
        "pass  # %pip install keras",
        "if True:",
        "    pass  # !ls",
        "",
        "model.fit(1)",
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [("import work", "model.fit(1)"), ("from package.work import go", "model.fit(1)\nmodel.evaluate(1)")],
)
def test_a_fit_in_a_module_beside_a_script_is_its_own(tmp_path, first, second):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "work.py").write_text("from . import inner\n")
    (tmp_path / "package" / "inner.py").write_text(second)
    (tmp_path / "work.py").write_text("import train, broken, numpy\n" + second)
    (tmp_path / "broken.py").write_text("def broken(:")
    (tmp_path / "train.py").write_text(first + "\n")
    (adopted,) = parse_run([f"--script={tmp_path / 'train.py'}", f"--output={tmp_path}"]).adopted

    assert ("evaluates=True" in adopted.text) is ("evaluate" in second)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("train.py", None, "there is no script"),
        ("train.txt", TEXT, "ends in .py or .ipynb"),
        ("train.py", "def broken(:\n", "line 1: "),
        ("train.py", "import keras\n", "calls no fit()"),
        ("train.ipynb", "{}", "cannot be read"),
        ("train.ipynb", "none", "cannot be read"),
        ("train.py --title 'a", TEXT, "cannot be split into words"),
    ],
)
def test_what_is_no_training_script_is_refused_in_one_line(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name.split()[0]).write_text(text)
    with pytest.raises(UsageError) as error:
        parse_run([f"--script={tmp_path / name}"])

    assert str(error.value).startswith("--script: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--workloads=mlp", "--workloads: a script says itself"),
        ("--dataset=fashion_mnist", "--dataset: a script says itself"),
        ("--loss=mse", "--loss: a script says itself"),
        ("--batch-size=8", "--batch-size: a script says itself"),
        ("--samples=8", "--samples: a script says itself"),
        ("--numerics=bfloat16", "--numerics: a script says itself"),
        ("--tasks=predict", "--tasks: a script says itself"),
        ("--to-target", "--to-target: a script says itself"),
        ("--tracks=fit", "--tracks fit: a script is trained as it is"),
    ],
)
def test_what_a_script_says_itself_is_not_asked_besides(script, option, said):
    with pytest.raises(UsageError, match=said):
        parse_run([f"--script={script}", option])


def test_which_fit_is_asked_of_a_script_alone(script):
    with pytest.raises(UsageError, match="--fit: says which fit of a --script"):
        parse_run(["--fit=2"])
    with pytest.raises(UsageError, match="--fit 0"):
        parse_run([f"--script={script}", "--fit=0"])
