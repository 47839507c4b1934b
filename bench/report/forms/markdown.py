"""A report as Markdown, for pull requests and for reading in place."""

from bench.report.view import Page, Table


def render(page: Page) -> str:
    """The page as one Markdown document."""
    parts = [f"# {page.title}"]
    if page.verdicts:
        parts.append("\n".join(f"- {_text(said.text)}" for said in page.verdicts))
    if page.problems:
        parts.append("\n".join(["**Problems:**", "", *(f"- {_text(line)}" for line in page.problems)]))
    parts += [_table(table) for table in page.tables]
    if page.remarks:
        parts.append("\n".join(["## Remarks", "", *(f"- {_text(said.text)}" for said in page.remarks)]))
    parts.append(
        "\n".join(["## What was measured, on what", "", *(f"- {name}: {_text(text)}" for name, text in page.facts)])
    )
    if page.snippets:
        blocks = [f"{_text(name)}:\n\n```python\n{code}\n```" for name, code in page.snippets]
        parts.append("\n\n".join(["## The fastest calls of fit", *blocks]))
    if page.commands:
        lines = [f"# {' '.join(name.split())}\n{command}" for name, command in page.commands]
        parts.append("\n".join(["## One launch by hand", "", "```sh", *lines, "```"]))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    right = ["---", *["---:"] * (len(table.columns) - 1)]
    rows = [table.columns, right, *([_text(cell) for cell in row] for row in table.rows)]
    lines = [f"## {_text(table.title)}", "", *(f"| {' | '.join(row)} |" for row in rows), ""]
    return "\n".join(lines + [f"{_text(note)}  " for note in table.notes]).rstrip()


def _text(text: str) -> str:
    """What a user's file says, as text: no line break, cell border or HTML comes through."""
    escaped = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace("|", "\\|").replace("*", "\\*")
