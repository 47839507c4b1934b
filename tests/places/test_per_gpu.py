"""Runs with a launch on each GPU of a node at once; nodes, cards and backends are stand-ins."""

import io
import json
import threading
import time

import pytest
from support.playback import described, launches, state

from bench.analysis import analyse
from bench.contract.errors import RunError, UsageError
from bench.machine import cpus
from bench.plan.parse import parse_run
from bench.run.console import RunConsole
from bench.run.measure import run

SECONDS = 60  # after which a test that waits for a launch gives up

pytestmark = pytest.mark.skipif(len(cpus.here()) < 2, reason="two launches at once take two CPU cores")


@pytest.fixture
def on_gpus(cards, job, fake, tmp_path, monkeypatch):  # noqa: ARG001 - without a job there are no nodes
    """Starts runs on the GPUs of n1 and n2; `said` has what they say, `visits()` where launches were."""
    said, visits = io.StringIO(), tmp_path / "visits"
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1,n2")
    monkeypatch.setenv("FAKE_VISITS", str(visits))

    def start(*arguments):
        options = ["--devices=gpu", "--numerics=float32", "--tracks=fit", "--no-parity", *arguments]
        return run(parse_run([*fake, "--places=srun", "--per=gpu", *options]), RunConsole(file=said, width=200))

    start.said, start.visits = said, lambda: [json.loads(line) for line in visits.read_text().splitlines()]
    start.options = fake
    return start


def once(job, wanted, then):
    """Do something as soon as launches wait in all of these places at once; gives a list that has them afterwards."""
    found = []

    def wait():
        deadline = time.monotonic() + SECONDS
        try:
            while not all(list(job.folder.glob(f"{node}/bench-node-*/{gpu}/*.pid")) for node, gpu in wanted):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            then()
            found.extend(wanted)
        finally:  # or the launches that wait would do so for long
            for node in {node for node, _ in wanted}:
                (job.folder / node / "go on").touch()

    threading.Thread(target=wait, daemon=True).start()
    return found


ALL = [(node, gpu) for node in ("n1", "n2") for gpu in ("gpu0", "gpu1")]


def places_by_attempt(found):
    """In how many places an attempt at a repetition was measured."""
    places = {}
    for one in found:
        places.setdefault((one["repetition"], one["attempt"]), set()).add((one["node"], one["gpu"]))
    return {len(names) for names in places.values()}


