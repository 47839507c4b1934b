"""The documentation: its links lead somewhere, and every page can be reached."""

import re

import pytest

from bench.contract.paths import ROOT

PAGES = [
    path
    for pattern in ("*.md", "docs/*.md", "bench/**/*.md", "models/**/*.md", "results/*.md")
    for path in sorted(ROOT.glob(pattern))
]
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(page):
    """The relative links and pictures of a page, as (path, anchor)."""
    for target in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def anchors(page):
    """The names by which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    for path, anchor in links(page):
        assert path.exists(), path
        assert not anchor or anchor in anchors(path), f"{path}#{anchor}"


def test_every_page_of_the_docs_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [path for path, _ in links(page) if path.exists()]

    assert set((ROOT / "docs").glob("*.md")) <= reached
