"""What several tests of the analysis share."""

import json

import pytest

from bench.analysis.explain import explained


@pytest.fixture
def explanation(tmp_path):
    """What is made of launches of an explanation."""

    def make(*launches):
        (tmp_path / "explain").mkdir()
        for number, one in enumerate(launches):
            (tmp_path / "explain" / f"{number}.json").write_text(json.dumps(one))
        return explained(tmp_path)

    return make
