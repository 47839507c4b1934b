"""Five hundred launches in one run whose parent is killed twenty times: is the report that of an undisturbed run?"""

import json
import random
import shutil
import time

import pytest
from support.playback import launches, state

from bench.analysis import analyse
from bench.report import write

pytestmark = [pytest.mark.faults, pytest.mark.long]

KILLS = 20
MOST = 24  # launches that a parent gets done until it is killed: all together less than the run has
START_SECONDS, LAUNCH_SECONDS = 1.0, 0.1  # about as long as the start of a run takes, and a launch
ASKED = ["--workloads=mlp,cnn", "--launches=84", "--no-parity"]  # 504 launches
SOME_TIME = {"id": "RUN", "started": "2026-01-01T00:00:00+00:00", "wall_seconds": 0.0, "tuning_seconds": 0.0}


def replayed(folder, place):
    """A copy of a run as if it had been made at another place and time: clocks are replayed, all else is as it was."""
    copy = place / "run"
    shutil.copytree(folder, copy)
    for path in [copy / "run.json", *(copy / "launches").glob("*.json")]:
        content = json.loads(path.read_text().replace(str(folder.parent), "RESULTS").replace(folder.name, "RUN"))
        if path.name == "run.json":
            content |= SOME_TIME
            content["machine"]["load_average"] = [0.0, 0.0, 0.0]
            for one in (*content["plan"], *content["workloads"]):
                one |= {name: 1.0 for name in ("expected_seconds", "step_seconds") if name in one}
        else:
            content["launch"]["wall_seconds"] = 1.0
        path.write_text(json.dumps(content))
    return copy


def made(folder, place):
    """What a run's report consists of, each file with its bytes, and run.json, when clocks are replayed."""
    copy = replayed(folder, place)
    write(analyse(copy), copy)
    return {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file() and path.name != "run.log"}


def wait_for(records, results, process):
    """Until a run under way has so many records."""
    deadline = time.monotonic() + 60
    while len(list(results.glob("*/launches/[!.]*.json"))) < records:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_run_killed_twenty_times_gives_the_undisturbed_report(bench, judge, tmp_path):
    bench.run("run", *ASKED, f"--output={tmp_path / 'undisturbed'}")
    (undisturbed,) = (tmp_path / "undisturbed").glob("*-*")

    generator = random.Random(0)  # noqa: S311
    killed = 0
    while killed < KILLS:
        folders = list(bench.results.glob("*/run.json"))
        words = ["--resume", folders[0].parent.name, f"--output={bench.results}"] if folders else ASKED
        process = bench.start("run", *words)
        done = generator.randint(0, MOST)
        wait_for(len(bench.kept) + done, bench.results, process)
        time.sleep(generator.uniform(0.0, LAUNCH_SECONDS if done else START_SECONDS))
        bench.kill(process)
        bench.keep()
        killed += bool(list(bench.results.glob("*/run.json")))  # before there is one, there is no run to go on with
    (folder,) = [path.parent for path in bench.results.glob("*/run.json")]
    ended = bench.resume(folder)
    expected, observed = made(undisturbed, tmp_path / "a"), made(folder, tmp_path / "b")
    names = sorted(expected.keys() | observed.keys())
    differing = [name for name in names if expected.get(name) != observed.get(name)]

    told = f"exit {ended.code}, {state(folder)}, {len(launches(folder))} measured; files that differ: {differing}"
    wanted = "exit 0, finished, 504 measured; files that differ: []"
    judge("504 launches, parent killed 20 times and resumed", wanted, told)
    assert expected.keys() >= {"report.md", "report.html", "cases.csv", "epochs.csv", "run.json"}
