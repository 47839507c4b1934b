"""Task generate: which cases it has, what a record has to say, what a launch comes to, and what a report says."""

import json

import numpy as np
import pytest
from msgspec.structs import replace
from support.descriptions import MLP
from test_analysis import change, row

from bench.analysis import analyse
from bench.contract import launch_record
from bench.contract.case import GENERATION_TRACKS
from bench.contract.catalog import training_backends
from bench.contract.errors import UsageError
from bench.contract.files import RecordError
from bench.contract.generation import GENERATIONS
from bench.plan.cases import plan
from bench.plan.parse import parse_run
from bench.report.pages import run as run_page
from bench.report.parts import predict as predict_part

WITHOUT_OWN = "own: the model has no method `generate`"
NO_DECODER = replace(MLP, without_generate="generate takes a decoder; this is none: it has several inputs")
GPT = replace(MLP, workload="gpt", context=196, test_samples=500)
TINY = replace(GPT, workload="tiny", context=16, without_own_generate=WITHOUT_OWN)
SERIES = {"seconds": 1.0, "cpu_seconds": 1.0, "steal_fraction": 0.0, "other_cpu_seconds": 0.0}
CASE = {"task": "generate", "samples": 4 * 8, "epochs": 1, "batch_size": 1}
TOKENS = 0.002 + np.arange(GENERATIONS * 7) / 1_000_000


def generated(launch, own=False):
    """Make a recorded launch one of generation: a token takes twice as long on torch, a tenth with `own`."""
    repetition = launch["repetition"]
    slow = 2 + 0.01 * repetition if launch["case"]["backend"] == "torch" else 1 + 0.001 * repetition
    launch["case"] |= {**CASE, "track": "own"} if own else CASE
    seconds = [0.0002 * slow] * GENERATIONS if own else list(slow * TOKENS)
    launch["calls"] = {"first_seconds": 0.5, "seconds": seconds, "series": dict(SERIES)}
    launch |= {"outputs": [0.1, -2.0, 0.3], "prompt_tokens": 4, "tokens": 8}
    launch |= {"weights_digest": "a", "batches_digest": "b", "parameters": 7}
    launch["first_token_seconds"] = [0.004, 0.003, 0.005, 0.003]
    for name in ("epochs", "test"):
        del launch[name]


@pytest.fixture
def spoken(recorded_run):
    """The recorded run, whose launches of cnn are of generation, and those of mlp the model's own."""
    path = recorded_run / "run.json"
    description = json.loads(path.read_text())
    for planned in description["plan"]:
        planned["case"] |= {**CASE, "track": "own"} if planned["case"]["workload"] == "mlp" else CASE
    for workload in description["workloads"]:
        workload["weights"] = {}
    path.write_text(json.dumps(description))
    change(recorded_run, "*cnn*", generated)
    change(recorded_run, "*mlp*", lambda launch: generated(launch, own=True))
    return recorded_run


def planned(*arguments, workloads=(GPT,)):
    return plan(parse_run(["--workloads=mlp", *arguments]), list(workloads), gpus=())


def test_a_call_for_each_token_and_the_models_own_method_are_the_usual_tracks():
    def tracks(*arguments):
        return {one.case.track for one in planned("--tasks=generate", *arguments)}

    assert tracks() == {"fit", "own"}
    assert tracks("--tracks=all") == set(GENERATION_TRACKS)


def test_the_samples_of_generation_are_the_tokens_that_there_is_room_for():
    (size,) = {(one.case.batch_size, one.case.samples) for one in planned("--tasks=generate")}
    (several,) = {one.case.samples for one in planned("--tasks=generate", "--batch-size=3")}
    (tiny,) = {one.case.samples for one in planned("--tasks=generate", workloads=[TINY])}

    assert (size, several, tiny) == ((1, GENERATIONS * 32), 3 * GENERATIONS * 32, GENERATIONS * 12)


def test_a_model_without_a_method_of_its_own_is_skipped_in_that_track_alone():
    cases = planned("--tasks=generate", "--backends=jax,torch", workloads=[TINY])

    assert {(one.case.track, one.skip) for one in cases} == {("fit", None), ("own", WITHOUT_OWN)}


def test_what_is_no_decoder_is_skipped_once_beside_one_that_is():
    cases = planned("--tasks=generate", workloads=[GPT, NO_DECODER])
    skipped = [one for one in cases if one.skip and one.case.backend == "jax"]

    assert {(one.case.workload, one.skip) for one in skipped} == {("mlp", NO_DECODER.without_generate)}
    assert {one.case.track for one in skipped} == {"fit"}


def test_where_other_tasks_are_asked_for_what_is_no_decoder_is_left_out():
    cases = planned("--tasks=all", workloads=[GPT, NO_DECODER])

    assert {(one.case.task, one.case.workload) for one in cases} == {
        *(("train", name) for name in ("mlp", "gpt")),
        *(("predict", name) for name in ("mlp", "gpt")),
        ("generate", "gpt"),
    }
    assert {one.case.backend for one in cases if one.skip} <= {"openvino"}


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (NO_DECODER, "--tasks generate: mlp: generate takes a decoder; this is none: it has several inputs"),
        (MLP, "--tasks generate: mlp: nothing is known of its tokens"),
        (replace(GPT, context=2), "--tasks generate: gpt: a context of 2 tokens has no room to generate"),
    ],
)
def test_a_run_of_generation_without_any_decoder_is_refused(description, said):
    with pytest.raises(UsageError) as caught:
        planned("--tasks=generate", workloads=[description])

    assert str(caught.value) == said


