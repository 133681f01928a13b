"""Plots of a model's contributions, drawn by ``shap``: beeswarm, bars, and dependence.

They show the model's own contributions (``Contributions``), not a second explainer's. Beeswarm and
dependence plots show single stays, without their names: they belong in the report of a run, which
stays in the house, and not in what is published.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import fill

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from training.drawing import COLOURS, svg
from training.explanation.importance import Contributions, strongest, thinned
from training.explanation.labels import label, with_unit

with warnings.catch_warnings():
    # shap 0.51 sets up its colour maps in a way that matplotlib 3.11 means to retire.
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    import shap

MOST_DRAWN = 600
"""Stays that a plot of single stays shows. More points hide each other and swell the report."""
ROWS = 15
"""Features of the beeswarm and of the bars."""
DEPENDENCE = 6
"""Features with a dependence plot of their own."""
_WIDTH = 7.6
_HALF = 5.4
"""Width of a plot that stands beside another: its letters must stay as large on the page."""
_POINTS_PER_INCH = 144
"""Resolution of the points, which are embedded as an image; text and axes stay text and lines."""
_LOG_ODDS = "contribution (log-odds)"

_one_at_a_time = threading.Lock()
"""``shap`` jitters with numpy's global generator and draws with pyplot's global state."""


def shap_plots(explained: Contributions, source: str, *, seed: int) -> dict[str, str]:
    """Every plot as SVG text by its file name: the same contributions give the same bytes.

    Args:
        explained: contributions on test stays.
        source: what the records are, ``simulated records`` say.
        seed: of the jitter that keeps points from hiding each other.

    Returns:
        ``shap_beeswarm.svg``, ``shap_bar.svg`` and ``shap_dependence_NAME.svg`` for each of the
        strongest features; nothing where no feature moves any risk.
    """
    drawn = thinned(explained, MOST_DRAWN)
    valued = {
        feature.name
        for feature, values in zip(drawn.features, drawn.rows.T, strict=True)
        if not np.isnan(values).all()
    }
    ranked = [name for name, _ in strongest(explained)]
    if not ranked:
        return {}
    return {
        "shap_beeswarm.svg": beeswarm(explained, source, seed=seed),
        "shap_bar.svg": bars(explained, source),
        **{
            f"shap_dependence_{name}.svg": dependence(explained, name, source, seed=seed)
            for name in [name for name in ranked if name in valued][:DEPENDENCE]
        },
    }


def beeswarm(explained: Contributions, source: str, *, seed: int) -> str:
    """Every stay's contribution of each strong feature, coloured by the feature's value."""
    drawn = thinned(explained, MOST_DRAWN)
    shown = min(ROWS, len(strongest(explained)))
    with _pyplot(1.5 + 0.4 * shown, seed) as (figure, axes), warnings.catch_warnings():
        # A feature that no stay shown has a value of is drawn grey, but not without a word.
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        shap.plots.beeswarm(
            # A row for "the sum of all others" would be coloured by the value of one of them.
            _explanation(explained, drawn, shown),
            max_display=shown,
            group_remaining_features=False,
            order=np.arange(shown),
            ax=axes,
            plot_size=None,
            s=9,
            show=False,
            color_bar_label="",
        )
        scale = figure.axes[-1]
        scale.set_ylabel("value of the feature (grey: missing)", fontsize=9)
        scale.tick_params(labelsize=9)
        axes.set_xlabel(_LOG_ODDS, fontsize=10)
        return _titled(figure, axes, "What moves the risk of each stay", _counted(drawn, source))


def bars(explained: Contributions, source: str) -> str:
    """The mean absolute contribution of each strong feature, and of all others together."""
    moving = len(strongest(explained))
    with _pyplot(1.3 + 0.4 * min(ROWS + 1, moving), 0) as (figure, axes):
        shap.plots.bar(
            _explanation(explained, explained, moving).abs.mean(0),
            max_display=ROWS + 1,
            ax=axes,
            show=False,
        )
        # shap signs what has no sign, and drops zeros that a column of numbers needs.
        drawn_bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        for bar, written in zip(drawn_bars, axes.texts, strict=True):
            bar.set_color(COLOURS[0])
            written.set(text=f"{bar.get_width():.2f}", color="black", fontsize=9)
        # It also writes each name twice, one over the other.
        names = [tick.get_text() for tick in axes.get_yticklabels()][: len(drawn_bars)]
        axes.set_yticks(axes.get_yticks()[: len(drawn_bars)], names)
        # And it writes them in a grey that is too pale to be read.
        axes.tick_params("y", labelcolor="black")
        axes.set_xlabel(f"mean absolute {_LOG_ODDS}", fontsize=10)
        return _titled(
            figure, axes, "What moves the risk on the whole", _counted(explained, source)
        )


def dependence(explained: Contributions, name: str, source: str, *, seed: int) -> str:
    """A feature's contribution against its value, over a histogram of the values."""
    drawn = thinned(explained, MOST_DRAWN)
    column = [feature.name for feature in drawn.features].index(name)
    feature = drawn.features[column]
    values = drawn.rows[:, column].astype(np.float64)
    known = values[~np.isnan(values)]
    yes_or_no = bool(np.isin(known, (0, 1)).all())
    with _pyplot(3.6, seed, width=_HALF) as (figure, axes):
        shap.plots.scatter(
            shap.Explanation(
                values=drawn.values[:, column],
                base_values=np.full(len(values), drawn.baseline),
                data=values,
                feature_names=name,
            ),
            color=COLOURS[0],
            dot_size=9,
            hist=not yes_or_no,
            ax=axes,
            show=False,
        )
        if yes_or_no:
            axes.set_xticks(
                [0, 1], [f"no ({(known == 0).sum():,})", f"yes ({(known == 1).sum():,})"]
            )
            axes.set_xlim(-0.5, 1.5)
        axes.axhline(0, color="grey", linestyle=":", linewidth=1)
        said = with_unit(feature, feature.description.rstrip("."))
        axes.set_xlabel(fill(said, 62), fontsize=10)
        axes.set_ylabel(_LOG_ODDS, fontsize=10)
        missing = len(values) - len(known)
        note = f"\n{missing:,} without a value, at the left edge" if missing else ""
        title = fill(f"Contribution by value: {label(feature)}", 62)
        return _titled(figure, axes, title, _counted(drawn, source) + note)


