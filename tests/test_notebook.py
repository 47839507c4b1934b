"""The notebook of the documentation, run as Jupyter runs it."""

import sys

import nbformat
import pytest
from nbclient import NotebookClient

from bench.contract.paths import ROOT


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_cell_of_the_notebook_runs_and_shows_what_it_says(tmp_path, monkeypatch):
    notebook = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("(x, y), ", f"(x, y), output={str(tmp_path)!r}, ")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT / "docs")}})
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable
    client.execute()
    *_, proof, result, comparisons, epochs, figures = [one.outputs for one in notebook.cells if one.cell_type == "code"]

    assert proof[-1]["text"].startswith("build: torch computes what jax computes, in exact mode on every rung of 20 ")
    assert "<table>" in result[-1]["data"]["text/html"]
    assert "verdict" in comparisons[-1]["data"]["text/html"]
    assert "torch" in epochs[-1]["data"]["text/html"]
    assert len(figures[-1]["data"]["text/plain"]) > 10
    assert not any(output.get("name") == "stderr" for one in notebook.cells for output in one.get("outputs", []))
