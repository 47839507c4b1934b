"""What a worker must not see: the user's credentials. It runs models, and models may be anybody's."""

import os
import re
from collections.abc import Sequence

from bench.command_line import UsageError

CREDENTIAL = re.compile(
    r"(^|_)(TOKEN|KEY|APIKEY|SECRET|PASSWORD|PASSWD|PASS|PASSPHRASE|CREDENTIALS?|AUTH|COOKIE)S?(_|$)"
    r"|^(AWS|AZURE|GCP|GOOGLE|KAGGLE|WANDB|PIP|UV)_",  # an index's address may hold a password
    re.IGNORECASE,
)


def forget(keep: Sequence[str]) -> None:
    """Take credentials out of this process's environment, and so out of every worker's, but for the names in `keep`.

    Raises UsageError for one that is to be kept and is not there.
    """
    for name in keep:
        if name not in os.environ:
            raise UsageError(f"--pass-env {name}: no such variable is set here; set it, or leave the option out")
    for name in list(os.environ):
        if CREDENTIAL.search(name) and name not in keep:
            del os.environ[name]
