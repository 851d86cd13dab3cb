"""The page that compares runs: verdicts, scores and costs on a test split, or their answers to one text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from textclf.app import markup
from textclf.app.comparing import COSTS, UNITS, Compared, Comparisons, compare_runs
from textclf.app.pages import common, one_text
from textclf.app.run_list import Choice, titles_of

MOST_RUNS = 60
BY_SCORES, BY_TEXT = "scores on the test split", "answers to one text"
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#767676"]
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]


def page() -> None:
    """Show the page."""
    st.title("Compare", anchor=False)
    choices = common.found().recorded
    datasets = list(dict.fromkeys(choice.dataset for choice in choices))
    if not datasets:
        common.pick_run(choices)
        return
    dataset = st.selectbox("Dataset", datasets)
    own = [choice for choice in choices if choice.dataset == dataset]
    if st.radio("Compare", [BY_SCORES, BY_TEXT], horizontal=True, key="compare by") == BY_TEXT:
        one_text.show(own)
    else:
        _show_scores(dataset, own)


def _show_scores(dataset: str, own: Sequence[Choice]) -> None:
    """Let a person pick runs, and show how they do on their test examples."""
    titles = titles_of(own)
    picked = st.multiselect(
        "Runs", list(titles), default=list(titles)[:MOST_RUNS], format_func=titles.__getitem__, key=f"runs {dataset}"
    )
    if not picked:
        common.show(markup.message("note", "Choose at least one run."))
        return
    with common.event_log().timed("comparison", **common.session(), rows=len(picked)), st.spinner("Comparing …"):
        compared = _compared(tuple(_version(choice) for choice in own if choice.key in picked))
    for test in compared.tests:
        _show(test)
    if compared.problems:
        st.header("Left out", anchor=False)
        common.show(markup.bullets(map(common.short, compared.problems)))


def _version(choice: Choice) -> tuple[str, str]:
    return choice.key, choice.record.started if choice.record is not None else ""


@st.cache_data(max_entries=20, show_spinner=False)
def _compared(runs: tuple[tuple[str, str], ...]) -> Comparisons:
    return compare_runs([Path(folder) for folder, _ in runs])


def _show(test: Compared) -> None:
    """Show the setups of one test set."""
    st.header("Verdicts", anchor=False)
    common.show(
        markup.paragraph(f"{test.dataset}: {test.examples:,} test examples, compared by {test.metric}.", quiet=True)
    )
    if test.verdicts:
        common.show(markup.quotes(test.verdicts))
    else:
        common.show(markup.message("note", "These runs are of one setup, so there is nothing to compare it with."))
    if test.caveats:
        common.show(markup.bullets(map(common.short, test.caveats)))
    st.header("Scores", anchor=False)
    common.show(markup.table(test.scores))
    st.header("Score against cost", anchor=False)
    able = [cost for cost in COSTS if test.points[cost]]
    if able:
        cost = st.radio(
            "Cost",
            able,
            format_func=lambda name: COSTS[name],
            horizontal=True,
            key=f"cost {test.dataset} {test.examples}",
        )
        st.altair_chart(_chart(test, cost), width="stretch", alt=_alt(test, cost))
        common.show(markup.paragraph("Up and to the left is better. The same figures are in the tables.", quiet=True))
    st.header("Costs", anchor=False)
    common.show(markup.table(test.costs))


def _alt(test: Compared, cost: str) -> str:
    return f"Chart of {test.metric} over {COSTS[cost]} for {len(test.points[cost])} setups; the tables say the same."


def _chart(test: Compared, cost: str) -> Any:
    """Return the chart of a test set's setups: a mark each, with its 95 % interval."""
    frame = pd.DataFrame(test.points[cost])
    names = sorted(set(frame["setup"]))
    theme = getattr(st.context, "theme", None)
    ink, grid = ("#c9cfd6", "#363d46") if theme is not None and theme.type == "dark" else ("#3b424c", "#e3e6ea")
    key = alt.Legend(orient="bottom", direction="vertical", title=None, labelLimit=300, symbolLimit=40)
    legend = key if len(names) > 1 else None
    axis = alt.Axis(tickCount=5, labelOverlap=True)
    base = alt.Chart(frame).encode(
        x=alt.X("cost:Q", scale=alt.Scale(type="log", padding=30), axis=axis, title=f"{COSTS[cost]}, {UNITS[cost]}"),
        color=alt.Color("setup:N", scale=alt.Scale(domain=names, range=COLOURS), legend=legend),
    )
    score = alt.Y("score:Q", scale=alt.Scale(zero=False, padding=20), title=test.metric)
    tooltip = [alt.Tooltip("setup:N"), alt.Tooltip("score:Q", format=".3f"), alt.Tooltip("cost:Q", format=".3g")]
    shape = alt.Shape("setup:N", scale=alt.Scale(domain=names, range=SHAPES), legend=legend)
    marks = base.mark_point(size=110, filled=True, opacity=1).encode(y=score, shape=shape, tooltip=tooltip)
    intervals = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", title=test.metric), y2="high:Q")
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 13}
    chart = alt.layer(intervals, marks).properties(height=340 + 24 * len(names))
    return chart.configure_axis(**text, gridColor=grid).configure_legend(labelColor=ink, labelFontSize=13)
