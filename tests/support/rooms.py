"""The graph of rooms: who imports whom in `bench/`, `models/` and the noxfile, counted and drawn.

`python tests/support/rooms.py` prints the figures, `--root FOLDER` those of another checkout, and `--write` puts the
drawing into docs/architecture.md. It reads source text, so it needs the standard library alone and runs nothing.

A room is a top-level folder of `bench/`, `models/` or the noxfile. The files that lie in `bench/` itself, `__main__`,
`api` and `__init__`, are one room together; any other file there is a room of its own, as in older checkouts. Imports
inside a function and under `TYPE_CHECKING` count. Of a name made at run time, as in
`import_module(f"bench.commands.{name}")`, its folder counts.

Rooms on one circle share a floor, and of a circle as few arrows count as pointing up as have to go to open it. So
neither figure depends on where a count begins. One that unfolds circles, from some room on, finds more of both.
"""

import argparse
import ast
import io
import signal
import sys
import tokenize
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # a program finds its own folder there, and not this one

from support.graphs import Graph, arrows, arrows_up, circles, floors, without_shortcuts  # noqa: E402

PAGE = Path("docs", "architecture.md")
BEGIN, END = "<!-- rooms: begin, written by `python tests/support/rooms.py --write` -->", "<!-- rooms: end -->"

# Who may import whom: the law that tests/test_rooms.py holds the code to.
PARENT = ("plan", "run", "places", "machine", "launch", "own_models", "analysis", "report", "contract")
ALLOWED = {
    "contract": (),
    "models": (),
    "own_models": ("contract",),
    "own_data": ("own_models", "contract", "models"),
    "launch": ("contract",),
    "analysis": ("contract",),
    "worker": ("contract", "models"),
    "machine": ("launch", "contract"),
    "plan": ("own_models", "contract"),
    "report": ("analysis", "contract"),
    "places": ("machine", "launch", "contract"),
    "run": ("places", "plan", "machine", "launch", "own_models", "own_data", "analysis", "contract"),
    "commands": (*PARENT, "models"),
    "bench": (*PARENT, "models", "commands"),
    "noxfile": ("plan", "machine", "contract"),
}
IN_BENCH_ITSELF = ("bench", "bench.__main__", "bench.api")

Statement = ast.Import | ast.ImportFrom | ast.Call


class Import(NamedTuple):
    """One module imports another: `always` where the import runs as soon as the module is loaded."""

    importer: str
    imported: str
    always: bool


class House(NamedTuple):
    """What was read of one checkout: the path of each module by its dotted name, and every import between them."""

    modules: dict[str, Path]
    imports: list[Import]


def module_name(path: Path) -> str:
    """Return the dotted name of a module's path, which is relative to the checkout."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def read(root: Path) -> House:
    """Read a checkout's modules and imports; raises OSError or SyntaxError where one cannot be read."""
    paths = [*root.glob("bench/**/*.py"), *root.glob("models/**/*.py"), *root.glob("noxfile.py")]
    modules = {module_name(path.relative_to(root)): path for path in sorted(paths)}
    imports = {found for name in modules for found in imports_of(name, modules)}
    return House(modules, sorted(imports))


