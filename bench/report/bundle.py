"""A run in one archive to share: with its records and reports, without the names of host, user and folders."""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import os
import re
import socket
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.contract.catalog import backend_names
from bench.contract.errors import BundleError
from bench.contract.paths import ROOT

COMMIT = ("id", "time", "dirty")  # what a record may say of the commit: a branch can be named after a person
PATH = re.compile(r"""(?<![\w:/.~…-])(?:~|\.{1,2})?/(?=[\w.])[^\s"'`,;:()<>|*\\]+""")
TEXTS = ("run.log", "tuning.csv", "logs/*.log")
NUMBERS = "ladders/*.npz"
SAYS_NOTHING = re.compile(r"(machine-)?\d+")  # a node's name that may stay: as a word it would change too much
PLAIN = ("root", "user", "host", "localhost")  # names that say nothing


def write(folder: Path, target: Path) -> str:
    """Write the archive of a run and say in words what it holds.

    Everything derived is made anew from redacted records, so nothing slips through in a report. Weights are left out:
    they are drawn from the seed. Raises BundleError where the file cannot be written or a name would remain in it.
    """
    names = _names(folder)
    with tempfile.TemporaryDirectory() as name:
        clean = Path(name) / folder.resolve().name
        _copy(folder, clean, lambda text: redacted(text, names))
        _report(clean)
        left = list(_left(clean, names))
        if left:
            raise BundleError(f"{left[0]} would still hold a name of this machine; please report this as a fault")
        files = sorted(path for path in clean.rglob("*") if path.is_file())
        try:
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in files:
                    archive.write(path, path.relative_to(clean.parent))
        except OSError as error:
            raise BundleError(f"--bundle {target}: cannot be written ({error.strerror})") from None
    return f"{target}: {len(files)} files, {target.stat().st_size / 2**20:.1f} MiB"


def redacted(text: str, names: dict[str, str]) -> str:
    """The text with names replaced and each absolute path cut to the part that says something about the software."""
    text = text.replace(f"{ROOT}{os.sep}", "")
    text = PATH.sub(lambda match: _short(match.group()), text)
    for name, word in names.items():
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", word, text)
    return text


def _short(path: str) -> str:
    """From `site-packages` on, or the last part."""
    if "site-packages/" in path:
        return f"…/{path.rpartition('site-packages/')[2]}"
    return f"…/{path.rstrip('/').rpartition('/')[2]}"


def _names(folder: Path) -> dict[str, str]:
    """The names to replace: of this host and user, and of the hosts that the records name."""
    hosts = {socket.gethostname(), socket.gethostname().partition(".")[0], socket.getfqdn()}
    for path in sorted((folder / "launches").glob("[!.]*.json")):
        hosts |= set(re.findall(r'"node": "([^"]+)"', path.read_text(encoding="utf-8", errors="replace")))
    words = dict.fromkeys(hosts, "host") | _nodes(folder)
    words = {name: words[name] for name in sorted(filter(None, words), key=len, reverse=True)}
    with contextlib.suppress(OSError, KeyError):  # a user without a name
        words |= {getpass.getuser(): "user"}
    plain = (*PLAIN, *backend_names())
    return {name: word for name, word in words.items() if name not in plain and not SAYS_NOTHING.fullmatch(name)}


def _nodes(folder: Path) -> dict[str, str]:
    """A word for each node of a run, which the report has to tell apart."""
    try:
        nodes = json.loads((folder / "run.json").read_text(encoding="utf-8")).get("nodes", {})
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}  # which the report says
    return {name: f"machine-{number}" for number, name in enumerate(nodes if isinstance(nodes, dict) else (), 1)}


def _copy(folder: Path, clean: Path, redact: Callable[[str], str]) -> None:
    """Copy, redacted, the files that everything else is made from."""
    for part in ("launches", "logs", "ladders"):
        (clean / part).mkdir(parents=True)
    for path in (folder / "run.json", *sorted((folder / "launches").glob("[!.]*.json"))):
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            text = json.dumps(_walk(json.loads(text), redact), indent=1)
        except (ValueError, RecursionError):
            text = redact(text)  # damaged, and named as such in the report
        (clean / path.relative_to(folder)).write_text(text + "\n", encoding="utf-8")
    for pattern in TEXTS:
        for path in folder.glob(pattern):
            text = redact(path.read_text(encoding="utf-8", errors="replace"))
            (clean / path.relative_to(folder)).write_text(text, encoding="utf-8")
    for path in folder.glob(NUMBERS):
        (clean / path.relative_to(folder)).write_bytes(_recording(path, redact))


def _walk(value: Any, redact: Callable[[str], str]) -> Any:
    """A JSON value with every text in it redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_walk(item, redact) for item in value]
    if isinstance(value, dict):
        if "commit_info" in value and isinstance(value["commit_info"], dict):
            value = {**value, "commit_info": {key: value["commit_info"].get(key) for key in COMMIT}}
        return {redact(key): _walk(item, redact) for key, item in value.items()}
    return value


def _recording(path: Path, redact: Callable[[str], str]) -> bytes:
    """A ladder's recording whose `about` is redacted; a damaged one is left empty, and so named in the report."""
    import numpy as np

    changed = io.BytesIO()
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        arrays["about"] = np.array(redact(str(arrays["about"])))
        np.savez_compressed(changed, **arrays)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return b""
    return changed.getvalue()


def _report(clean: Path) -> None:
    from bench.analysis import analyse
    from bench.report import write as write_report

    write_report(analyse(clean), clean)


def _left(clean: Path, names: dict[str, str]) -> Iterator[str]:
    """The files in which a name or a folder of this machine remains."""
    suspicious = [re.escape(str(place)) for place in (ROOT, Path.home()) if place != Path("/")]
    suspicious += [rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names]
    for path in sorted(clean.rglob("*")):
        if path.suffix in (".json", ".csv", ".md", ".log") and re.search(
            "|".join(suspicious), path.read_text(encoding="utf-8", errors="replace")
        ):
            yield path.name
