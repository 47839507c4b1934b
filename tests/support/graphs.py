"""What can be counted in a graph of imports: circles, floors, and arrows that point up."""

import functools
from collections.abc import Collection, Mapping

Graph = Mapping[str, Collection[str]]
"""A name, and the names that it imports, every one of which is a key."""


def reachable(graph: Graph, start: str) -> set[str]:
    """Return what a name imports, and what that imports, and so on; itself only where it lies on a circle."""
    reached: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph[name]
    return reached


def circles(graph: Graph) -> list[list[str]]:
    """Return the strongly connected components of more than one name."""
    reach = {name: reachable(graph, name) for name in graph}
    found = {frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]}
    return sorted(sorted(names) for names in found)


def floors(graph: Graph) -> dict[str, int]:
    """Return the floor of each name, 1 for one that imports nothing; names on one circle share a floor."""
    circle = {name: frozenset(names) for names in circles(graph) for name in names}

    @functools.cache
    def floor(name: str) -> int:
        together = circle.get(name, frozenset([name]))
        below = {lower for member in together for lower in graph[member]} - together
        return 1 + max(map(floor, below), default=0)

    return {name: floor(name) for name in graph}


def arrows(graph: Graph) -> list[tuple[str, str]]:
    """Return every arrow of a graph, as (importer, imported)."""
    return [(name, lower) for name in sorted(graph) for lower in sorted(graph[name])]


def arrows_up(graph: Graph) -> int:
    """Return how few arrows have to go until no circle is left: those that no order of the rooms points down."""
    return sum(_against_the_best_order(graph, names) for names in circles(graph))


def _against_the_best_order(graph: Graph, names: list[str]) -> int:
    """Return the fewest arrows among these names that point up, over all orders: dynamic programming over sets."""
    bit = {name: 1 << at for at, name in enumerate(names)}
    imports = [sum(bit[lower] for lower in graph[name] if lower in bit) for name in names]
    fewest = [0] + [len(names) ** 2] * (2 ** len(names) - 1)
    for below, best in enumerate(fewest):  # `below` is laid; each name that is not is tried as the next one up
        for at, lower in enumerate(imports):
            if not below & 1 << at:
                above = below | 1 << at
                fewest[above] = min(fewest[above], best + (lower & ~above).bit_count())
    return fewest[-1]


def without_shortcuts(graph: Graph) -> dict[str, list[str]]:
    """Return the graph without the arrows that follow from others; it must have no circle."""
    return {
        name: sorted(lower for lower in below if not any(lower in reachable(graph, other) for other in below))
        for name, below in graph.items()
    }
