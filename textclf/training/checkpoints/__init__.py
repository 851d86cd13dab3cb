"""Checkpoints of training: its state written while it is under way, and restored from there."""
