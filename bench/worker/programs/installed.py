"""What is installed in this environment? One JSON line on standard output: each package's version, nothing imported."""

import importlib.metadata
import json
import platform

if __name__ == "__main__":
    found = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}
    print(json.dumps({"python": platform.python_version(), **dict(sorted(found.items()))}))
