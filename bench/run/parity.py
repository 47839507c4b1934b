"""Parity: each backend climbs the ladder in a process of its own; what comes after reads only the recordings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.launch.interruption import under_way
from bench.plan.cases import devices_of
from bench.plan.options import ParityOptions
from bench.plan.parity import plan_ladders
from bench.run.console import RunConsole
from bench.run.devices import limits_here, measured_gpus
from bench.run.folder import LOG, describe, new_run, remove, write_state
from bench.run.ladders import climb
from bench.run.prepare import prepare, remarks


def parity(options: ParityOptions, console: RunConsole) -> Path:
    """Climb every ladder that the options ask for and return the run's folder.

    Raises UsageError for what the user can mend, RunError where no backend works. Ctrl-C ends it early; the recordings
    made until then are kept.
    """
    began = time.monotonic()
    with under_way(console.say):
        gpus = measured_gpus(options)
        devices = devices_of(options, gpus)
        is_new = not options.output.exists()
        folder = new_run(options.output)
        console.log_to(folder / LOG)
        try:
            prepared = prepare(options, folder, memory_mib=0)  # nothing is climbed that needs a device of some size
            limits = limits_here(gpus, prepared.pythons)
            ladders = plan_ladders(options, options.tracks, dict.fromkeys(devices, options.numerics), limits)
            description = describe(options, prepared, launches=options.launches, plan=[])
            for remark in remarks(options, prepared):
                console.say(remark)
        except BaseException:
            remove(folder, options.output if is_new else None)
            raise
        write_state(folder, description, "running")
        state, climbed = "interrupted", list[dict[str, Any]]()
        try:
            climb(prepared, ladders, options.seeds, options.steps, 0, console, climbed)
            state = "finished"
        except KeyboardInterrupt:
            pass  # said when it is written
        finally:
            recorded = {"steps": options.steps, "seeds": options.seeds, "test_samples": None, "ladders": climbed}
            write_state(folder, description, state, parity=recorded, wall_seconds=time.monotonic() - began)
        if state == "interrupted":
            console.say("interrupted: what was recorded is kept")
        return folder
