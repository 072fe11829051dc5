"""A drawing of a network: its layers as boxes, coloured by kind, from the input at the top to the output, with every connection."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path

from budgetnet.report.axes import AIM, BOUND, FAINT, INK, STEP, TWIN, new_figure, png
from budgetnet.report.layering import Box, Layout, Vertex, lay_out, merge_chains
from budgetnet.report.markup import DPI
from budgetnet.structure import Layer

# Kinds by what their names hold, the first that fits; the colour of all others is that of 'other'.
COLOURS = (
    ("convolution", STEP, ("conv",)),
    ("dense", BOUND, ("linear", "dense")),
    ("pooling", AIM, ("pool", "mean")),
    ("joining", TWIN, ("cat", "concat", "stack", "add", "mul")),
)  # fmt: skip
OTHER = "input and reshaping"
TALLEST = 7.4  # inches; a longer chain is continued beside
GAP = 0.34  # between ranks
HEAD, LINE, PAD = 0.235, 0.175, 0.09  # a box's first line, its others, and the room around them
BETWEEN = 0.5  # columns
TOP, EDGE = 0.64, 0.12
NAME, SMALL = 8.5, 7.5  # points


def graph_plot(layers: Sequence[Layer]) -> bytes | None:
    """A PNG of the network; None where there is no layer. Activations, dropouts and normalizations stand in the box that they follow."""
    if not layers:
        return None
    graph = merge_chains(layers)
    canvas = FigureCanvasAgg(new_figure(1, 1))
    width = max(_width(canvas, box) for box in graph.boxes)
    heights = [HEAD + LINE + 2 * PAD + LINE * len(box.tags) + (0.06 if box.tags else 0) for box in graph.boxes]
    layout = lay_out(graph, width, heights, GAP, TALLEST)
    drawing = _Drawing(layout, width, heights)
    figure = drawing.figure
    used = {_colour(box.lead)[0] for box in graph.boxes}
    _legend(figure, [name for name in (*(name for name, *_ in COLOURS), OTHER) if name in used])
    for number, box in enumerate(graph.boxes):
        drawing.box(box, number)
    for number, path in enumerate(layout.paths):
        drawing.arrow(number, path)
    return png(figure)


def _colour(layer: Layer) -> tuple[str, str]:
    kind = layer.kind.lower()
    return next(((name, colour) for name, colour, parts in COLOURS if any(part in kind for part in parts)), (OTHER, FAINT))


def _count(layer: Layer) -> str:
    return f"{layer.parameters:,}" if layer.parameters else ""


def _lines(box: Box) -> list[tuple[str, str, float, str]]:
    """The lines of a box: left and right text, points and weight; the right one is the kind or the parameters."""
    lead = box.lead
    parameters = f"{_count(lead)} parameters" if lead.parameters else ""
    tags = [(f"+ {tag.name} ({tag.kind})", _count(tag), SMALL - 0.5, "normal") for tag in box.tags]
    return [(lead.name, lead.kind, NAME, "bold"), (lead.shape_text, parameters, SMALL, "normal"), *tags]


def _width(canvas: FigureCanvasAgg, box: Box) -> float:
    """The room that a box's longest line takes, in inches."""
    renderer = canvas.get_renderer()

    def measure(text: str, points: float, weight: str) -> float:
        return float(renderer.get_text_width_height_descent(text, FontProperties(size=points, weight=weight), False)[0]) / DPI

    lines = _lines(box)
    return max(
        measure(left, points, weight) + measure(right, points, "normal") + (0.25 if right else 0) for left, right, points, weight in lines
    ) + 2 * PAD + 0.08  # fmt: skip


def _legend(figure: Figure, names: Sequence[str]) -> None:
    colours = {name: colour for name, colour, _ in COLOURS} | {OTHER: FAINT}
    width, height = figure.get_size_inches()
    left, y = EDGE, height - 0.2
    renderer = FigureCanvasAgg(figure).get_renderer()
    for name in names:
        box = Rectangle(
            (left / width, (y - 0.05) / height), 0.12 / width, 0.1 / height, transform=figure.transFigure, color=colours[name], lw=0
        )
        figure.add_artist(box)
        figure.text((left + 0.17) / width, y / height, name, fontsize=SMALL, color=INK, va="center_baseline")
        left += 0.17 + renderer.get_text_width_height_descent(name, FontProperties(size=SMALL), False)[0] / DPI + 0.22


