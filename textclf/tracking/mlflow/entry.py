"""Entry point of a packed classifier, which MLflow runs as a model from code, so that nothing is unpickled."""

from mlflow.models import set_model

from textclf.tracking.mlflow.serving import ServedClassifier

set_model(ServedClassifier())
