"""The layout of a network's drawing: layers gathered into boxes, boxes set into ranks, ranks into columns. Lengths in inches.

Ranks are longest paths from the input, so every arrow points down; an arrow that passes ranks takes a slot in each of them, so that it
runs beside their boxes and not behind them. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from budgetnet.structure import Layer

# Kinds that a box takes in below the layer that they follow: they keep the shape, and every network is full of them.
TAGS = ("relu", "leakyrelu", "elu", "gelu", "silu", "sigmoid", "tanh", "softmax", "logsoftmax", "dropout", "batchnorm", "layernorm",
        "groupnorm", "identity")  # fmt: skip
SLOT = 0.3  # the width that an arrow takes in a rank that it passes
SIDE = 0.28  # between neighbours in a rank
SWEEPS = 10

Vertex = tuple[int, int]  # a box is (its number, -1); an arrow's slot is (the number of its edge, its rank)


@dataclass(frozen=True)
class Box:
    """A layer and those that follow it within the same box, in order."""

    lead: Layer
    tags: tuple[Layer, ...] = ()

    @property
    def members(self) -> tuple[Layer, ...]:
        return (self.lead, *self.tags)


@dataclass(frozen=True)
class BoxGraph:
    """The boxes in the order of the network, and which box's output goes into which."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]


def merge_chains(layers: Sequence[Layer]) -> BoxGraph:
    """Gather layers into boxes: a tag joins the box whose output it alone takes, wherever it is the only taker."""
    takers: dict[str, int] = {}
    for layer in layers:
        for name in layer.inputs:
            takers[name] = takers.get(name, 0) + 1
    boxes: list[list[Layer]] = []
    home: dict[str, int] = {}
    for layer in layers:
        if len(layer.inputs) == 1 and layer.kind.lower().startswith(TAGS) and takers[layer.inputs[0]] == 1:
            box = home[layer.inputs[0]]
            if boxes[box][-1].output_shape == layer.output_shape:
                boxes[box].append(layer)
                home[layer.name] = box
                continue
        home[layer.name] = len(boxes)
        boxes.append([layer])
    edges = dict.fromkeys((home[name], number) for number, members in enumerate(boxes) for name in members[0].inputs)
    return BoxGraph(tuple(Box(members[0], tuple(members[1:])) for members in boxes), tuple(edges))


@dataclass(frozen=True)
class Layout:
    """``ranks`` hold vertices from left to right, ``x`` their middles; ``paths`` the vertices of every edge; ``columns`` ranks."""

    ranks: tuple[tuple[Vertex, ...], ...]
    x: Mapping[Vertex, float]
    paths: tuple[tuple[Vertex, ...], ...]
    columns: tuple[range, ...]


def lay_out(graph: BoxGraph, width: float, heights: Sequence[float], gap: float, tallest: float) -> Layout:
    """Place boxes of one ``width`` and own ``heights``; a chain higher than ``tallest`` is continued in a further column."""
    rank = _ranks(graph)
    rows: list[list[Vertex]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for number, row in enumerate(rank):
        rows[row].append((number, -1))
    paths = []
    for number, (source, target) in enumerate(graph.edges):
        slots: list[Vertex] = [(number, row) for row in range(rank[source] + 1, rank[target])]
        for slot in slots:
            rows[slot[1]].append(slot)
        paths.append(((source, -1), *slots, (target, -1)))
    links = [link for path in paths for link in pairwise(path)]
    x = _positions(rows, links, lambda vertex: width if vertex[1] < 0 else SLOT)
    tall = [max((heights[number] for number, slot in row if slot < 0), default=0.0) + gap for row in rows]
    columns = _columns(tall, _cuts(rows, links), tallest)
    return Layout(tuple(tuple(sorted(row, key=x.__getitem__)) for row in rows), x, tuple(paths), columns)


def _ranks(graph: BoxGraph) -> list[int]:
    """The length of the longest path to each box; boxes come after those that they take from."""
    rank = [0] * len(graph.boxes)
    for source, target in sorted(graph.edges, key=lambda edge: edge[1]):
        rank[target] = max(rank[target], rank[source] + 1)
    return rank


def _positions(rows: list[list[Vertex]], links: Sequence[tuple[Vertex, Vertex]], size: Callable[[Vertex], float]) -> dict[Vertex, float]:
    """Middles across: near to what a vertex is linked to, no two of a rank closer than their sizes ask for."""
    widths = {vertex: size(vertex) for row in rows for vertex in row}
    near: dict[Vertex, dict[int, list[Vertex]]] = {vertex: {-1: [], 1: []} for vertex in widths}
    for upper, lower in links:
        near[upper][1].append(lower)
        near[lower][-1].append(upper)
    x = dict.fromkeys(widths, 0.0)
    for row in rows:
        x |= dict(zip(row, _spread([0.0] * len(row), [widths[vertex] for vertex in row]), strict=True))
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            side = -1 if sweep % 2 == 0 else 1
            wished = {v: sum(x[o] for o in near[v][side]) / len(near[v][side]) if near[v][side] else x[v] for v in row}
            order = sorted(row, key=lambda vertex: (wished[vertex], x[vertex]))
            x |= dict(zip(order, _spread([wished[v] for v in order], [widths[v] for v in order]), strict=True))
    return x


def _spread(wished: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The middles nearest to the wished ones, by least squares, that keep order and distance."""
    offsets = [0.0]
    for left, right in pairwise(widths):
        offsets.append(offsets[-1] + (left + right) / 2 + SIDE)
    blocks: list[tuple[float, int]] = []  # mean and number of neighbours that touch
    for wish, offset in zip(wished, offsets, strict=False):
        mean, number = wish - offset, 1
        while blocks and blocks[-1][0] >= mean:
            before, many = blocks.pop()
            mean, number = (before * many + mean * number) / (many + number), many + number
        blocks.append((mean, number))
    means = [mean for mean, number in blocks for _ in range(number)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _cuts(rows: Sequence[Sequence[Vertex]], links: Sequence[tuple[Vertex, Vertex]]) -> set[int]:
    """The ranks behind which a single arrow goes on, from a rank's only box to the next one's."""
    place = {vertex: number for number, row in enumerate(rows) for vertex in row}
    crossing = [0] * len(rows)
    for upper, _ in links:
        crossing[place[upper]] += 1
    return {n for n in range(len(rows) - 1) if crossing[n] == 1 and len(rows[n]) == len(rows[n + 1]) == 1}


def _columns(tall: Sequence[float], cuts: set[int], tallest: float) -> tuple[range, ...]:
    """Ranks in as few columns as keep each at about ``tallest`` where the cuts allow it, of about equal heights."""
    number = max(1, -int(-sum(tall) // tallest))
    limit = sum(tall) / number
    while True:
        columns = _filled(tall, cuts, limit)
        if len(columns) <= number or limit >= 1.2 * tallest:  # rather somewhat higher than a last box in a column of its own
            return columns
        limit += 0.02 * tallest


def _filled(tall: Sequence[float], cuts: set[int], limit: float) -> tuple[range, ...]:
    columns, start, cut = [], 0, None
    for row in range(len(tall)):
        if sum(tall[start : row + 1]) > limit and cut is not None:
            columns.append(range(start, cut + 1))
            start, cut = cut + 1, None
        if row in cuts:
            cut = row
    return (*columns, range(start, len(tall)))