class _Drawing:
    """A figure with a place for every vertex, in inches from the lower left corner."""

    def __init__(self, layout: Layout, width: float, heights: Sequence[float]) -> None:
        self._layout, self._width, self._heights = layout, width, heights
        self._centre: dict[Vertex, float] = {}  # across
        self._top: dict[int, float] = {}  # of a rank, downwards from the top of the figure
        self._tall: dict[int, float] = {}
        self._column: dict[int, int] = {}
        self._gutter: list[float] = []  # the middle of the room to the left of each column
        left, depth = EDGE, 0.0
        for number, rows in enumerate(layout.columns):
            spread = [(layout.x[v] - self._half(v), layout.x[v] + self._half(v)) for row in rows for v in layout.ranks[row]]
            least, most = min(low for low, _ in spread), max(high for _, high in spread)
            self._gutter.append(left - BETWEEN / 2)
            y = TOP
            for row in rows:
                self._column[row], self._top[row] = number, y
                self._tall[row] = max((heights[box] for box, slot in layout.ranks[row] if slot < 0), default=0.0)
                y += self._tall[row] + GAP
                self._centre |= {v: left + layout.x[v] - least for v in layout.ranks[row]}
            left, depth = left + most - least + BETWEEN, max(depth, y - GAP)
        self._size = (max(left - BETWEEN + EDGE, 4.6), depth + EDGE + (0.2 if len(layout.columns) > 1 else 0))
        self._rank = {vertex: row for row, vertices in enumerate(layout.ranks) for vertex in vertices}
        self.figure = new_figure(*self._size)
        self._inches = self.figure.dpi_scale_trans

    def _half(self, vertex: Vertex) -> float:
        return self._width / 2 if vertex[1] < 0 else 0.05

    def box(self, box: Box, number: int) -> None:
        vertex = (number, -1)
        left, top = self._centre[vertex] - self._width / 2, self._size[1] - self._top[self._rank[vertex]]
        height = self._heights[number]
        _, colour = _colour(box.lead)
        frame = FancyBboxPatch((left, top - height), self._width, height, boxstyle="round,pad=0,rounding_size=0.06", lw=1, ec=colour,
                             fc="white", transform=self._inches, zorder=3)  # fmt: skip
        self.figure.add_artist(frame)
        tint = HEAD + LINE + 1.5 * PAD if box.tags else height
        head = Rectangle((left, top - tint), self._width, tint, color=colour, alpha=0.13, lw=0,
                         transform=self._inches, zorder=3.5)  # fmt: skip
        self.figure.add_artist(head)
        head.set_clip_path(frame)
        y = top - PAD - HEAD / 2
        for line, (said, right, points, weight) in enumerate(_lines(box)):
            ink = INK if line < 2 else FAINT
            self._text(left + PAD, y, said, points, ink, "left", weight)
            self._text(left + self._width - PAD, y, right, points if line else SMALL, INK if line == 1 else FAINT, "right", "normal")
            y -= (HEAD + LINE) / 2 if line == 0 else LINE + (0.06 if line == 1 else 0)

    def _text(self, x: float, y: float, said: str, points: float, colour: str, side: str, weight: str) -> None:
        self.figure.text(x, y, said, fontsize=points, color=colour, ha=side, va="center_baseline", fontweight=weight,
                         transform=self._inches, zorder=4)  # fmt: skip

    def arrow(self, number: int, path: Sequence[Vertex]) -> None:
        """Draw an arrow from the bottom of a box to the top of another, past the boxes between, or to the next column."""
        source, target = path[0], path[-1]
        height = self._size[1]
        x = self._centre[source]
        y = height - self._top[self._rank[source]] - self._heights[source[0]]
        end_x, end_y = self._entry(number, target), height - self._top[self._rank[target]]
        points, codes = [(x, y)], [int(Path.MOVETO)]
        if self._column[self._rank[source]] != self._column[self._rank[target]]:
            gutter, low, high = self._gutter[self._column[self._rank[target]]], y - GAP / 2, end_y + 0.2
            points += [(x, low), (gutter, low), (gutter, high), (end_x, high), (end_x, end_y)]
            codes += [int(Path.LINETO)] * 5
        else:
            for slot in path[1:-1]:
                top = height - self._top[self._rank[slot]]
                points, codes = _bend(points, codes, self._centre[slot], top)
                points, codes = [*points, (self._centre[slot], top - self._tall[self._rank[slot]])], [*codes, int(Path.LINETO)]
            points, codes = _bend(points, codes, end_x, end_y)
        self.figure.add_artist(
            FancyArrowPatch(path=Path(points, codes), arrowstyle="-|>,head_length=3.2,head_width=1.9", lw=1, color=FAINT, fc=FAINT,
                            transform=self._inches, zorder=2, shrinkA=0, shrinkB=0, joinstyle="round", capstyle="round")
        )  # fmt: skip

    def _entry(self, number: int, target: Vertex) -> float:
        """Return where an arrow meets its box: several are spread, in their order."""
        before = {edge: self._centre[path[-2]] for edge, path in enumerate(self._layout.paths) if path[-1] == target}
        order = sorted(before, key=lambda edge: (before[edge], edge))
        step = min(0.24, 0.7 * self._width / len(order))
        return self._centre[target] + (order.index(number) - (len(order) - 1) / 2) * step


def _bend(points: list[tuple[float, float]], codes: list[int], x: float, y: float) -> tuple[list[tuple[float, float]], list[int]]:
    """The path with a further point: straight down, or in a curve that leaves and arrives vertically."""
    last_x, last_y = points[-1]
    if abs(last_x - x) < 1e-3:
        return [*points, (x, y)], [*codes, int(Path.LINETO)]
    middle = (last_y + y) / 2
    return [*points, (last_x, middle), (x, middle), (x, y)], [*codes, *[int(Path.CURVE4)] * 3]
