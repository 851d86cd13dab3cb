"""The scikit-learn objects that a classical model's options name, made and checked."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator

from textclf.errors import ConfigError, did_you_mean, listed
from textclf.models.options import ClassicalModel

ALLOWED = ("sklearn.", "textclf.models.")
"""Where the classes that a config names must come from."""


def make_parts(options: ClassicalModel) -> tuple[BaseEstimator, BaseEstimator]:
    """Make the vectorizer and the classifier, unfitted.

    Raises:
        ConfigError: If a class is not allowed or not there, or refuses its arguments.
    """
    vectorizer = _make(options.vectorizer, "model.vectorizer")
    classifier = _make(options.classifier, "model.classifier")
    if not hasattr(vectorizer, "transform"):
        raise ConfigError(f"model.vectorizer: a {type(vectorizer).__name__} does not turn texts into features.")
    if not hasattr(classifier, "predict"):
        raise ConfigError(f"model.classifier: a {type(classifier).__name__} does not predict classes.")
    return vectorizer, classifier


def _make(node: Mapping[str, Any], option: str) -> BaseEstimator:
    """Make one scikit-learn object from its `_target_` and arguments."""
    target = node.get("_target_")
    if not isinstance(target, str) or not target.startswith(ALLOWED):
        raise ConfigError(
            f"{option}._target_ must name a class of scikit-learn or of textclf.models, got {target!r}. "
            f"A config is data and cannot run other code."
        )
    module, _, name = target.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{option}._target_={target}: there is no such class ({error}).") from error
    if not (isinstance(cls, type) and issubclass(cls, BaseEstimator)):
        raise ConfigError(f"{option}._target_={target} is no scikit-learn estimator.")
    arguments = {key: _argument(value, f"{option}.{key}") for key, value in node.items() if key != "_target_"}
    try:
        known = set(cls._get_param_names())
        for key in arguments:
            if key not in known:
                raise ConfigError(
                    f"{option}.{key}: {name} has no such argument; it has {listed(sorted(known), 40)}."
                    f"{did_you_mean(key, known)}"
                )
        estimator = cls(**arguments)
        estimator._validate_params()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{option}: {error}") from error
    return estimator


def _argument(value: Any, option: str) -> Any:
    """Return an argument as scikit-learn wants it: lists as tuples, nested estimators made."""
    if isinstance(value, Mapping):
        return _make(value, option) if "_target_" in value else dict(value)
    return tuple(value) if isinstance(value, list) else value
