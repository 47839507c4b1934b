"""What the parent says of a launch: it checks records with a library that no backend's environment has."""

import json
import subprocess

from bench.contract.paths import ROOT
from bench.machine.environments import environment_python

CHECK = """
import json, sys
from bench.contract import files, launch_record
try:
    launch_record.check({"launch": json.load(sys.stdin)}, "launch")
except files.RecordError as error:
    print(error)
"""


def fault_of(launch):
    """What is wrong with a `launch` object, as the parent's environment says; empty where nothing is."""
    command = [str(environment_python("bench")), "-c", CHECK]
    done = subprocess.run(command, input=json.dumps(launch), capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout
