"""The program as the parent starts it; how fast a machine is, no test says."""

import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest

from bench.contract.paths import ROOT


@pytest.fixture
def measure(backend_name, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)  # which the parent does not set either

    def run(device):
        command = [
            sys.executable,
            "-m",
            "bench.worker.programs.ceiling",
            f"--backend={backend_name}",
            f"--device={device}",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    return run


def numpy_flops_per_second(size):
    matrix = np.ones((size, size), np.float32)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times)


def test_the_ceiling_is_of_the_order_of_what_numpy_reaches(measure):
    done = measure("cpu")
    answer = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert answer.keys() == {"flops_per_second", "size", "seconds", "steal_fraction", "other_cpu_seconds"}
    assert math.isfinite(answer["flops_per_second"])
    assert answer["flops_per_second"] > numpy_flops_per_second(answer["size"]) / 10


def test_a_missing_device_is_one_clear_line(measure, monkeypatch, backend_name):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    done = measure("gpu")

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"].startswith(f"{backend_name} on gpu: RuntimeError: ")
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
