"""Several devices on torch by Keras's own distribution, which the pinned Keras does not have: with stand-ins for it."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from bench.worker import backends, keras_internals


@pytest.fixture(autouse=True)
def of_torch(backend_name):
    if backend_name != "torch":
        pytest.skip("the others have one way each")


@pytest.fixture
def devices():
    return backends.devices("torch")


@pytest.fixture
def team(monkeypatch, devices):
    """Two devices by Keras; what Keras was asked for is in `asked`, the distribution in force in `in_force`."""
    found = SimpleNamespace(asked=[], in_force=[None])

    def asked(name, gives=None):
        return lambda *args, **kwargs: found.asked.append((name, args, kwargs)) or gives

    monkeypatch.setattr(keras.distribution, "initialize", asked("initialize"))
    monkeypatch.setattr(keras.distribution, "list_devices", asked("list_devices", ["cpu:0", "cpu:1"]))
    monkeypatch.setattr(keras.distribution, "DataParallel", asked("DataParallel", "shared"))
    monkeypatch.setattr(keras.distribution, "set_distribution", found.in_force.append)
    found.team = devices.KerasTeam("cpu", 2)
    return found


@pytest.mark.parametrize("there", [False, True])
def test_keras_averages_where_it_can_and_hooks_where_it_cannot(there, monkeypatch, devices):
    monkeypatch.setattr(keras_internals, "distributes", lambda: there)
    monkeypatch.setattr(devices, "KerasTeam", lambda *_: SimpleNamespace(by="keras.distribution"))

    assert devices.team("cpu", 2).by == ("keras.distribution" if there else "hooks")


def test_keras_is_told_which_process_this_is_and_shares_among_all_devices(team):
    assert team.asked == [
        ("initialize", (), {"num_processes": 2, "process_id": 0}),
        ("list_devices", ("cpu",), {}),
        ("DataParallel", (), {"devices": ["cpu:0", "cpu:1"], "auto_shard_dataset": False}),
    ]
    assert team.in_force[-1] == "shared"


@pytest.mark.usefixtures("team")
def test_another_number_of_devices_than_asked_for_is_refused(devices):
    with pytest.raises(RuntimeError, match="3 devices were asked for, Keras lists 2: cpu:0, cpu:1"):
        devices.KerasTeam("cpu", 3)


def test_a_forgotten_distribution_is_in_force_again_where_a_model_is_built(team):
    team.in_force.append(None)  # as by keras.utils.clear_session
    with team.team.scope():
        assert team.in_force[-1] == "shared"


def test_alone_nothing_tells_keras_of_the_other_processes(team, monkeypatch):
    import torch.distributed as group

    monkeypatch.setattr(group, "is_initialized", lambda: True)
    with team.team.alone():
        assert not group.is_initialized()
        assert team.in_force[-1] is None

    assert group.is_initialized()
    assert team.in_force[-1] == "shared"


def test_hooks_are_not_put_beside_keras_own_averaging(team):
    variable = SimpleNamespace(value=SimpleNamespace())  # which takes no hook

    team.team.joined(SimpleNamespace(trainable_variables=[variable]))


def test_logs_that_are_each_process_own_fail_the_launch(team, monkeypatch):
    said = iter([[(4.0, {}), (4.0, {})], ["loss 0.5", "loss 0.7"]])
    monkeypatch.setattr(team.team, "_gathered", lambda _: next(said))

    with pytest.raises(RuntimeError, match=r"device 1 has other logs \(loss 0.7\) than device 0 \(loss 0.5\)"):
        team.team.holders(SimpleNamespace(trainable_variables=[]), [np.zeros(8)], 4)


def test_what_averaging_took_is_not_known_where_it_overlaps_with_computing(team):
    assert team.team.exchange_seconds() is None
