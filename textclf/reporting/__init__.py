"""What reports are made of: blocks rendered as Markdown and HTML, and figures of one style."""
