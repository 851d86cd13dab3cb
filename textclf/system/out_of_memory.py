"""Knowing that memory ran out, in whatever words a library says it, and saying what would help."""

from __future__ import annotations

import errno
import sys
import threading

from textclf.errors import ResourceError, causes

SAID = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # torch on a CPU
    "not enough memory",
    "cannot allocate memory",  # the system's own words, passed on by libraries in Rust
    "could not create a memory",  # oneDNN
    "could not create a primitive",
    "unable to allocate",  # numpy
    "std::bad_alloc",
    "alloc_failed",  # cuBLAS and its kin
    "can't start new thread",  # whose stack finds no room
    "failed to map segment",  # a library that could not be loaded
)
LONGEST_START = 20.0
"""Seconds that a thread may take until it runs."""
REMEDY = (
    "Give it more memory, or need less: a shorter model.max_length, trainer.gradient_checkpointing=true, a smaller "
    "model (model=distilbert, model=minilm, model=tfidf_logreg), or fewer texts (dataset.max_train_examples)."
)


class OutOfMemoryError(ResourceError):
    """Not even a single example fits in memory."""

    def __init__(self, message: str, device: str):
        """Say so.

        Args:
            message: The paragraph for a person.
            device: Where memory ran out, such as `cuda` or `cpu`.
        """
        super().__init__(message)
        self.device = device


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error, or one that it was raised from, is that memory ran out."""
    return any(_is_one(one) for one in causes(error))


def memory_words(error: BaseException) -> str:
    """Return a paragraph on memory that ran out, and what would help."""
    return f"The memory ran out ({brief(error)}). {REMEDY}"


def brief(error: BaseException) -> str:
    """Return what the library said, in a line."""
    one = next((one for one in causes(error) if _is_one(one)), error)
    said = " ".join(str(one).split())
    return said[:200] if said else type(one).__name__


class _Beginning(threading.Event):
    """What a thread sets when it runs; who starts it waits for that no longer than a thread can take."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, and raise where nothing came of it.

        Raises:
            MemoryError: If no timeout was given and the thread did not begin.
        """
        if super().wait(LONGEST_START if timeout is None else timeout):
            return True
        if timeout is None:
            raise MemoryError("a thread was begun and found no memory to run in")
        return False


def start_thread(thread: threading.Thread) -> None:
    """Start a thread; where it dies for want of memory before it runs, Python's own `start` would wait for ever.

    Raises:
        MemoryError: If it does not run.
    """
    thread._started = _Beginning()  # pyright: ignore[reportAttributeAccessIssue]
    thread.start()


def _is_one(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    libraries = isinstance(error, (RuntimeError, ImportError, OSError)) or type(error).__module__ == "safetensors_rust"
    return libraries and any(said in str(error).lower() for said in SAID)
