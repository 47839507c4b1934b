"""Where launches happen, as --places says it."""

import pytest

from bench.contract.errors import UsageError
from bench.plan.parse import parse_run
from bench.plan.places import Places, read_places


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("local", Places("local")),
        ("srun", Places("srun")),
        ("ray:auto", Places("ray", "auto")),
        ("ray:10.0.0.1:6379", Places("ray", "10.0.0.1:6379")),
        ("ray:ray://head:10001", Places("ray", "ray://head:10001")),
    ],
)
def test_places_are_this_machine_a_ray_cluster_or_a_slurm_job(text, expected):
    assert read_places(text) == expected


@pytest.mark.parametrize("text", ["ray", "ray:", "slurm", "", "srun:4", None])
def test_other_places_are_refused_with_what_there_is(text):
    with pytest.raises(UsageError, match=r"--places .*: expected local, ray:ADDRESS or srun"):
        read_places(text)


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["--places=srun", "--explain"], "--explain: takes steps apart on this machine"),
        (["--places=srun", "--tracks=fit,tuned"], "--tracks tuned: has knobs"),
        (["--places=srun", "--within=3%"], "--within: reckons with repetitions on one machine"),
        (["--pool-unlike"], "--pool-unlike: .* give --places too"),
        (["--per=gpu", "--devices=gpu"], "--per gpu: lets each GPU of .* give --places too"),
        (["--places=srun", "--per=gpu"], "--per gpu: a launch on CPUs wants the whole node; give --devices gpu, and"),
        (["--places=srun", "--per=gpu", "--devices=cpu,gpu"], "--per gpu: a launch on CPUs wants the whole node"),
        (
            ["--places=srun", "--per=gpu", "--devices=gpu", "--device-count=1,2"],
            "--device-count 1,2: .* leave --per out",
        ),
        (["--places=srun", "--per=gpu", "--devices=gpu", "--gpu=1"], "--gpu 1: with --per gpu all are measured on"),
        (["--places=srun", "--per=core"], "--per: unknown part of a cluster 'core', known: node, gpu"),
    ],
)
def test_what_does_not_go_with_places_is_refused(words, refusal):
    with pytest.raises(UsageError, match=refusal):
        parse_run(words)


def test_without_a_word_launches_happen_here():
    assert parse_run([]).where == Places("local")


def test_a_launch_has_a_whole_node_unless_a_gpu_is_asked_for():
    assert parse_run(["--places=srun"]).per == "node"
    assert parse_run(["--places=srun", "--per=gpu", "--devices=gpu"]).per == "gpu"
