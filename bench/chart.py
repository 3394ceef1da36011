"""Draws `docs/performance.svg`: a panel for each case, with Gridhaul and every peer. Equal entries give equal bytes."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.record import Entries, Entry
from bench.report import number

COLUMNS = 3
PANEL_INCHES = (3.6, 1.7)
# These colors are readable on white and on black.
INK = "#7d8590"
OURS = "#2f81f7"
PEERS = "#9a8c6c"


def draw(path: Path, entries: Entries) -> None:
    """Write the chart as SVG, or in the format that the path's suffix names."""
    rows = -(-len(entries) // COLUMNS)
    with mpl.rc_context(
        {
            "svg.hashsalt": "gridhaul",
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 8,
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.titlesize": 9,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    ):
        figure = Figure(figsize=(COLUMNS * PANEL_INCHES[0], rows * PANEL_INCHES[1]), layout="constrained")
        panels: list[Axes] = figure.subplots(rows, COLUMNS, squeeze=False).ravel().tolist()
        for panel, (name, entry) in zip(panels, entries.items(), strict=False):
            _draw_case(panel, name, entry)
        for unused in panels[len(entries) :]:
            unused.set_axis_off()
        figure.savefig(path, transparent=True, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_case(panel: Axes, name: str, entry: Entry) -> None:
    values = {entry["ours_is"]: entry["ours"], **entry["peers"]}
    bars = panel.barh(list(values), list(values.values()), color=[OURS, *[PEERS] * len(entry["peers"])], height=0.6)
    panel.bar_label(bars, [number(value) for value in values.values()], padding=2)
    panel.invert_yaxis()
    panel.margins(x=0.2)
    goal = f", goal {entry['goal']}" if entry["goal"] else ""
    panel.set_title(f"{name}, {entry['unit']}: ratio {entry['ratio']:.2f}{goal}", loc="left")
    panel.xaxis.set_visible(False)
    for side in ("top", "right", "bottom"):
        panel.spines[side].set_visible(False)
