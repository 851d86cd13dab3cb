"""Text-classification experiments: baselines and transformers under one config and one tracker."""

from textclf.locate import load_classifier

__all__ = ["load_classifier"]
__version__ = "0.1.0"
