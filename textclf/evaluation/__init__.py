"""Predictions, their metrics and their pictures."""
