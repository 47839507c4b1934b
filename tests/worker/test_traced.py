"""An epoch traced on this backend: operations are brought home to layers and phases, and nothing is counted twice."""

import gzip
import json
from dataclasses import replace
from types import SimpleNamespace

import keras
import pytest
from keras import layers, ops

from bench.contract import explain
from bench.contract.operations import BACKWARD, FORWARD, OPTIMIZER, OTHER, UPDATE
from bench.worker import backends
from bench.worker.backends import hlo
from bench.worker.backends.spans import home, last_of, own_seconds, scope_name
from bench.worker.workload import load, traced, trainings

WIDTH = 8_192


def planted():
    """A small network with a layer that takes longer than all others together."""
    table = keras.random.normal((32, WIDTH), seed=0)
    inner = keras.Sequential([keras.Input((32,)), layers.Dense(32, name="inside")], name="block")
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Reshape((28, 28, 1), name="image"),
            layers.Conv2D(4, 3, strides=3, name="convolution"),
            layers.MaxPooling2D(name="pooling"),
            layers.Flatten(name="flat"),
            layers.Dense(32, name="first"),
            layers.Lambda(lambda x: ops.matmul(ops.tanh(ops.matmul(x, table)), ops.transpose(table)), name="heavy"),
            inner,
            layers.Dense(10, name="last"),
        ]
    )


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """The planted network, ready to be traced."""

    def bench(**compiled):
        workload = replace(load.load_workload("perceptron"), build=planted)
        weights = tmp_path_factory.mktemp("weights") / "weights.npz"
        load.save_weights(weights, planted().get_weights())
        drawn = load.batches(load.dataset_of(workload), 256, 128, 0)
        made = trainings.Bench(workload, drawn.parts, weights, 0, "float32", 4)
        made.add(explain.AS_IT_IS, kind="arrays", compiled=compiled)
        return made

    return bench


@pytest.fixture(scope="module")
def ready(make, request):
    bench = make()
    module = backends.load(request.config.getoption("backend"))
    bench.trainings[explain.AS_IT_IS].fit(module.barrier)
    return bench, module


@pytest.fixture(scope="module")
def found(ready, tmp_path_factory):
    folder, seen = tmp_path_factory.mktemp("run") / "a-trace", []
    profile = backends.profile(keras.backend.backend())
    trace = profile.trace

    def kept(work, folder):
        seen.append(trace(work, folder))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile, "trace", kept)
        told = traced.operations(*ready, folder)
    return {**told, "folder": folder.parent, "seen": seen[0].operations}


def seconds_of(found, *columns):
    sums = {}
    for row in found["rows"]:
        key = tuple(row[name] for name in columns)
        sums[key] = sums.get(key, 0.0) + row["seconds"]
    return sums


def test_the_layer_that_takes_longest_is_named(found):
    assert found["error"] == ""
    by_layer = seconds_of(found, "layer", "kind")

    assert max(by_layer, key=by_layer.get) == ("heavy", "Lambda")


def test_forward_backward_and_update_are_told_apart(found):
    phases = {place for place, seconds in seconds_of(found, "layer", "phase").items() if seconds}
    both = {(layer, phase) for layer in ("convolution", "pooling", "first", "heavy") for phase in (FORWARD, BACKWARD)}

    assert both <= phases
    assert (OPTIMIZER, UPDATE) in phases
    assert {phase for layer, phase in phases if layer == OPTIMIZER} == {UPDATE}
    assert {layer for layer, phase in phases if phase == UPDATE} == {OPTIMIZER}


def test_a_layer_within_a_layer_has_its_path(found):
    assert "block/inside" in {row["layer"] for row in found["rows"]}


def test_nearly_all_is_brought_home(found):
    by_layer = seconds_of(found, "layer")

    assert by_layer.get((OTHER,), 0.0) < 0.1 * sum(by_layer.values())


def test_calls_and_seconds_are_of_one_step(found):
    dearest = next(row for row in found["rows"] if (row["layer"], row["phase"]) == ("heavy", FORWARD))
    total = sum(operation.seconds for operation in found["seen"])

    assert dearest["calls"] in (1, 2)
    assert sum(row["seconds"] for row in found["rows"]) * found["steps"] == pytest.approx(total)
    assert sum(row["calls"] for row in found["rows"]) * found["steps"] == pytest.approx(len(found["seen"]))


def test_the_trace_stays_as_a_file_that_perfetto_opens(found):
    with gzip.open(found["folder"] / found["trace"]) as file:
        assert json.load(file)["traceEvents"]


def test_a_profiler_that_fails_is_a_reason_in_one_line(ready, tmp_path, backend_name, monkeypatch):
    def fails(work, folder):  # noqa: ARG001
        raise RuntimeError("no counters\nare free")

    monkeypatch.setattr(backends.profile(backend_name), "trace", fails)
    error = traced.operations(*ready, tmp_path / "a-trace")["error"]

    assert error.startswith("RuntimeError: no counters")
    assert "\n" not in error


def test_what_xla_compiled_is_brought_home(make, backend, backend_name, tmp_path):
    if backend_name == "torch":
        pytest.skip("does not use XLA")
    bench = make(jit_compile=True)
    bench.trainings[explain.AS_IT_IS].fit(backend.barrier)
    found = traced.operations(bench, backend, tmp_path / "a-trace")
    by_place = seconds_of(found, "layer", "phase")

    assert by_place[("heavy", BACKWARD)] > 0
    assert {phase for layer, phase in by_place if layer == OPTIMIZER} == {UPDATE}


