"""How long do analysis and report of very many launches take, and how much memory? Prints figures; asserts nothing.

python tests/large_run.py 10000
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.analysis import analyse
from bench.report import write

RECORDED = Path(__file__).parent / "recorded" / "three-launches"


def make(folder: Path, launches: int) -> None:
    """A run of the recorded one's cases, each with its share of the launches, their times drawn anew."""
    description = json.loads((RECORDED / "run.json").read_text())
    description["launches"] = launches // len(description["plan"])
    generator = np.random.default_rng(0)
    (folder / "launches").mkdir(parents=True)
    for number, planned in enumerate(description["plan"]):
        name = f"{Path(planned['case']['workload']).stem}-{planned['case']['backend']}"
        content = json.loads(next((RECORDED / "launches").glob(f"r000*{name}*")).read_text())
        seconds = [epoch["seconds"] for epoch in content["launch"]["epochs"]]
        for repetition in range(description["launches"]):
            luck = float(np.exp(generator.normal(0, 0.1)))
            content["launch"] |= {"repetition": repetition, "seed": repetition}
            for epoch, recorded in zip(content["launch"]["epochs"], seconds, strict=True):
                epoch["seconds"] = recorded * luck
            (folder / "launches" / f"r{repetition:04}-c{number:02}.json").write_text(json.dumps(content, indent=1))
    for workload in description["workloads"]:
        workload["weights"] = {}
    (folder / "run.json").write_text(json.dumps(description))


if __name__ == "__main__":
    wanted = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        make(Path(name) / "run", wanted)
        began = time.perf_counter()
        found = analyse(Path(name) / "run")
        took = time.perf_counter() - began
        write(found, Path(name) / "run")
        written = time.perf_counter() - began - took
        page = (Path(name) / "run" / "report.html").stat().st_size / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(found.run.launches)} launches analysed in {took:.1f} s, the report written in {written:.1f} s, its page "
        f"{page:.1f} MiB; the process took {peak:.0f} MiB at most"
    )
