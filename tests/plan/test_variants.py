"""What varies: read from the command line, and what becomes of it in the plan."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.repositories import git

from bench.contract.backend_facts import PROCESSES
from bench.contract.case import in_turns
from bench.contract.errors import UsageError
from bench.contract.run_json import Target, Workload
from bench.own_models import revisions
from bench.plan.cases import plan
from bench.plan.parity import plan_ladders
from bench.plan.parse import parse_run
from bench.plan.planned import Limits
from bench.plan.schedule import schedule

TARGET = Target(metric="accuracy", value=None, source="", margin=0.005)


def described(*names, **changes):
    """Descriptions of small workloads."""
    sizes = {"train_samples": 640, "test_samples": 128, "batch_size": 64, "epochs": 3, "quick_samples": 640}
    return [Workload(workload=name, dataset="made up", target=TARGET, **{**sizes, **changes}) for name in names]


@pytest.fixture
def files(tmp_path):
    """Two workload files of the user's."""
    text = "from models import Workload\nworkload = Workload\n"
    paths = [tmp_path / f"{name}.py" for name in ("old", "new")]
    for path in paths:
        path.write_text(text)
    return paths


def test_versions_of_a_package_are_variants_on_every_backend():
    options = parse_run(["--workloads=mlp", "--vary=keras=3.14.1,3.15.1"])

    assert [one.name for one in options.variants] == ["keras=3.14.1", "keras=3.15.1"]
    assert [one.pins for one in options.variants] == [("keras==3.14.1",), ("keras==3.15.1",)]
    assert options.backends == ("jax", "tensorflow", "torch")


def test_another_package_may_take_its_place():
    (_, nightly) = parse_run(["--vary=keras=3.15.1,keras-nightly==3.16.0.dev2026112803"]).variants

    assert nightly.pins == ("keras-nightly==3.16.0.dev2026112803",)
    assert nightly.name == "keras-nightly=3.16.0.dev2026112803"


def test_versions_of_a_framework_are_variants_of_its_backend_alone():
    options = parse_run(["--vary=torch=2.13.0,2.15.0"])

    assert options.backends == ("torch",)
    assert options.reference == "torch"


def test_values_of_an_environment_variable_are_variants():
    first, second = parse_run(["--vary=env:XLA_FLAGS_OF_MINE=,--xla_a=1 --xla_b=2"]).variants

    assert first.settings == {"XLA_FLAGS_OF_MINE": ""}
    assert second.settings == {"XLA_FLAGS_OF_MINE": "--xla_a=1 --xla_b=2"}


def test_interpreters_with_names_are_variants(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).touch()
    options = parse_run([f"--python=jax@old={tmp_path / 'a'}", f"--python=jax@new={tmp_path / 'b'}"])

    assert [(one.name, dict(one.pythons)) for one in options.variants] == [
        ("old", {"jax": tmp_path / "a"}),
        ("new", {"jax": tmp_path / "b"}),
    ]
    assert options.backends == ("jax",)