def _explanation(ranking: Contributions, drawn: Contributions, count: int) -> shap.Explanation:
    """The strongest features' contributions as ``shap`` wants them, the strongest first."""
    order = np.argsort(-np.abs(ranking.values).mean(axis=0), kind="stable")[:count]
    return shap.Explanation(
        values=drawn.values[:, order],
        base_values=np.full(len(drawn.values), drawn.baseline),
        data=drawn.rows[:, order].astype(np.float64),
        feature_names=[fill(label(drawn.features[column]), 38) for column in order],
    )


def _counted(drawn: Contributions, source: str) -> str:
    """How many stays of how many are shown, of which records."""
    shown = len(drawn.values)
    count = f"{shown:,}" if shown == drawn.of_stays else f"{shown:,} of {drawn.of_stays:,}"
    return f"{count} test stays, {source}"


def _titled(figure: Figure, axes: Axes, title: str, source: str) -> str:
    """The finished plot, in the type sizes of the other plots."""
    axes.tick_params("x", labelsize=9)
    axes.tick_params("y", labelsize=9, length=0)
    axes.set_title(f"{title}\n{source}", loc="left", fontsize=10)
    return svg(figure)


@contextmanager
def _pyplot(height: float, seed: int, *, width: float = _WIDTH) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one plot for ``shap``, with all that it would leave behind put back afterwards.

    It wants a figure that pyplot knows of. That figure is closed, the backend is Agg meanwhile
    (no window, no display), and numpy's global generator is as it was.
    """
    with _one_at_a_time, mpl.rc_context():
        state, backend = np.random.get_state(), plt.get_backend()
        np.random.seed(seed)
        plt.switch_backend("agg")
        figure = plt.figure(figsize=(width, height), layout="constrained", dpi=_POINTS_PER_INCH)
        try:
            yield figure, figure.add_subplot()
        finally:
            plt.close(figure)
            plt.switch_backend(backend)
            np.random.set_state(state)