def test_more_sequences_than_there_are_prompts_are_refused():
    with pytest.raises(UsageError, match="a batch of 501 is larger than its 500 test samples"):
        planned("--tasks=generate", "--batch-size=501")


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda launch: launch["calls"]["seconds"].pop(), "27 times of a token, where 28 belong"),
        (lambda launch: launch["first_token_seconds"].pop(), "3 generations of 8 tokens, but its case says 32 tokens"),
        (lambda launch: launch.update(tokens=0), "tokens cannot be 0, "),
        (lambda launch: launch.pop("prompt_tokens"), "prompt_tokens is missing"),
        (lambda launch: launch.update(first_token_seconds=[]), "expected list of length >= 1"),
        (lambda launch: launch["first_token_seconds"].__setitem__(0, 0.0), r"first_token_seconds\[0\] cannot be 0.0"),
        (lambda launch: launch["case"].update(track="native"), "task generate has no track native"),
    ],
)
def test_a_record_of_generation_with_a_fault_is_refused_in_words(spoken, edit, fault):
    content = json.loads(next((spoken / "launches").glob("r000*cnn-jax*")).read_text())
    launch_record.check(content, "launch")
    edit(content["launch"])

    with pytest.raises(RecordError, match=fault):
        launch_record.check(content, "launch")


def test_the_models_own_method_tells_one_time_of_a_generation(spoken):
    content = json.loads(next((spoken / "launches").glob("r000*mlp-jax*")).read_text())
    launch_record.check(content, "launch")
    content["launch"]["calls"]["seconds"].append(0.1)

    with pytest.raises(RecordError, match="5 times of a token, where 4 belong"):
        launch_record.check(content, "launch")


def test_a_launch_counts_with_its_median_token_and_tells_the_first_apart(spoken):
    found = row(analyse(spoken).cases, workload="cnn", backend="jax")

    assert found["epoch_seconds"] == pytest.approx(1.001 * np.median(TOKENS), rel=1e-4)
    assert found["samples_per_second"] == pytest.approx(1 / found["epoch_seconds"])
    assert found["first_token_seconds"] == pytest.approx(0.0035)
    assert found["cold_epoch_seconds"] == pytest.approx(0.5)
    assert (found["status"], found["launches"]) == ("ok", 3)


def test_generation_is_compared_in_time_and_not_in_a_metric(spoken):
    found = row(analyse(spoken).comparisons.table, workload="cnn", backend="torch")

    assert found["ratio"] == pytest.approx(2.008, rel=1e-3)
    assert (found["verdict"], found["metric_verdict"]) == ("slower", "")


def test_generation_has_a_table_and_sentences_of_its_own(spoken):
    page = run_page.page(analyse(spoken))
    (table, _) = predict_part.tables(analyse(spoken))
    said = [sentence.text for sentence in page.verdicts]

    assert table.title == "Generation: mlp on cpu, batch 1, float32: 32 tokens a launch"
    assert [cells[0] for cells in table.rows] == [f"{name}, generate()" for name in training_backends()]
    assert table.rows[0][table.columns.index("tokens/s")] == "4995"
    assert table.rows[0][table.columns.index("first token ms")] == "3.50"
    assert any(text.startswith("cnn on cpu, generate: ") and "torch takes 2.01" in text for text in said)
    assert any(text.startswith("mlp on cpu, generate, track own: ") for text in said)
    assert analyse(spoken).problems == []


def test_what_a_call_for_each_token_costs_is_said_in_a_sentence(spoken):
    for path in (spoken / "run.json", *(spoken / "launches").glob("*.json")):  # one model, both of its tracks
        path.write_text(path.read_text().replace('"workload": "cnn"', '"workload": "mlp"'))
    description = json.loads((spoken / "run.json").read_text())
    description["workloads"] = description["workloads"][:1]
    (spoken / "run.json").write_text(json.dumps(description))
    analysis = analyse(spoken)
    said = [sentence.text for sentence in run_page.page(analysis).verdicts]
    (table,) = predict_part.tables(analysis)

    assert any(
        "model.predict for each token takes, as a multiple of the model's own generate(), 10.1" in text for text in said
    )
    assert any(heading.startswith("ratio to generate()") for heading in table.columns)


def test_logits_that_are_not_the_references_are_a_problem(spoken):
    change(spoken, "r000*cnn-torch*", lambda launch: launch.update(outputs=[0.1, -2.0, 0.31]))

    assert [text for text in analyse(spoken).problems if "cnn torch cpu generate fit batch 1 gives other" in text]


def test_the_time_of_tokens_is_told_apart_from_that_of_epochs(spoken):
    assert analyse(spoken).spent["calls"] > 0
    assert analyse(spoken).spent["epochs"] == pytest.approx(0)


def test_a_backend_that_cannot_train_calls_no_method_of_the_models_own():
    skipped = {(one.case.backend, one.case.track) for one in planned("--tasks=generate") if one.skip}

    assert skipped == {("openvino", "own")}
