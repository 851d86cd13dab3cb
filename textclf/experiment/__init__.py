"""START HERE: one experiment from config to report (`experiment.py`), and sweeps of them."""
