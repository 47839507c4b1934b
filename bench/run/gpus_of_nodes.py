"""A run that has launches on all GPUs of a node at once: which GPUs take part, and what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bench.contract.launch_record import place_name
from bench.contract.machines import Machine, MeasuredGpu
from bench.places.fleet import Fleet
from bench.places.node import Node
from bench.run.unlike import Kind, unlike

Cards = dict[str, list[MeasuredGpu]]  # by node


def divide(fleet: Fleet, pooled: bool, before: Mapping[str, Machine]) -> Cards:
    """Make places of the nodes' GPUs, each of which has a launch of its own, and give what they are.

    One that is in use, or unless `pooled` differs from most or from those of `before`, is left out with its reason.
    """
    for node in list(fleet.nodes):
        fleet.refused |= {place_name(node.name, int(gpu)): why for gpu, why in node.facts["in_use"].items()}
        if not node.facts["gpus"]:
            fleet.leave_out(node.name, "no GPU is there")
    found = {node.name: [_card(node, card) for card in node.facts["gpus"]] for node in fleet.nodes}
    known = {name: list(machine.cards) for name, machine in before.items()}
    reasons = {} if pooled else unlike(_kinds(found), _kinds(known))
    fleet.refused |= reasons
    chosen = {
        node: [card for card in cards if place_name(node, card.index) not in reasons] for node, cards in found.items()
    }
    for name, cards in chosen.items():
        if not cards:
            fleet.leave_out(name, "none of its GPUs is left")
    fleet.divide({node: [card.index for card in cards] for node, cards in chosen.items()})
    return chosen


def with_gpus(machine: Machine, cards: Sequence[MeasuredGpu], before: Machine | None) -> Machine:
    """What run.json says of a node whose GPUs are measured, or were before the run went on."""
    known = {card.index: card for card in (*(before.cards if before else ()), *cards)}
    return msgspec.structs.replace(machine, measured_gpus=tuple(known.values()))


def _kinds(cards: Cards) -> dict[str, Kind]:
    return {place_name(node, card.index): card.kind for node, of_node in cards.items() for card in of_node}


def _card(node: Node, card: Mapping[str, Any]) -> MeasuredGpu:
    of_node = node.facts["machine"]["gpu"]
    told = {name: card[name] for name in ("index", "name", "memory_mib", "power_limit_watts", "max_mhz")}
    return MeasuredGpu(**told, driver=of_node["driver"], cuda=of_node["cuda"])
