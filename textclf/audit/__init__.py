"""Audit of a dataset: problems found before a model is trained on it."""
