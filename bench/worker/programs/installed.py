"""What is installed in this environment? One JSON line on standard output, nothing imported.

python -m bench.worker.programs.installed                    # each package's version
python -m bench.worker.programs.installed --backend torch    # what a worker of this backend lacks: {"missing": [name]}
"""

import argparse
import importlib.metadata
import json
import platform
from importlib.util import find_spec

from bench.contract.catalog import facts_of


def main() -> None:
    """Answer one of the two questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend")
    backend = parser.parse_args().backend
    print(json.dumps(versions() if backend is None else {"missing": missing(backend)}))


def versions() -> dict[str, str]:
    """The version of Python and of each package: where one is there twice, of the one that is imported, the first."""
    distributions = reversed([*importlib.metadata.distributions()])
    found = {one.metadata["Name"]: one.version for one in distributions}
    return {"python": platform.python_version(), **dict(sorted(found.items()))}


def missing(backend: str) -> list[str]:
    """Which of the two modules that a worker needs are not there; NumPy comes with Keras."""
    return [name for name in ("keras", facts_of(backend).packages[0]) if find_spec(name) is None]


if __name__ == "__main__":
    main()