def test_files_are_variants_and_say_what_is_trained(files):
    options = parse_run([f"--vary=workload={files[0]},{files[1]}"])

    assert options.workloads == tuple(map(str, files))
    assert [one.name for one in options.variants] == ["workload=old", "workload=new"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--vary=keras"], "--vary keras: expected keras=3.14.1,3.15.1"),
        (["--vary=keras=3.15.1"], "--vary keras=3.15.1: names 1 variant"),
        (["--vary=keras=3.15.1,"], "names 1 variant"),
        (["--vary=keras=3.15.1,3.15.1"], "keras=3.15.1: two variants are called so"),
        (["--vary=keras=3.15.1,newest"], "'newest' is no version"),
        (["--vary=env:A=1"], "names a single variant"),
        (["--vary=env:A B=1,2"], "'A B' is no environment variable"),
        (["--vary=env:TORCHINDUCTOR_CACHE_DIR=a,b"], "is set by the suite itself"),
        (["--vary=env:BENCH_PROCESSES=one,each"], "is set by the suite itself"),
        (["--vary=jax=0.10.1,0.10.2", "--backends=jax,torch"], "--backends torch: what varies concerns jax alone"),
        (["--vary=keras=3.14.1,3.15.1", "--explain"], "--explain: explains no variants"),
        (["--vary=workload=old.py,new.py", "--workloads=mlp"], "--workloads: --vary workload=old.py,new.py says"),
        (["--vary=workload=none.py,new.py"], "none.py"),
        (["--vary=keras=3.14.1,3.15.1", "--python=jax=/bin/sh"], "--python jax: versions are installed over"),
        (["--python=jax@old=/bin/sh"], "--python jax@old: a single variant; name another one's environment too"),
        (["--python=jax@o/d=/bin/sh"], "expected BACKEND@NAME=PATH"),
        (["--python=numpy@old=/bin/sh"], "unknown backend 'numpy'"),
    ],
)
def test_what_cannot_vary_is_refused_in_a_line(words, reason):
    with pytest.raises(UsageError) as caught:
        parse_run(words)

    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_backend_has_a_case_of_each_variant_and_they_take_turns():
    cases = plan(parse_run(["--vary=keras=3.14.1,3.15.1"]), described("mlp"), [])

    assert len(cases) == 6
    assert len({in_turns(one.case) for one in cases}) == 1
    order = [one.case.variant for one in schedule(cases, 0)][:12]
    assert order[:6] != order[6:]


def test_files_take_turns_though_each_is_a_workload(files):
    options = parse_run([f"--vary=workload={files[0]},{files[1]}", "--backends=jax"])
    cases = plan(options, described(*map(str, files)), [])

    assert [(one.case.workload, one.case.variant) for one in cases] == [
        (str(files[0]), "workload=old"),
        (str(files[1]), "workload=new"),
    ]
    assert len({in_turns(one.case) for one in cases}) == 1


def test_files_that_train_in_other_batches_are_refused(files):
    options = parse_run([f"--vary=workload={files[0]},{files[1]}", "--backends=jax"])
    old, new = str(files[0]), str(files[1])

    with pytest.raises(UsageError, match="workload=new and workload=old train on other data"):
        plan(options, [*described(old), *described(new, batch_size=32)], [])


def test_a_variant_that_cannot_be_had_is_skipped_with_the_reason():
    limits = Limits(without_variant={("torch", "keras=9.9"): "keras==9.9 cannot be installed"})
    cases = plan(parse_run(["--vary=keras=3.15.1,9.9"]), described("mlp"), [], limits)

    assert [one.skip for one in cases if one.skip] == ["keras==9.9 cannot be installed"]


def test_variants_climb_in_exact_mode_and_the_first_in_the_others_too():
    options = parse_run(["--vary=keras=3.14.1,3.15.1"])
    ladders = plan_ladders(options, (), {"cpu": ("float64", "float32")}, Limits())

    assert [(one.numerics, one.variant) for one in ladders if one.backend == "jax"] == [
        ("float64", "keras=3.14.1"),
        ("float64", "keras=3.15.1"),
        ("float32", "keras=3.14.1"),
    ]


MODEL = "import keras\n\n\ndef build():\n    return keras.Sequential([keras.layers.Dense(10, activation='softmax')])\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with a model's file, changed once; another file came with the change."""
    monkeypatch.setattr(revisions, "FOLDER", tmp_path / "revisions")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "own"
    folder.mkdir()
    git(folder, "init")
    for names, text in ((["model.py"], MODEL), (["model.py", "later.py"], MODEL.replace("10", "20"))):
        for name in names:
            (folder / name).write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-m", "a change")
    git(folder, "branch", "before", "HEAD~1")
    return folder


def asked(repository, *more, vary="--vary=git:before,HEAD", workloads="own/model.py"):
    data = ["--dataset=fashion_mnist", f"--output={repository.parent / 'results'}"]
    return parse_run([vary, *([f"--workloads={workloads}", *data] if workloads else []), *more])


def test_revisions_of_a_file_are_variants_and_each_has_its_own_files_to_import(repository):
    options = asked(repository)
    old, new = options.variants

    assert [one.name for one in options.variants] == ["git=before", "git=HEAD"]
    assert "Dense(10" in Path(old.workload).read_text()
    assert "Dense(20" in Path(new.workload).read_text()
    assert Path(old.workload).with_name(".revision").is_file()
    assert len(set(options.workloads)) == 2


