"""The model report: what a run decided, reached and got wrong, on one page."""
