"""What MLflow runs to read a packed classifier: a model from code, so nothing is ever unpickled."""

from mlflow.models import set_model

from textclf.tracking.mlflow.serving import ServedClassifier

set_model(ServedClassifier())
