"""The page of one run: scores, costs, where it fails, figures, report."""

from __future__ import annotations

import streamlit as st

from textclf.app import facts, markup
from textclf.app.feedback import file_name
from textclf.app.pages import common
from textclf.app.run_list import Choice
from textclf.tracking.record import RunRecord


def page() -> None:
    """Show the page."""
    st.title("Run", anchor=False)
    choice = common.pick_run(common.found().recorded)
    if choice is not None and choice.record is not None:
        _show(choice, choice.record)
    problems = common.found().problems
    if choice is not None and problems:
        st.header("Damaged runs", anchor=False)
        common.show(markup.bullets(map(common.short, problems)))


def _show(choice: Choice, record: RunRecord) -> None:
    """Show one run; what is not as it was left is named and left out."""
    if problem := facts.changed(choice.folder):
        common.show(markup.message("error", common.short(problem)))
    common.show(markup.table(facts.about_table(record)))
    st.code(record.command, language=None, wrap_lines=True)
    report = None if problem else facts.report_page(choice.folder)
    if report is not None:
        name = f"{file_name(record.name)}.html"
        st.download_button("Download the report (HTML)", report, name, "text/html", on_click="ignore")
    st.header("Scores and costs", anchor=False)
    left, right = st.columns(2)
    with left:
        common.show(markup.table(facts.metrics_table(record)))
    with right:
        common.show(markup.table(facts.costs_table(record)))
    st.header("Where it fails", anchor=False)
    analysis = {} if problem else facts.read_analysis(choice.folder)
    said = facts.failing(analysis)
    if said:
        common.show(markup.bullets(said))
    elif not problem:
        common.show(markup.message("note", "This run has no analysis of its errors."))
    tables = (facts.labels_table(analysis), facts.confused_table(analysis), facts.mistakes_table(analysis))
    for table in tables:
        if table is not None:
            common.show(markup.table(table))
    figures = [] if problem else facts.figures(choice.folder)
    if figures:
        st.header("Figures", anchor=False)
        columns = st.columns(2)
        for place, figure in enumerate(figures):
            with columns[place % 2]:
                st.image(str(figure.path), width="stretch", alt=figure.title)
                common.show(markup.paragraph(figure.title, quiet=True))
    common.show(markup.paragraph(common.short(f"The run folder: {choice.folder}"), quiet=True))
