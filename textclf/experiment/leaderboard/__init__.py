"""One page on all runs below a folder: what there is, ranked by test set, and what failed or is under way."""
