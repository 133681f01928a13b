"""How every plot of a study is drawn: one figure, one title with its source, the same bytes twice.

Figures are built with matplotlib's object interface: pyplot keeps every figure in a global list,
which a long-running process would never let go of.
"""

from io import StringIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0b5394", "#b45f06", "#38761d", "#741b47", "#444444")
"""Blue, orange, green, plum, grey: told apart on paper and by most who are colour-blind."""


def figure(title: str, source: str, *, height: float = 4.6) -> tuple[Figure, Axes]:
    """A figure with one plot in it.

    Args:
        title: what is shown.
        source: how many stays of which records, under the title.
        height: in inches; the width is 6.4.
    """
    drawn, (axes,) = panels(title, source, rows=1, height=height)
    return drawn, axes


def panels(
    title: str, source: str, *, rows: int, height: float = 4.6
) -> tuple[Figure, tuple[Axes, ...]]:
    """A figure with plots below one another, over the same horizontal axis.

    Args:
        title: what is shown, above the first.
        source: how many stays of which records, under the title.
        rows: how many plots.
        height: of all together in inches; the width is 6.4.
    """
    drawn = Figure(figsize=(6.4, height), layout="constrained")
    plots = tuple(drawn.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
    for axes in plots:
        axes.spines[["top", "right"]].set_visible(False)
    plots[0].set_title(f"{title}\n{source}", loc="left", fontsize=10)
    return drawn, plots


def svg(drawn: Figure) -> str:
    """The figure as SVG text, with text as text; the same figure gives the same bytes."""
    text = StringIO()
    # Without a fixed salt and date every file would differ from the last.
    with mpl.rc_context({"svg.hashsalt": "readmit", "svg.fonttype": "none"}):
        drawn.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
