"""Evaluate one classifier: predictions, metrics, calibration, slices, mistakes, thresholds, attributions."""
