"""What the tests share: a run recorded once, on a real machine."""

import shutil
from pathlib import Path

import pytest

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture
def recorded_run(tmp_path):
    """A copy of a run of mlp and cnn on three backends, three launches each."""
    return Path(shutil.copytree(RECORDED / "three-launches", tmp_path / "recorded" / "three-launches"))
