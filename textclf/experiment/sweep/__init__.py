"""A sweep: its jobs and their status, Hydra's callback, and the process that leads it."""
