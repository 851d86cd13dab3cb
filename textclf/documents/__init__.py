"""Parts of reports: blocks rendered as Markdown and HTML, figures of one style, escaped text."""
