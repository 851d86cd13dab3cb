"""A classifier as an MLflow model: packed with its code, registered under a name, and served."""
