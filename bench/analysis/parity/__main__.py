"""What the ladders of a run show, for a parent without pandas: `python -m bench.analysis.parity FOLDER`."""

import sys
from pathlib import Path

from bench.analysis.parity.compare import compare
from bench.contract import files, run_json


def main(folder: Path) -> None:
    """Print what broke, or that nothing did."""
    parity = compare(folder, run_json.read(files.load(folder / "run.json")))
    for problem in parity.problems if parity else []:
        print(problem.removeprefix("parity: "))
    if parity and not parity.problems:
        agree = f"all ladders of {parity.steps} steps agree{', but for known inaccuracy' if parity.known else ''}"
        print(agree if len(parity.exact) or len(parity.shared) else "nothing could be compared")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