def test_every_gpu_of_every_node_has_a_launch_at_once_and_each_is_alone_on_its_gpu_and_cpus(job, on_gpus, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:waits")
    at_once = once(job, ALL, lambda: None)
    folder = on_gpus("--launches=8")
    found, visits = launches(folder), on_gpus.visits()
    by_place = {}
    for visit in visits:
        by_place.setdefault((visit["node"], f"gpu{visit['gpu']}"), set()).add(tuple(visit["cpus"]))
    shown = {(one["gpu"], word) for one in found for word in one["command"] if word.startswith("CUDA_VISIBLE_DEVICES")}

    assert at_once == ALL
    assert state(folder) == "finished"
    assert len(found) == len(visits) == 24
    assert {one["status"] for one in found} == {"ok"}
    assert all(visit["alone"] for visit in visits)
    assert {(one["node"], f"gpu{one['gpu']}") for one in found} == set(ALL) == set(by_place)
    assert places_by_attempt(found) == {1}
    assert shown == {(0, "CUDA_VISIBLE_DEVICES=0"), (1, "CUDA_VISIBLE_DEVICES=1")}
    for node in ("n1", "n2"):
        (first,), (second,) = (by_place[node, gpu] for gpu in ("gpu0", "gpu1"))
        assert first
        assert len(first) == len(second)
        assert not set(first) & set(second)


def test_a_report_counts_the_gpus_of_a_node_as_that_node(on_gpus):
    folder = on_gpus("--launches=8")
    (nodes,) = [one for one in analyse(folder).nodes.nodes.to_dict("records") if one["node"] == "n1"]

    assert [card["index"] for card in described(folder)["nodes"]["n1"]["measured_gpus"]] == [0, 1]
    assert set(analyse(folder).comparisons.table["nodes"]) == {2}
    assert nodes["by_gpu"].startswith("0: ")
    assert "n1/gpu0 (NVIDIA H100 80GB HBM3), n1/gpu1" in on_gpus.said.getvalue()


def test_a_node_that_dies_costs_none_of_the_repetitions_on_its_gpus(job, on_gpus, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:waits")
    at_once = once(job, ALL, lambda: job.kill("n2"))
    folder = on_gpus("--launches=8")
    found = launches(folder)
    good = {(one["case"]["backend"], one["repetition"]) for one in found if one["status"] == "ok"}
    again = [one for one in found if one["attempt"] == 2]

    assert at_once == ALL
    assert state(folder) == "finished"
    assert len(good) == 24
    assert len({one["repetition"] for one in again}) == 2
    assert {one["node"] for one in again} == {"n1"}
    assert places_by_attempt(found) == {1}
    assert all(f"n2/{gpu} is lost" in on_gpus.said.getvalue() for gpu in ("gpu0", "gpu1"))


def test_a_program_that_dies_on_one_gpu_leaves_the_launches_on_the_others_alone(job, on_gpus, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:waits")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1")

    def kill():
        (program,) = [
            one for one in job.on("n1") if "bench.places.on_gpu" in one.cmdline() and "gpu1" in one.cmdline()[3]
        ]
        program.kill()

    at_once = once(job, ALL[:2], kill)
    folder = on_gpus("--launches=3")
    found = launches(folder)
    again = [one for one in found if one["attempt"] == 2]

    assert at_once
    assert state(folder) == "finished"
    assert {one["status"] for one in found} == {"ok"}
    assert {(one["case"]["backend"], one["repetition"]) for one in found} >= {("torch", number) for number in range(3)}
    assert {one["gpu"] for one in again} == {0}
    assert "n1/gpu1 is lost: its stream has ended" in on_gpus.said.getvalue()
    assert "n1/gpu0 is lost" not in on_gpus.said.getvalue()


def test_a_run_goes_on_after_its_last_node_has_died(job, on_gpus, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:waits")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1")
    once(job, ALL[:2], lambda: job.kill("n1"))
    with pytest.raises(RunError, match="no node is left"):
        on_gpus("--launches=3")
    (folder,) = (one for one in (job.folder.parent / "results").iterdir() if (one / "run.json").exists())
    before = launches(folder)
    monkeypatch.setenv("FAKE_FAULT", ":")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n2")
    output = next(word for word in on_gpus.options if word.startswith("--output"))
    run(parse_run(["--resume", folder.name, output]), RunConsole(file=io.StringIO(), width=200))
    after = launches(folder)

    assert state(folder) == "finished"
    assert all(one in after for one in before)
    assert places_by_attempt(after) == {1}
    assert {one["gpu"] for one in after if one["node"] == "n2"} == {0, 1}
    assert len({(one["case"]["backend"], one["repetition"]) for one in after if one["status"] == "ok"}) == 9


@pytest.mark.parametrize(("words", "gpus"), [([], {0}), (["--pool-unlike"], {0, 1})])
def test_a_gpu_unlike_the_others_is_measured_on_where_that_was_asked_for(on_gpus, monkeypatch, words, gpus):
    monkeypatch.setenv("FAKE_CARDS", "H100,V100")
    folder = on_gpus("--launches=4", *words)
    said = on_gpus.said.getvalue()

    assert {one["gpu"] for one in launches(folder)} == gpus
    assert ("n1/gpu1 is left out: unlike the others (GPU Tesla V100" in said) == (not words)
    assert {len(visit["cpus"]) for visit in on_gpus.visits()} == {len(cpus.here()[0]) * (len(cpus.here()) // 2)}


def test_parity_is_not_climbed_for_gpus_that_the_machine_of_the_run_does_not_have(on_gpus):
    words = ["--places=srun", "--devices=gpu", "--numerics=float32", "--tracks=fit", "--launches=2"]
    folder = run(parse_run([*on_gpus.options, *words]), RunConsole(file=on_gpus.said, width=200))
    ladders = json.loads((folder / "run.json").read_text())["parity"]["ladders"]

    assert {one["status"] for one in ladders} == {"skipped"}
    assert "parity is climbed where the run is started: no GPU there" in on_gpus.said.getvalue()
    assert analyse(folder).problems == []


def test_a_gpu_that_somebody_else_uses_is_left_out(on_gpus, monkeypatch):
    monkeypatch.setenv("FAKE_CARDS_n2", "H100:busy,H100")
    folder = on_gpus("--launches=4")

    assert {(one["node"], one["gpu"]) for one in launches(folder)} <= {("n1", 0), ("n1", 1), ("n2", 1)}
    assert "n2/gpu0 is left out: process 4321 computes on it" in on_gpus.said.getvalue()


def test_nodes_on_which_every_gpu_is_in_use_or_none_is_there_are_refused_in_one_line(on_gpus, monkeypatch):
    monkeypatch.setenv("FAKE_CARDS_n1", "H100:busy,H100:busy")
    monkeypatch.setenv("FAKE_CARDS_n2", "")

    with pytest.raises(UsageError, match=r"no node .* \(n1: every GPU is in use: GPU 0 .*; n2: no GPU is there\)$"):
        on_gpus("--launches=1")


def test_a_node_with_fewer_cores_than_gpus_is_refused(on_gpus, monkeypatch):
    monkeypatch.setenv("FAKE_CARDS", ",".join(["H100"] * (len(cpus.here()) + 1)))

    with pytest.raises(UsageError, match=r"n1: \d+ CPU cores may be used for \d+ GPUs, and each launch needs one"):
        on_gpus("--launches=1")


def test_a_run_that_goes_on_takes_gpus_of_the_kind_that_it_began_with(on_gpus, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1")
    monkeypatch.setenv("FAKE_CARDS", "H100,V100")
    folder = on_gpus("--launches=1")
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "interrupted"}))
    monkeypatch.setenv("FAKE_CARDS", "H100:busy,V100")
    output = next(word for word in on_gpus.options if word.startswith("--output"))

    with pytest.raises(
        UsageError, match=r"n1/gpu0: process .*; n1/gpu1: unlike the others \(GPU Tesla V100-SXM2-16GB, not"
    ):
        run(parse_run(["--resume", folder.name, output]), RunConsole(file=io.StringIO(), width=200))


def test_ctrl_c_ends_what_runs_on_every_gpu_and_keeps_what_was_measured(cards, interrupted, bench):  # noqa: ARG001 - see above
    asked = ["--places=srun", "--per=gpu", "--devices=gpu", "--numerics=float32", "--tracks=fit", "--launches=6"]
    ended, left = interrupted("n*/bench-node-*/gpu*/*.pid", *asked)

    assert (ended.code, state(bench.latest()), left) == (1, "interrupted", [])
    assert (bench.latest() / "report.md").exists()
