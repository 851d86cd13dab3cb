"""What is wrong with a dataset, found before a model is trained on it."""
