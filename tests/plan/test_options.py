"""The command line's words."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.contract.catalog import names_of, workload_modules, workload_names
from bench.contract.errors import UsageError
from bench.contract.paths import ROOT
from bench.plan.options import MOST_UNTIL, CalibrateOptions, ParityOptions, RunOptions
from bench.plan.parse import parse_calibrate, parse_parity, parse_run


def fault(*arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_run(arguments)
    return str(caught.value)


def test_without_options_the_default_profile_decides():
    options = parse_run([])

    assert options.workloads == ("mlp", "cnn")
    assert options.backends == ("jax", "tensorflow", "torch")
    assert (options.launches, options.epochs, options.devices) == (5, None, None)
    assert options.reference == "jax"


def test_an_option_beats_the_profile():
    options = parse_run(["--profile", "quick", "--launches", "4", "--epochs", "7"])

    assert (options.launches, options.epochs) == (4, 7)


def test_all_workloads_can_be_asked_for_in_one_word():
    assert parse_run(["--workloads", "all"]).workloads == parse_run(["--profile", "full"]).workloads


def test_a_name_given_twice_counts_once():
    assert parse_run(["--workloads", "mlp,cnn,mlp"]).workloads == ("mlp", "cnn")


def test_each_variant_of_a_workload_is_listed_by_a_name_of_its_own():
    names = ("activations-relu", "activations-sigmoid", "activations-tanh")

    assert names_of("activations") == names
    assert {*names} < {*workload_names()}
    assert "activations" in workload_modules()
    assert "activations" not in workload_names()


def test_a_workload_without_variants_has_its_modules_name():
    assert names_of("mlp") == ("mlp",)


def test_a_name_with_variants_stands_for_all_of_them():
    named = parse_run(["--workloads", "activations-tanh,mlp,activations"]).workloads

    assert named == ("activations-tanh", "mlp", "activations-relu", "activations-sigmoid")


def test_a_variant_is_chosen_by_its_name():
    assert parse_run(["--workloads", "activations-sigmoid"]).workloads == ("activations-sigmoid",)


@pytest.mark.parametrize(
    ("arguments", "passed", "known", "nearest"),
    [
        (["--workloads", "mlq"], "'mlq'", "perceptron", "mlp"),
        (["--workloads", "activations-tan"], "'activations-tan'", "activations-relu", "activations-tanh"),
        (["--workloads", "mlp-tanh"], "'mlp-tanh'", "activations-tanh", None),
        (["--backends", "pytorch"], "'pytorch'", "tensorflow", "torch"),
        (["--devices", "gpus"], "'gpus'", "cpu", "gpu"),
        (["--profile", "fast"], "'fast'", "quick", None),
        (["--reference", "jaxx"], "'jaxx'", "torch", "jax"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones_and_the_nearest(arguments, passed, known, nearest):
    message = fault(*arguments)

    assert passed in message
    assert known in message
    assert "\n" not in message
    assert nearest is None or message.endswith(f"did you mean {nearest}?")


@pytest.mark.parametrize(
    "arguments",
    [["--epochs", "1"], ["--launches", "0"], ["--samples", "many"], ["--batch-size", "-5"], ["--workloads", ","]],
)
def test_a_value_out_of_range_is_refused_in_one_line(arguments):
    message = fault(*arguments)

    assert "\n" not in message
    assert arguments[0] in message


def test_fewer_than_two_epochs_are_refused_because_the_first_is_cold():
    assert "at least 2" in fault("--epochs", "1")


def test_a_reference_outside_the_run_is_refused():
    assert "torch" in fault("--backends", "jax,tensorflow", "--reference", "torch")


def test_without_jax_the_first_backend_is_the_reference():
    assert parse_run(["--backends", "torch,tensorflow"]).reference == "torch"


def test_an_environment_of_ones_own_keeps_its_path_unresolved(tmp_path):
    link = tmp_path / "python"
    link.symlink_to(sys.executable)

    assert parse_run(["--python", f"jax={link}"]).python == {"jax": link}


@pytest.mark.parametrize("text", ["jax", "jax=", "jaks=/usr/bin/python3", "jax=/nowhere/python"])
def test_an_environment_that_cannot_be_is_refused(text):
    assert "--python" in fault("--python", text)


def test_two_workloads_of_one_name_are_refused(tmp_path):
    (tmp_path / "mlp.py").write_text("")

    assert "two are called mlp" in fault("--workloads", f"mlp,{tmp_path / 'mlp.py'}")


def test_a_seed_that_numpy_would_refuse_is_refused_before():
    assert "--seed" in fault("--seed", str(2**32 - 3))
    assert parse_run(["--seed", str(2**32 - 5)]).seed == 2**32 - 5


def test_a_missing_workload_file_is_refused(tmp_path):
    assert "there is no workload file" in fault("--workloads", str(tmp_path / "mine.py"))


def test_the_command_ends_with_status_2_and_one_line_and_writes_nothing(tmp_path):
    output = tmp_path / "results"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "--workloads", "mlpp", "--output", str(output)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert not output.exists()


def test_the_options_need_the_standard_library_only():
    """The noxfile checks them in nox's interpreter, before any environment exists."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import bench.plan.options, bench.machine, bench.machine.environments"],
        capture_output=True,
        text=True,
        cwd=Path(ROOT),
        check=False,
    )

    assert done.stderr == ""


