"""Predict files of any size: read in batches, predicted in order, written beside their other columns."""
