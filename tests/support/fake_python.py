"""Stands in for a backend's interpreter: plays back recorded launches, or a fault named by FAKE_FAULT.

Where it is not asked for a program it stands in for a launch's node and its worker in one process, which spares the
many launches of a test the start of pytest; tests/launch/test_node.py holds the real node against the same faults.

FAKE_FAULT is `BACKEND:FAULT`; the faults are in `misbehave`. FAKE_RECORD is the launch record to play back.
"""

import fcntl
import itertools
import json
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a worker has it

from bench.contract.lifeline import die_with_parent

DEVICE_MEMORY = {  # the first line of what each framework says
    "jax": "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 85899345920 bytes.",
    "tensorflow": "ResourceExhaustedError: OOM when allocating tensor with shape[100000,100000] and type float",
    "torch": "OutOfMemoryError: CUDA out of memory. Tried to allocate 74.51 GiB.",
}
DESCRIPTION = {
    "dataset": "fashion_mnist",
    "train_samples": 60_000,
    "test_samples": 10_000,
    "batch_size": 128,
    "epochs": 10,
    "quick_samples": 6_400,
    "cpu_samples": None,
    "parameters": 101_770,
    "target": {"metric": "accuracy", "value": 0.87, "source": "made up", "margin": 0.005},
    "step_seconds": 0.001,
    "weights": {},
    "without_native": "",
    "without_native_ladder": "",
}


def as_worker() -> bool:
    """Whether this is the worker that a node started, and not node and worker in one."""
    return "-m" in sys.argv


def output() -> str:
    """Where the worker, or the node, leaves what was measured."""
    return option("--output" if as_worker() else "--benchmark-json")


