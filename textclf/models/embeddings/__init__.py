"""Classifiers on text embeddings: an encoder that stays as it is, and a linear head on its vectors."""
