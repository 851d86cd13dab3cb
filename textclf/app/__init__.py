"""A page for colleagues: type a text or upload a file, see what a run predicts and why, and say where it is wrong."""
