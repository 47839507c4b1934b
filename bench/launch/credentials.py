"""The user's credentials, kept from workers: a worker runs models, and models may be anybody's."""

import os
import re
from collections.abc import Sequence

from bench.contract.errors import UsageError

CREDENTIAL = re.compile(
    r"(TOKEN|SECRET|PASS(WORD|WD|PHRASE)?|CREDENTIAL|COOKIE|(^|_|API|ACCESS|PRIVATE)KEY)S?\d*(_|$)|(^|_)AUTH|_(PWD|PAT)$"
    r"|^(AWS|AZURE|GCP|GOOGLE|KAGGLE|WANDB|PIP|UV)_",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"://[^/\s:@]*:[^/\s@]+@")  # with a password in it, as a proxy's or a database's may be


def strip_credentials(keep: Sequence[str]) -> None:
    """Take credentials out of this process's environment, and so out of every worker's, but for the names in `keep`.

    Raises UsageError for one that is to be kept and is not there.
    """
    for name in keep:
        if name not in os.environ:
            raise UsageError(f"--pass-env {name}: no such variable is set here; set it, or leave the option out")
    for name, value in list(os.environ.items()):
        if name not in keep and (CREDENTIAL.search(name) or ADDRESS.search(value)):
            del os.environ[name]
