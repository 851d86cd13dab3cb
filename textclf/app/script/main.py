"""What Streamlit runs at every visit and click; all it does is call the package."""

from textclf.app.views.main import show

show()
