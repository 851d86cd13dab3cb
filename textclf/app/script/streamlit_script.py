"""Script that Streamlit runs at every visit and click; all it does is call the package."""

from textclf.app.pages.frame import show

show()
