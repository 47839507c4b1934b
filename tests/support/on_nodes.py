"""What tests of runs on several nodes look at: processes by node, and a run without what may differ on them."""

import time

import psutil
from support.playback import launches

from bench.analysis import frames
from bench.analysis.frames import CASES

TIMES = ("wall_seconds", "command", "node")  # in which a launch elsewhere may differ


def processes_of(folder):
    """The processes whose TMPDIR is this folder, but for those that have ended."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def compared(folder):
    """The launches of a run without what may differ between two runs of the same."""
    found = launches(folder)
    kept = [{name: value for name, value in launch.items() if name not in TIMES} for launch in found]
    return sorted(kept, key=lambda launch: (launch["case"]["backend"], launch["repetition"], launch["attempt"]))


def figures(found):
    """What a run's figures rest on, whatever it took to get there."""
    columns = [*CASES, "repetition", "seed", "status", "epoch_seconds", "test_metric", "samples_per_epoch"]
    return frames.counted(found)[columns].sort_values(["backend", "repetition"]).reset_index(drop=True)


def wait_for(number, process, folder):
    """Wait until so many records are there."""
    deadline = time.monotonic() + 300
    while len(list(folder.glob("results/*/launches/[!.]*.json"))) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
