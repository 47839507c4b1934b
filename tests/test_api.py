"""Runs from Python: what a notebook gives, and what it gets."""

import numpy as np
import pytest

import bench
from bench.contract.errors import UsageError

X, Y = np.zeros((64, 4), "float32"), np.zeros(64, "int64")


def build():
    import keras

    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


@pytest.fixture
def given(tmp_path, played):
    """Options of a run that is played back."""
    pythons = dict.fromkeys(("jax", "torch"), played)
    return {"python": pythons, "backends": ("jax", "torch"), "devices": ("cpu",), "output": tmp_path / "results"}


def test_a_live_function_and_arrays_are_compared(given, tmp_path, capsys):
    result = bench.compare(build, (X, Y), launches=3, parity=False, epochs=10, **given)
    (workload,) = result.analysis.run.description.workloads

    assert list(result.cases["backend"]) == ["jax", "torch"]
    assert len(result.comparisons) == 1
    assert set(result.epochs["backend"]) == {"jax", "torch"}
    assert not result.report.exists()  # until it is looked at
    assert "torch" in result.verdict
    assert "<table>" in result._repr_html_()
    assert result.report.is_file()
    assert workload.workload.endswith("/build.py")
    assert "trained as the function compiles it" in capsys.readouterr().out
    assert len([*(tmp_path / "results" / "notebook").glob("data-*.npz")]) == 1


def test_the_same_arrays_and_function_are_written_once(given, tmp_path):
    for _ in range(2):
        bench.compare(build, {"x_train": X, "y_train": Y}, launches=1, parity=False, **given)

    assert len([*(tmp_path / "results" / "notebook").iterdir()]) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"launchs": 3}, "unexpected keyword argument 'launchs'; RunOptions has the names"),
        ({"launches": 0}, "--launches 0"),
        ({"dry_run": True}, "dry_run: a plan alone has no result"),
        ({"build": None}, "expected a function that returns a model, a file or a workload's name, or script=PATH"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(given, options, words):
    with pytest.raises(UsageError, match=words):
        bench.compare(**{"build": "mlp", "parity": False, **given, **options})


def test_a_script_is_compared_as_it_is(given, tmp_path):
    script = tmp_path / "train.py"
    script.write_text("import keras\nmodel = keras.Sequential()\nmodel.fit(1, 2)\n")
    result = bench.compare(script=script, launches=3, **given)

    assert set(result.cases["track"]) == {"shipped"}
    assert len(result.comparisons) == 1


def test_data_of_another_form_is_refused(given):
    with pytest.raises(UsageError, match="data: expected two or four arrays"):
        bench.compare(build, (X,), **given)


def test_nothing_else_is_found_in_the_package():
    with pytest.raises(AttributeError, match="no attribute 'compares'"):
        bench.compares  # noqa: B018 - the look is what fails