def test_own_time_is_without_what_is_within():
    spans = [(0.0, 10.0, "whole"), (1.0, 4.0, "part"), (2.0, 1.0, "within"), (6.0, 2.0, "part"), (11.0, 1.0, "alone")]

    assert sorted(own_seconds(spans)) == [
        ("alone", 1.0),
        ("part", 2.0),
        ("part", 3.0),
        ("whole", 4.0),
        ("within", 1.0),
    ]


def test_the_innermost_scope_is_the_home():
    outer, inner = scope_name(3, "block"), scope_name(12, "a layer/of ours")

    assert home(f"jit(step)/transpose(jvp({outer}))/{inner}/dot_general") == 12
    assert home(f"gradient_tape/{outer}_1/block/MatMul") == 3
    assert home("jit(step)/layer.norm/add") is None
    assert last_of("a/b/MatMul_1") == "MatMul"


PROGRAM = """HloModule jit_step

%fused (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %iota.9 = s32[8]{0} iota(), iota_dimension=0
}

ENTRY %main (batch: f32[8], weight: f32[8]) -> f32[8] {
  %batch = f32[8]{0} parameter(0), metadata={op_name="data"}
  %weight = f32[8]{0} parameter(1), metadata={op_name="state"}
  %max.1 = f32[8]{0} maximum(%batch, %weight), metadata={op_name="jit(step)/jvp(layer.1.pool)/max"}
  %wrapped_iota.1 = s32[8]{0} fusion(%max.1), kind=kLoop, calls=%fused
  %scatter = f32[8]{0} scatter(%wrapped_iota.1), metadata={op_name="jit(step)/transpose(jvp(layer.1.pool))/scatter"}
  %copy.2 = f32[8]{0} copy(%batch)
  %custom.3 = f32[8]{0} fusion(%copy.2, %scatter), kind=kCustom
  ROOT %add = f32[8]{0} add(%weight, %custom.3), metadata={op_name="jit(step)/layer.2.optimizer/adam/add"}
}
"""


@pytest.mark.parametrize(
    ("instruction", "called", "scopes"),
    [
        ("max.1", "max", "jit(step)/jvp(layer.1.pool)/max"),
        ("wrapped_iota.1", "iota", "jit(step)/transpose(jvp(layer.1.pool))/scatter"),  # where its result goes
        ("custom.3", "custom", "jit(step)/transpose(jvp(layer.1.pool))/scatter"),  # a gradient is not of the update
        ("copy.2", "copy", "jit(step)/transpose(jvp(layer.1.pool))/scatter"),
        ("unknown.7", "unknown", ""),
    ],
)
def test_what_xla_has_put_in_belongs_to_what_it_is_for(instruction, called, scopes):
    assert hlo.from_text(PROGRAM).place(instruction) == (called, scopes)


PROFILE = """
planes {
  name: "/device:GPU:0"
  lines {
    name: "Stream #7(Compute)"
    events { metadata_id: 1 offset_ps: 1000000 duration_ps: 2000000 stats { metadata_id: 1 str_value: "fusion.3" } }
    events { metadata_id: 2 offset_ps: 4000000 duration_ps: 1000000 }
  }
  lines { name: "Steps" events { metadata_id: 2 duration_ps: 9000000 } }
  event_metadata { key: 1 value { id: 1 name: "kernel" } }
  event_metadata { key: 2 value { id: 2 name: "MemcpyH2D" } }
  stat_metadata { key: 1 value { id: 1 name: "hlo_op" } }
}
planes {
  name: "/host:CPU"
  lines { events { metadata_id: 1 duration_ps: 7000000 stats { metadata_id: 1 str_value: "dot.1" } } }
  event_metadata { key: 1 value { id: 1 name: "dot.1" } }
  stat_metadata { key: 1 value { id: 1 name: "hlo_op" } }
}
"""


def event(name, scope=0, parent=None, kernels=(), number=-1, begin=0):
    """An event of torch's profiler."""
    time, kernels = SimpleNamespace(start=begin), [SimpleNamespace(duration=seconds) for seconds in kernels]
    about = {"cpu_parent": parent, "kernels": kernels, "sequence_nr": number, "time_range": time}
    return SimpleNamespace(name=name, scope=scope, self_cpu_time_total=50.0, **about)


def torch_events():
    """A convolution and its gradient on a GPU, and a copy beside them."""
    layer = event("layer.4.conv", scope=7)
    forward = event("aten::conv", parent=layer, kernels=(2.0,), number=9)
    node = event("autograd::engine::evaluate_function: ConvBackward0", number=9, begin=5)
    backward = event("aten::conv_backward", parent=event("ConvBackward0", 1, node, (), 9), kernels=(1.0, 3.0))
    return [layer, forward, node, node, backward, event("aten::copy_", kernels=(1.0,))]


def test_where_a_gpu_computes_its_kernels_count_alone(backend_name):
    profile = backends.profile(backend_name)
    if backend_name == "torch":
        found = [(name, home(scopes), seconds) for name, scopes, _, seconds in profile.operations(torch_events())]
        expected = [("aten::conv", 4, 2e-6), ("aten::conv_backward", 4, 4e-6), ("aten::copy_", None, 1e-6)]
    else:
        found = [(name, home(scopes), seconds) for name, scopes, _, seconds in profile.operations(profiled(PROFILE))]
        expected = [("fusion", None, 2e-6), ("MemcpyH2D", None, 1e-6)]

    assert [one[:2] for one in found] == [one[:2] for one in expected]
    assert [one[2] for one in found] == pytest.approx([one[2] for one in expected])


def profiled(text):
    """What the backend's reader makes of a profile in text."""
    if keras.backend.backend() == "jax":
        from jax.profiler import ProfileData

        return ProfileData.from_text_proto(text)
    from google.protobuf import text_format
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    return text_format.Parse(text, xplane_pb2.XSpace())
