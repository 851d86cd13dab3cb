"""Runs in MLflow: a journal of each, what sends it to a store, and classifiers as models that are served."""

from textclf.system.quiet import set_environment

set_environment()  # before any module here imports MLflow
