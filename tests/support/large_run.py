"""How long do analysis and report of very many launches or cases take, how large is the page, how long does it open?

python tests/support/large_run.py 10000         # launches, of the six recorded cases
python tests/support/large_run.py 10000 1000    # launches, of so many cases

Prints figures; asserts nothing. Opening is timed where Chromium and Playwright are installed: from the address to the
load event, and until a picture is drawn and the browser has been idle for a moment.
"""

import copy
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.analysis import analyse
from bench.report import write

RECORDED = Path(__file__).parents[1] / "recorded" / "three-launches"
TRACKS = ("fit", "tuned", "loop", "native")
BATCH_SIZES = (32, 64, 128, 256, 512)
COPIES = [{"batch_size": size, "track": track} for size in BATCH_SIZES for track in TRACKS]  # of one workload


def make(folder: Path, launches: int, cases: int | None = None) -> int:
    """A run with copies of the recorded one's cases and launches, their times drawn anew; says how many cases.

    A copy is another track, then another batch size, then another workload.
    """
    description = json.loads((RECORDED / "run.json").read_text())
    recorded, workloads = description["plan"], description["workloads"]
    sets = -(-(cases or len(recorded)) // len(recorded))
    description["plan"], description["workloads"] = [], []
    description["launches"] = launches // (sets * len(recorded))
    generator = np.random.default_rng(0)
    (folder / "launches").mkdir(parents=True)
    for number in range(sets):
        turn, place = divmod(number, len(COPIES))
        change = COPIES[place] if sets > 1 else {}
        for planned in recorded:
            case = {**planned["case"], **change, "workload": _name(planned["case"]["workload"], turn)}
            description["plan"].append({**planned, "case": case})
            name = f"c{len(description['plan']):04}"
            _launches(folder / "launches", planned["case"], case, name, description["launches"], generator)
        if not place:
            for workload in workloads:
                name = _name(workload["workload"], turn)
                description["workloads"].append({**copy.deepcopy(workload), "workload": name, "weights": {}})
    (folder / "run.json").write_text(json.dumps(description))
    return len(description["plan"])


def _name(workload: str, turn: int) -> str:
    return f"{workload}_{turn}" if turn else workload


def _launches(folder: Path, recorded: dict, case: dict, stem: str, launches: int, generator: np.random.Generator):
    name = f"{Path(recorded['workload']).stem}-{recorded['backend']}"
    content = json.loads(next((RECORDED / "launches").glob(f"r000*{name}*")).read_text())
    seconds = [epoch["seconds"] for epoch in content["launch"]["epochs"]]
    factor = float(np.exp(generator.normal(0, 0.3)))
    for repetition in range(launches):
        luck = factor * float(np.exp(generator.normal(0, 0.1)))
        content["launch"] |= {"case": case, "repetition": repetition, "seed": repetition}
        for epoch, recorded_seconds in zip(content["launch"]["epochs"], seconds, strict=True):
            epoch["seconds"] = recorded_seconds * luck
        (folder / f"r{repetition:04}-{stem}.json").write_text(json.dumps(content, indent=1))


def opening(path: Path) -> str:
    """How long Chromium takes to open the page; nothing where there is none."""
    browser = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return ""
    if browser is None:
        return ""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        chromium.new_page().goto("about:blank")
        page = chromium.new_page()
        began = time.perf_counter()
        page.goto(path.as_uri())
        loaded = time.perf_counter() - began
        page.wait_for_selector(".js-plotly-plot")
        page.evaluate("() => new Promise((done) => requestIdleCallback(done))")
        drawn = time.perf_counter() - began
        chromium.close()
    return f"; Chromium loads it in {loaded:.1f} s and has drawn and is idle after {drawn:.1f} s"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        made = make(Path(name) / "run", *map(int, sys.argv[1:3]))
        began = time.perf_counter()
        found = analyse(Path(name) / "run")
        took = time.perf_counter() - began
        write(found, Path(name) / "run")
        written = time.perf_counter() - began - took
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        page = Path(name) / "run" / "report.html"
        size, opened = page.stat().st_size / 2**20, opening(page)
    print(
        f"{len(found.run.launches)} launches of {made} cases analysed in {took:.1f} s, the report written in "
        f"{written:.1f} s, with {peak:.0f} MiB at most; its page has {size:.1f} MiB{opened}"
    )
