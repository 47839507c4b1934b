"""What the ladders of a run show, for a parent without pandas: `python -m bench.analysis.parity FOLDER`."""

import json
import sys
from pathlib import Path

from bench.analysis.parity.compare import compare


def main(folder: Path) -> None:
    """Print what broke, or that nothing did."""
    parity = compare(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")))
    for problem in parity.problems if parity else []:
        print(problem.removeprefix("parity: "))
    if parity and not parity.problems:
        print(f"all ladders of {parity.steps} steps agree" if len(parity.exact) else "nothing could be compared")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
