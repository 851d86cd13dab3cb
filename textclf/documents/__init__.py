"""What reports are made of: blocks rendered as Markdown and HTML, figures of one style, escaped text."""
