"""Models and classifiers: transformers and classical pipelines."""
