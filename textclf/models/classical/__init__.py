"""Classical baselines: scikit-learn pipelines, and their faster vectorizers."""