def test_a_run_that_goes_on_keeps_its_commits_though_head_has_moved(repository):
    options = asked(repository)
    (repository / "model.py").write_text(MODEL)
    git(repository, "commit", "-am", "on")
    later = replace(options, launches=7)

    assert [one.workload for one in later.variants] == [one.workload for one in options.variants]
    assert later.workloads == options.workloads


def test_files_of_revisions_take_turns_and_each_is_trained_as_its_variant(repository):
    options = asked(repository)
    cases = [one.case for one in plan(options, described(*options.workloads), (), Limits())]

    assert [(one.backend, one.variant) for one in cases[:2]] == [("jax", "git=before"), ("tensorflow", "git=before")]
    assert {in_turns(one) for one in cases} == {in_turns(cases[0])}


def test_a_whole_repository_comes_before_the_packages_of_the_environments(repository):
    options = asked(repository, "--workloads=mlp", vary="--vary=git:own:before,HEAD", workloads="")

    assert [one.name for one in options.variants] == ["own@before", "own@HEAD"]
    assert options.workloads == ("mlp",)
    assert all(Path(one.settings["PYTHONPATH"], "model.py").is_file() for one in options.variants)
    assert plan_ladders(options, ("fit",), {"cpu": ("float64",)}, Limits())  # parity is climbed across them


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"vary": "--vary=git:before,nowhere"}, "'nowhere': .* has no such revision"),
        ({"vary": "--vary=git:main,HEAD"}, "main and HEAD are the same commit"),
        ({"vary": "--vary=git:before"}, "names 1 variant"),
        ({"workloads": "own/later.py"}, "before has no later.py"),
        ({"workloads": "mlp"}, "expected one file of a git repository as --workloads"),
        ({"workloads": "own/model.py,own/later.py"}, "expected one file of a git repository"),
        ({"workloads": ""}, "expected one file of a git repository as --workloads, or its folder"),
    ],
)
def test_revisions_that_cannot_be_compared_are_refused_in_a_line(repository, given, words):
    with pytest.raises(UsageError, match=words) as error:
        asked(repository, **given)
    assert "\n" not in str(error.value)


def test_a_file_in_no_repository_is_refused(repository):
    (repository.parent / "alone.py").write_text(MODEL)
    with pytest.raises(UsageError, match=r"alone.py: lies in no git repository"):
        asked(repository, workloads="alone.py")


def test_changes_that_no_commit_has_are_refused_where_head_is_measured(repository):
    (repository / "model.py").write_text(MODEL)

    with pytest.raises(UsageError, match=r"model.py changed since HEAD; commit or stash"):
        asked(repository)


def test_a_process_for_each_device_is_a_variant_of_the_backends_that_can_have_both():
    options = parse_run(["--device-count=1,2", "--vary=processes=one,each"])

    assert [one.name for one in options.variants] == ["processes=one", "processes=each"]
    assert [dict(one.settings) for one in options.variants] == [{PROCESSES: "one"}, {PROCESSES: "each"}]
    assert options.backends == ("jax",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--vary=processes=one,each"], "one device has one process; give --device-count too"),
        (["--device-count=2", "--vary=processes=one,two"], "'two' is neither of processes=one,each"),
        (["--device-count=2", "--vary=processes=one,each", "--backends=torch"], "concerns jax alone; leave it out"),
    ],
)
def test_processes_that_cannot_vary_are_refused_in_a_line(words, said):
    with pytest.raises(UsageError, match=said):
        parse_run(words)


def test_several_devices_climb_in_each_variant_of_processes():
    options = parse_run(["--workloads=mlp", "--device-count=1,2", "--vary=processes=one,each"])
    ladders = plan_ladders(options, ("fit",), {"cpu": ("float64",)}, Limits())

    climbed = {(one.variant, one.device_count) for one in ladders if one.numerics == "float64"}
    assert climbed == {(f"processes={way}", count) for way in ("one", "each") for count in (1, 2)}