def imports_of(name: str, modules: Mapping[str, Path]) -> Iterator[Import]:
    """Yield the imports that one module has of the others."""
    path = modules[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node, always in statements(ast.parse(path.read_text(encoding="utf-8"))):
        for target in targets(node, package, modules):
            if target != name:
                yield Import(name, target, always)


def statements(node: ast.AST, always: bool = True) -> Iterator[tuple[Statement, bool]]:
    """Yield every import under a node, and whether it runs when the module is loaded."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom) or (
            isinstance(child, ast.Call) and ast.unparse(child.func).endswith("import_module")
        ):
            yield child, always
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        )
        yield from statements(child, always and not lazy)


def targets(node: Statement, package: str, modules: Collection[str]) -> Iterator[str]:
    """Yield the modules of the checkout that one import names: `from folder import file` names the file."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.Call):
        names = [known_part(name) for name in node.args[:1]]
    else:
        parts = package.split(".")[: -node.level + 1 or None] if node.level else []
        origin = ".".join([*parts, *([node.module] if node.module else [])])
        names = [f"{origin}.{alias.name}" for alias in node.names]
        names = [name if name in modules else origin for name in names]
    yield from (name for name in names if name in modules)


def known_part(name: ast.expr) -> str:
    """Return the whole parts known of a name made at run time: `bench.commands` of `f"bench.commands.{name}"`."""
    first = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else name
    text = first.value if isinstance(first, ast.Constant) else ""
    return str(text).rpartition(".")[0] if first is not name else str(text)


def room(module: str) -> str:
    """Return the room that a module lies in: `run` for `bench.run.measure`."""
    parts = module.split(".")
    if module in IN_BENCH_ITSELF:
        return "bench"
    return parts[1] if parts[0] == "bench" else parts[0]


def inner_room(module: str, modules: Collection[str]) -> str:
    """Return the folder that a module lies in, as `worker/backends/jax`; its room where it lies in no deeper one."""
    if room(module) in ("bench", "noxfile"):
        return room(module)
    packages = {name.rpartition(".")[0] for name in modules}
    folder = module if module in packages else module.rpartition(".")[0]
    return (folder.removeprefix("bench.") if folder != "bench" else room(module)).replace(".", "/")


def grouped(house: House, group: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the graph of groups, such as rooms, from the group of each module."""
    graph: dict[str, set[str]] = {name: set() for name in sorted(set(group.values()))}
    for found in house.imports:
        if group[found.importer] != group[found.imported]:
            graph[group[found.importer]].add(group[found.imported])
    return graph


def rooms(house: House) -> dict[str, set[str]]:
    """Return the graph of rooms."""
    return grouped(house, {module: room(module) for module in house.modules})


def inner_rooms(house: House) -> dict[str, set[str]]:
    """Return the graph of folders."""
    return grouped(house, {module: inner_room(module, house.modules) for module in house.modules})


def loaded(house: House) -> dict[str, set[str]]:
    """Return the graph of modules by what each imports as soon as it is loaded."""
    graph: dict[str, set[str]] = {name: set() for name in house.modules}
    for found in house.imports:
        if found.always:
            graph[found.importer].add(found.imported)
    return graph


def later(house: House) -> dict[str, list[str]]:
    """Return what each module imports in a function or for types alone, where it does."""
    at_once = loaded(house)
    graph: dict[str, list[str]] = {}
    for found in house.imports:
        if found.imported not in at_once[found.importer]:
            graph.setdefault(found.importer, []).append(found.imported)
    return graph


def broken(graph: Graph) -> list[tuple[str, str]]:
    """Return the arrows that ALLOWED does not have; all of an unknown room's are."""
    return [(name, lower) for name, lower in arrows(graph) if lower not in ALLOWED.get(name, ())]


def lines_of_code(path: Path) -> int:
    """Return how many lines of a module are neither blank, comment nor docstring."""
    text = path.read_text(encoding="utf-8")
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in skipped]
    used = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    return len(used - set(docstring_lines(ast.parse(text))))


def docstring_lines(tree: ast.Module) -> Iterator[int]:
    """Yield the numbers of the lines that docstrings take, in any statement that is a text alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def figures(graph: Graph) -> list[tuple[str, str]]:
    """Return the figures of a graph of rooms, each with its name."""
    return [
        ("rooms", f"{len(graph)}"),
        ("floors", f"{max(floors(graph).values(), default=0)}"),
        ("arrows between rooms", f"{len(arrows(graph))}"),
        ("arrows up", f"{arrows_up(graph)}"),
        ("circles of rooms", listed(circles(graph))),
    ]


def listed(found: Collection[Collection[str]]) -> str:
    """Return a number of circles with their members."""
    return "; ".join([str(len(found)), *(", ".join(names) for names in found)])


def sizes(house: House) -> list[tuple[str, str]]:
    """Return how much there is: folders, modules and their lines, which every change moves, so no page repeats them."""
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in house.modules.items()}
    largest = max(lines, key=lambda name: lines[name])
    folders = inner_rooms(house)
    everything = grouped(house, {name: name for name in house.modules})
    return [
        ("folders (inner rooms)", f"{len(folders)}, {max(floors(folders).values())} floors"),
        ("circles of folders", listed(circles(folders))),
        ("modules", f"{len(house.modules)}, {max(floors(everything).values())} floors"),
        ("circles of modules", listed(circles(everything))),
        ("… when they are loaded", listed(circles(loaded(house)))),
        ("imports in functions or for types alone", f"{sum(map(len, later(house).values()))}"),
        ("lines", f"{sum(lines.values()):,}"),
        ("… of code", f"{sum(map(lines_of_code, house.modules.values())):,}"),
        ("largest module", f"{largest}, {lines[largest]} lines"),
    ]


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    written = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([written[0], "|---" * len(head) + "|", *written[1:]])


def rows_of_rooms(graph: Graph) -> list[tuple[str, str, str]]:
    """Return each room with its floor and what it imports, from the top floor down."""
    floor = floors(graph)
    ordered = sorted(graph, key=lambda name: (-floor[name], name))
    return [(f"`{name}`", str(floor[name]), ", ".join(sorted(graph[name])) or "–") for name in ordered]


def drawing(graph: Graph) -> str:
    """Return the graph of rooms as Mermaid, which GitHub draws."""
    drawn = graph if circles(graph) else without_shortcuts(graph)
    return "\n".join(["flowchart TD", *(f"    {name} --> {lower}" for name, lower in arrows(drawn))])


def section(graph: Graph) -> str:
    """Return what stands between the two marks of docs/architecture.md."""
    rows = table(("room", "floor", "imports"), rows_of_rooms(graph))
    return "\n\n".join([BEGIN, f"```mermaid\n{drawing(graph)}\n```", table(("figure", ""), figures(graph)), rows, END])


def rewritten(page: str, graph: Graph) -> str:
    """Return the page with its section written anew."""
    before, _, rest = page.partition(BEGIN)
    return before + section(graph) + rest.partition(END)[2]


def show(house: House) -> None:
    """Print figures, rooms, and which imports are not of the usual kind."""
    graph = rooms(house)
    print(table(("figure", ""), [*figures(graph), *sizes(house)]), end="\n\n")
    print(table(("room", "floor", "imports"), rows_of_rooms(graph)), end="\n\n")
    for name, imported in later(house).items():
        print(f"in a function or for types alone: {name} → {', '.join(imported)}")
    if set(graph) <= set(ALLOWED):  # an older checkout has other rooms, of which the law says nothing
        for name, lower in broken(graph):
            print(f"not allowed: {name} → {lower}")


def main() -> int:
    """Print the figures of a checkout, or write its page; exit status 2 where there is no checkout."""
    parser = argparse.ArgumentParser(description="Count and draw who imports whom in bench/, models/ and the noxfile.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to read (default: this one)")
    parser.add_argument("--write", action="store_true", help=f"write the drawing into {PAGE}")
    given = parser.parse_args()
    if not (given.root / "bench" / "__init__.py").exists():
        parser.error(f"--root {given.root}: no checkout, it has no bench/__init__.py")
    house = read(given.root)
    if given.write:
        page = given.root / PAGE
        page.write_text(rewritten(page.read_text(encoding="utf-8"), rooms(house)), encoding="utf-8")
    else:
        show(house)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it without a word
    sys.exit(main())