def option(name: str) -> str:
    """The value of --name=value or of --name value."""
    for index, word in enumerate(sys.argv):
        if word == name:
            return sys.argv[index + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    raise SystemExit(f"no option {name}")


def prepare() -> None:
    """What bench.worker.programs.prepare does."""
    print(f"memory-mib {option('--memory-mib')}")
    names = sys.argv[sys.argv.index("--workloads") + 1 :]
    taken = {**DESCRIPTION, "step_seconds": 0.001 + 1e-9 * os.getpid()}  # measured, so never twice the same
    answer = {"backend": option("--backend"), "workloads": [{**taken, "workload": name} for name in names]}
    if os.environ.get("FAKE_FAULT") == "prepare:large":
        unbuilt = dict.fromkeys(("parameters", "step_seconds", "step_flops")) | {"memory_mib": 10**9}
        answer["workloads"] = [{**one, **unbuilt} for one in answer["workloads"]]
    if os.environ.get("FAKE_FAULT") == "prepare:error":
        answer = {"error": "mlp: does not build: ValueError: no"}
    if os.environ.get("FAKE_FAULT") == "prepare:refused":
        answer = {"error": f"{names[0]}: does not fit"}
    if os.environ.get("FAKE_FAULT") == f"{option('--backend')}:refuses":
        answer = {"workload": names[0], "error": "mlp: needs another backend"}
    for what in ("own", "elsewhere"):  # FAKE_OWN and FAKE_ELSEWHERE are paths with colons between them
        answer[what] = list(filter(None, os.environ.get(f"FAKE_{what.upper()}", "").split(":")))
    Path(option("--output")).write_text(json.dumps(answer))


def train() -> None:
    """What bench.worker.programs.train does."""
    die_with_parent()
    needs = [option("--workload"), *os.environ.get("FAKE_NEEDS", "").split(":")]
    gone = [one for one in needs if "/" in one and not Path(one).exists()]
    if gone:
        raise SystemExit(f"FileNotFoundError: {gone[0]}")
    if os.environ.get("FAKE_VISITS"):
        visit()
    backend, fault = os.environ.get("FAKE_FAULT", ":").split(":")
    if backend == option("--backend"):
        misbehave(fault)
    content = json.loads(Path(os.environ["FAKE_RECORD"]).read_text())
    for name in ("workload", "dataset", "backend", "device"):
        content["launch"]["case"][name] = option(f"--{name}")
    content["launch"]["case"]["variant"] = option("--variant") if "--variant=" in " ".join(sys.argv) else ""
    several = "--device-count=" in " ".join(sys.argv)
    content["launch"]["case"]["device_count"] = int(option("--device-count")) if several else 1
    for name in ("samples", "epochs", "batch_size"):
        content["launch"]["case"][name] = int(option(f"--{name.replace('_', '-')}"))
    cold, steady = content["launch"]["epochs"][:2]
    content["launch"]["case"]["track"] = option("--track")
    content["launch"]["resolved"]["device"] = option("--device")
    content["launch"]["knobs"] = json.loads(option("--knobs")) if "--knobs" in " ".join(sys.argv) else {}
    content["launch"]["seed"] = int(option("--seed"))
    del content["launch"]["repetition"]
    # A clock does not repeat itself exactly, nor do two backends or variants share their luck.
    variant = content["launch"]["case"]["variant"]
    luck = len(option("--backend") + variant) + sum(map(ord, variant[-1:]))
    spread = float(os.environ.get("FAKE_SPREAD", 0.01))
    slower = json.loads(os.environ.get("FAKE_SLOWER", "{}"))  # backends and variants, each with a factor
    for name in (option("--backend"), variant):
        steady["seconds"] *= slower.get(name, 1)
    steady["seconds"] *= float(os.environ.get("FAKE_FACTOR", 1))
    steady["seconds"] *= 1 + spread * (7 * content["launch"]["seed"] * luck % 11)
    if backend == option("--backend") and stolen(fault):
        steady["steal_fraction"] = 0.5
    content["launch"]["epochs"] = [cold] + [steady] * (int(option("--epochs")) - 1)
    send({"event": "epoch", "epoch": 0, "seconds": 1.0, "loss": 0.5, "metric": 0.8})
    if backend == option("--backend"):
        content = spoilt(content, fault)
    if os.environ.get("FAKE_SEEN"):
        Path(os.environ["FAKE_SEEN"]).write_text(json.dumps(dict(os.environ)))
    Path(output()).write_text(json.dumps(measured(content) if as_worker() else content))
    if backend == option("--backend"):
        end_badly(fault)


def visit() -> None:
    """Add a line to the file that FAKE_VISITS names: the node, GPU and CPUs of this launch, and whether it is alone."""
    node, gpu = os.environ["TMPDIR"], os.environ.get("CUDA_VISIBLE_DEVICES", "none")
    held = os.open(Path(node, f"gpu{gpu}.lock"), os.O_RDWR | os.O_CREAT)  # until this process ends
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except OSError:
        alone = False
    line = {"node": Path(node).name, "gpu": gpu, "cpus": sorted(os.sched_getaffinity(0)), "alone": alone}
    with Path(os.environ["FAKE_VISITS"]).open("a") as visits:
        print(json.dumps(line), file=visits, flush=True)


def measured(record):
    """What a worker writes of what stands in a record: the launch, and what the benchmark's table says of it."""
    seconds = [epoch["seconds"] for epoch in record["launch"]["epochs"][1:]] or [1.0]
    rounds = {"group": "mlp", "name": "mlp", "seconds": seconds, "extra_info": {}}
    return {**record, "schema": record["launch"]["schema"], "rounds": rounds}


def spoilt(content, fault):
    """The record as a worker should not leave it."""
    launch = content["launch"]
    if fault == "record with NaN":
        launch["epochs"][1]["seconds"] = float("nan")
    if fault == "ran on the cpu":
        launch["resolved"]["device"] = "cpu"
    if fault == "record of wrong types":
        launch["epochs"] = {"seconds": "long"}
    if fault == "record with a path in a name":
        launch["case"]["workload"] = "../../../outside"
    if fault == "waits":
        content["padding"] = "x" * 2**18
    if fault == "huge record":
        content["padding"] = "x" * 2**27
    return content


def end_badly(fault):
    """Do after the record is complete what a worker should not."""
    if fault == "segfault at exit":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "hangs at exit":
        time.sleep(600)
    if fault == "child outlives it" and os.fork() == 0:
        time.sleep(600)
    if fault == "child in a session of its own" and os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        time.sleep(600)


def stolen(fault: str) -> bool:
    """Whether the host takes half of this launch's time: always, or only of the backend's first."""
    return fault == "stolen" or (
        fault == "stolen once" and not list(Path(output()).parent.glob(f"*{option('--backend')}*.json"))
    )


def climb() -> None:
    """What bench.worker.programs.parity does."""
    import site

    site.main()  # left out at the start, which so takes half as long; a recording needs NumPy

    import recordings

    backend, fault = os.environ.get("FAKE_LADDER", ":").split(":")
    described = {name: option(f"--{name}") for name in ("backend", "device", "numerics", "variant")}
    described["device_count"] = int(option("--device-count"))
    exact = described["numerics"] == "float64"
    changes = None
    if backend == described["backend"]:
        misbehave(fault)
        if fault == "parts" and exact and described["variant"] in ("", os.environ.get("FAKE_VARIANT", "")):
            changes = {"outputs/dense": recordings.RUNGS["outputs/dense"] + 1e-3}
    for seed, climbed in itertools.product(option("--seeds").split(","), option("--climbs").split(",")):
        folder = Path(option("--output"))
        track, optimizer = climbed.split("-")
        described |= {"track": track, "optimizer": optimizer}
        recordings.save(folder, changes, workload=option("--workloads"), seed=int(seed), **described)
        send({"event": "climbed", "workload": option("--workloads"), "seed": int(seed)})


def tune() -> None:
    """What bench.worker.programs.tuning does: the second configuration is the fastest.

    FAKE_TUNE is `BACKEND:FAULT`, or `BACKEND:FAULT in turn` for the final alone; FAKE_FINAL says of the final's turns
    what they find: `as fast`, or `stolen`.
    """
    path, alone = Path(option("--output")), "--knobs=" in " ".join(sys.argv)
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    known = [line["knobs"] for line in lines if "begun" not in line]
    backend, fault = os.environ.get("FAKE_TUNE", ":").split(":")
    misbehaves = backend == option("--backend") and alone == fault.endswith(" in turn")
    for number, turned in enumerate(("a", "b", "c")):
        knobs = {"steps": turned, "malloc": "default"}
        if knobs in known or (alone and json.loads(option("--knobs")) != knobs):
            continue
        with path.open("a") as file:
            print(json.dumps({"begun": knobs}), file=file, flush=True)
            send({"event": "trying", "number": number + 1, "about": 3, "words": f"steps={turned}"})
            if misbehaves and (turned == ("b" if alone else "a") or fault == "no backend"):
                misbehave(fault.removesuffix(" in turn"))
            seconds = 0.001 * (3, 1, 2)[number]
            row = in_turn(knobs, seconds, path) if alone else {"step_seconds": seconds, "disturbed": ""}
            print(json.dumps({"knobs": knobs, "status": "ok", "reason": "", **row}), file=file, flush=True)


def in_turn(knobs: dict[str, str], seconds: float, path: Path) -> dict[str, object]:
    """What is found of a configuration in its turn: in every third the same."""
    counted = path.with_name(f"{path.stem}-{knobs['steps']}")
    turn = int(counted.read_text()) if counted.exists() else 0
    counted.write_text(str(turn + 1))
    found = os.environ.get("FAKE_FINAL", "")
    seconds = (0.003 if found == "as fast" else seconds) * (1 + 1e-4 * (turn * ord(knobs["steps"]) % 3))
    disturbed = "the host took 50% of the machine's time" if found == "stolen" else ""
    return {"step_seconds": seconds, "disturbed": disturbed}


def take_apart() -> None:
    """What bench.worker.programs.explain does."""
    backend, fault = os.environ.get("FAKE_FAULT", ":").split(":")
    if backend == option("--backend"):
        misbehave(fault)
    words = ("workload", "backend", "device", "numerics")
    about = {name: option(f"--{name}") for name in words} | {"seed": int(option("--seed"))}
    milliseconds = {"as it is": 1.0, "resident input": 0.9, "without metrics": 0.8, "plain SGD": 0.7, "one sample": 0.6}
    noise = 1 + 1e-3 * about["seed"]
    trainings = {
        name: {"epoch_seconds": 0.064 * took * noise, "steps": 64, "batch_size": 128}
        for name, took in {**milliseconds, "short": 0.25, "steps_per_execution=16": 0.5 * noise}.items()
    }
    trainings["short"]["steps"], trainings["one sample"]["batch_size"] = 16, 1
    for one in trainings.values():
        one |= {"cold_seconds": 1.0, "fit_seconds": 0.002, "error": ""}
    seen = {
        "metrics": ["accuracy"],
        "callbacks": [],
        "steps_per_epoch": 468,
        "compilations": 0,
        "memory_mib": [1.0] * 10,
    }
    if any(word.startswith("--trace=") for word in sys.argv):
        row = {"layer": "dense", "kind": "Dense", "phase": "forward", "operation": "MatMul", "calls": 1.0}
        told = {"error": "", "steps": 24, "plain_seconds": 1.0, "traced_seconds": 1.5}
        place = f"{Path(option('--trace')).name}/trace.json.gz"
        seen["operations"] = {**told, "trace": place, "rows": [{**row, "seconds": 0.001}]}
    Path(option("--output")).write_text(json.dumps({**about, **seen, "trainings": trainings}))


def ceiling() -> None:
    """What bench.worker.programs.ceiling does."""
    backend, fault = os.environ.get("FAKE_CEILING", ":").split(":")
    if backend == option("--backend"):
        misbehave(fault)
    print("something said before")
    print(json.dumps({"flops_per_second": 1e9 * len(option("--backend")), "size": 2048}))


def misbehave(fault: str) -> None:
    """Do what a worker should not."""
    if fault == "killed":
        send({"event": "epoch", "epoch": 0, "seconds": 1.0, "loss": 0.5, "metric": 0.8})
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "child, then hangs" and os.fork() == 0:
        os.setsid()
        time.sleep(600)
    if fault in ("hangs", "waits", "child, then hangs"):
        whole = Path(os.environ.get("FAKE_PID") or output()).with_suffix(".pid")
        part = whole.with_suffix(".part")
        part.write_text(str(os.getpid()))
        part.rename(whole)  # so that a test never reads half of it
        for _ in range(6_000):
            if fault == "waits" and (whole.parents[2] / "go on").exists():
                return
            time.sleep(0.1)
    if fault == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "no host memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
        bytearray(2**30)
    if fault.startswith("no device memory"):
        send({"event": "failed", "reason": DEVICE_MEMORY[fault.rpartition(" ")[2]]})
        raise SystemExit(1)
    if fault == "endless output":
        while True:
            sys.stderr.write("no end \n" * 1000)
    if fault == "garbled messages":
        for message in ([], {"event": "epoch", "seconds": "long"}, {"event": "epoch", "epoch": None}, "x" * 10**5):
            send(message)
    if fault == "no backend":
        raise SystemExit("ModuleNotFoundError: No module named 'torch'")
    if fault == "no record":
        raise SystemExit(0)
    if fault == "deep record":
        Path(output()).write_text('{"launch": ' + "[" * 10**5 + "]" * 10**5 + "}")
        raise SystemExit(0)
    if fault == "half a record":
        Path(output()).write_text('{"launch": {')
        raise SystemExit(0)


def send(message: object) -> None:
    """Tell the parent, if there is one, and wait for its answer."""
    if "BENCH_MESSAGES" not in os.environ:
        return
    with socket.socket(fileno=os.dup(int(os.environ["BENCH_MESSAGES"]))) as channel:
        channel.sendall(json.dumps(message).encode() + b"\n")
        channel.recv(1)


if "bench.worker.programs.prepare" in sys.argv:
    prepare()
elif "bench.worker.programs.installed" in sys.argv:
    keras = os.environ.get("FAKE_KERAS", "3.15.1")
    print("no answer" if keras == "gone" else json.dumps({"python": "3", "keras": keras}))
elif "bench.worker.programs.ceiling" in sys.argv:
    ceiling()
elif "bench.worker.programs.tuning" in sys.argv:
    tune()
elif "bench.worker.programs.parity" in sys.argv:
    climb()
elif "bench.worker.programs.explain" in sys.argv:
    take_apart()
else:
    train()
