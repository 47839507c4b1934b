"""The documentation: its links lead somewhere, every page can be reached, and the README stays short and plain."""

import re

import pytest

from bench.contract.paths import ROOT

PAGES = [
    path
    for pattern in ("*.md", "docs/**/*.md", "bench/**/*.md", "models/**/*.md", "results/*.md")
    for path in sorted(ROOT.glob(pattern))
]
README = ROOT / "README.md"
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_source_file_that_a_page_names_exists(page):
    named = re.findall(r"`((?:bench|models|tests)/[\w./-]+)`", CODE.sub("", page.read_text(encoding="utf-8")))

    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_every_page_of_the_docs_can_be_reached_from_the_readme():
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [path for path, _ in links(page) if path.exists()]

    assert set((ROOT / "docs").rglob("*.md")) <= reached


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_outside_tables_is_longer_than_120_characters(page):
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)

    assert [number for number, line in lines if len(line) > 120 and not line.startswith("|")] == []


def sentences(text):
    """The sentences of a page's prose: no code, no tables, no pictures, of a link what it shows."""
    prose = re.sub(r"^(\|.*|#.*|!\[.*)$", "\n", CODE.sub("\n", text), flags=re.MULTILINE)
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", prose)
    return [sentence for part in shown.split("\n\n") for sentence in re.split(r"(?<=[.:?!])\s+", part.strip())]


def test_no_sentence_of_the_readme_has_more_than_thirty_words():
    long = [sentence for sentence in sentences(README.read_text(encoding="utf-8")) if len(sentence.split()) > 30]

    assert long == []


def test_the_readme_is_short_and_shows_its_commands_first():
    lines = README.read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 90
    assert "```sh" in lines[:20]
    assert sum(line.startswith("![") for line in lines) == 1
    assert max(len(line.strip("|").split("|")) for line in lines if line.startswith("|")) <= 5


def test_a_sentence_too_long_would_be_seen():
    text = f"# {'Title ' * 40}\n\nShort [one]({'x' * 9}). {'word ' * 31}end.\n\n```sh\n{'code ' * 40}\n```\n"

    assert [len(sentence.split()) for sentence in sentences(text) if len(sentence.split()) > 30] == [32]