def test_parity_takes_the_whole_registry_exact_mode_and_float32():
    options = parse_parity([])

    assert options.workloads == parse_run(["--profile", "full"]).workloads
    assert options.numerics == ("float64", "float32")
    assert (options.steps, options.seeds) == (300, (0,))


def test_exact_mode_is_always_climbed():
    assert parse_parity(["--numerics", "bfloat16"]).numerics == ("float64", "bfloat16")
    assert parse_parity(["--numerics", "float64"]).numerics == ("float64",)
    assert parse_parity(["--numerics", "all"]).numerics == ("float64", "float32", "tf32", "bfloat16", "float16")


def test_numerics_and_inputs_come_in_a_fixed_order():
    assert (parse_run([]).numerics, parse_run([]).inputs) == (None, ("arrays",))
    assert parse_run(["--numerics", "float16,float32"]).numerics == ("float32", "float16")
    assert parse_run(["--inputs", "all"]).inputs == ("arrays", "PyDataset", "tf.data", "DataLoader", "resident")
    assert "did you mean bfloat16" in fault("--numerics", "bfloat")
    assert "known: arrays" in fault("--inputs", "csv")


def test_float64_is_timed_where_it_is_asked_for():
    assert parse_run(["--numerics", "float64,float32"]).numerics == ("float32", "float64")
    assert parse_run(["--workloads", "mlp"]).numerics is None


def test_the_seeds_of_parity_are_counted_from_the_first_on():
    assert parse_parity(["--seeds", "3", "--seed", "7"]).seeds == (7, 8, 9)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--numerics", "float8"], "unknown numerics 'float8'"),
        (["--steps", "0"], "expected a whole number of at least 1"),
        (["--seeds", "-1"], "expected a whole number of at least 1"),
        (["--seed", str(2**32 - 1), "--seeds", "2"], "the seeds would pass"),
        (["--launches", "3"], "unrecognized arguments: --launches 3"),
    ],
)
def test_what_parity_cannot_do_is_refused_in_one_line(arguments, said):
    with pytest.raises(UsageError, match=said):
        parse_parity(arguments)


def test_parity_before_a_run_can_be_left_out():
    assert parse_run([]).parity
    assert not parse_run(["--no-parity"]).parity


def test_a_single_backend_has_nobody_to_agree_with():
    with pytest.raises(UsageError, match="name at least two"):
        parse_parity(["--backends", "jax"])


def test_options_made_in_python_are_those_of_the_command_line():
    given = RunOptions(workloads=("mlp",), backends=("jax", "torch"), launches=3)

    assert given == parse_run(["--workloads=mlp", "--backends=jax,torch", "--launches=3"])
    assert (RunOptions(), ParityOptions(), CalibrateOptions()) == (
        parse_run([]),
        parse_parity([]),
        parse_calibrate([]),
    )


