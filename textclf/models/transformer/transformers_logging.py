"""Silence what transformers logs and draws by itself; imported before what loads a checkpoint."""

import os

import transformers

os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # a conversion service is no part of a run
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
