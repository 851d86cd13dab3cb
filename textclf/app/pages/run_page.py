"""The page of one run: scores, costs, where it fails, figures, report."""

from __future__ import annotations

import streamlit as st

from textclf.app import facts, markup
from textclf.app.feedback import file_name
from textclf.app.pages import common


def page() -> None:
    """Show the page."""
    st.title("Run", anchor=False)
    choice = common.pick_run(common.found().recorded)
    if choice is None or choice.record is None:
        return
    record = choice.record
    common.show(markup.table(facts.about_table(record)))
    st.code(record.command, language=None, wrap_lines=True)
    report = facts.report_page(choice.folder)
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
    analysis = facts.read_analysis(choice.folder)
    said = facts.failing(analysis)
    common.show(markup.bullets(said) if said else markup.message("note", "This run has no analysis of its errors."))
    for table in (facts.confused_table(analysis), facts.mistakes_table(analysis)):
        if table is not None:
            common.show(markup.table(table))
    figures = facts.figures(choice.folder)
    if figures:
        st.header("Figures", anchor=False)
        columns = st.columns(2)
        for place, figure in enumerate(figures):
            with columns[place % 2]:
                st.image(str(figure.path), width="stretch", alt=figure.title)
                common.show(markup.paragraph(figure.title, quiet=True))
    common.show(markup.paragraph(f"The run folder: {choice.folder}", quiet=True))