def test_every_word_of_the_command_line_is_an_option_in_python(tmp_path):
    python = {"jax": Path(sys.executable)}
    asked = {"tasks": ["predict", "train"], "tracks": ["native", "fit"], "numerics": ["tf32"], "inputs": ["arrays"]}
    amounts = {"epochs": 4, "samples": 640, "batch_sizes": [32, 64], "within": 0.03, "budget_seconds": 1200.0}
    given = RunOptions(python=python, output=tmp_path, to_target=True, parity=False, dry_run=True, **asked, **amounts)
    words = ["--tasks=predict,train", "--tracks=native,fit", "--numerics=tf32", "--inputs=arrays", "--epochs=4"]
    words += ["--samples=640", "--batch-size=32,64", "--within=3%", "--budget=20m", "--to-target", "--no-parity"]

    assert given == parse_run([*words, f"--python=jax={sys.executable}", f"--output={tmp_path}", "--dry-run"])


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (RunOptions, {"workloads": ("mlq",)}, "--workloads: unknown workload 'mlq', known: "),
        (RunOptions, {"workloads": "mlp"}, "--workloads: expected a list, such as ('mlp',)"),
        (RunOptions, {"workloads": [["mlp"]]}, "--workloads ['mlp']: expected a name or a number"),
        (RunOptions, {"workloads": ()}, "--workloads: an empty list"),
        (RunOptions, {"backends": ("jaxx",)}, "did you mean jax?"),
        (RunOptions, {"launches": 0}, "--launches 0: expected a whole number of at least 1"),
        (RunOptions, {"launches": "3"}, "--launches '3': expected a whole number of at least 1"),
        (RunOptions, {"seed": None}, "--seed None: expected a whole number of at least 0"),
        (RunOptions, {"epochs": 1}, "--epochs 1: expected a whole number of at least 2"),
        (RunOptions, {"batch_sizes": (32, 0)}, "--batch-size 0: expected a whole number of at least 1"),
        (RunOptions, {"within": 3}, "--within 3: expected a share between 0 and 1"),
        (RunOptions, {"within": 0.03, "launches": 5}, "it is the pilot, at least 6"),
        (RunOptions, {"until": "sure"}, "--until: unknown end 'sure', known: decided"),
        (
            RunOptions,
            {"until": "decided", "launches": 2},
            "--launches 2: with --until decided it is the most, at least 3",
        ),
        (
            RunOptions,
            {"until": "decided", "within": 0.03},
            "--within: orders a precision, and --until decided a verdict",
        ),
        (RunOptions, {"fail_slower": 0.1}, "--fail-slower: says how much slower a variant may be"),
        (RunOptions, {"fail_slower": 10, "vary": "keras=3.14.1,3.15.1"}, "--fail-slower 10: expected a share"),
        (RunOptions, {"budget_seconds": "20m"}, "--budget '20m': expected a number of seconds above 0"),
        (RunOptions, {"to_target": "yes"}, "--to-target 'yes': expected True or False"),
        (RunOptions, {"python": {"jax": "/nowhere/python"}}, "--python jax=/nowhere/python: there is no file"),
        (RunOptions, {"dataset": "mnits"}, "--dataset: unknown data set 'mnits'"),
        (CalibrateOptions, {"launches": 11}, "--launches 11: expected a whole number of at least 12"),
        (ParityOptions, {"launches": 0}, "--seeds 0: expected a whole number of at least 1"),
        (ParityOptions, {"backends": ["jax"]}, "name at least two"),
    ],
)
def test_options_that_cannot_be_are_refused_in_python_too(kind, given, said):
    with pytest.raises(UsageError) as caught:
        kind(**given)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_until_it_is_sure_is_no_pilot_and_its_budget_only_ends_it():
    options = parse_run(["--until=decided", "--budget=20m"])

    assert not options.ordered
    assert options.launches == MOST_UNTIL
    assert parse_run(["--until=decided", "--launches=5"]).launches == 5


def test_options_made_from_others_keep_the_model_of_the_users_own(tmp_path):
    (tmp_path / "build.py").write_text("import keras\n\ndef build():\n    return keras.Sequential()\n")
    given = RunOptions(workloads=(f"{tmp_path}/build.py",), dataset="fashion_mnist", output=tmp_path)
    (tmp_path / "build.py").unlink()

    assert replace(given, launches=7).adopted == given.adopted
    assert replace(given, launches=7).workloads == given.workloads == (given.adopted[0].path,)


@pytest.mark.parametrize("word", ["--launches=5", "--seed=0", "--batch-size=32", "--no-parity", "--budget=20m"])
def test_no_option_goes_with_resume_and_it_is_named_as_it_was_typed(word):
    option = word.partition("=")[0]

    assert fault("--resume=latest", word).startswith(f"{option}: a run goes on with the options it was started with")
