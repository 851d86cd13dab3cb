"""The peers that fine-tune and use transformers, by their public API as their documentation says."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    default_data_collator,
    pipeline,
    set_seed,
)

from textclf.data.dataset import TextData

BATCH = 32
LONGEST = 128
LEARNING_RATE = 2e-4
Texts = tuple[list[str], list[str] | None]
"""Texts, and their second halves where they are pairs."""


@dataclass(frozen=True)
class HFSettings:
    """How transformers' Trainer is set."""

    padded: bool = True
    """Whether every text is padded to `LONGEST` tokens, as the example scripts do by default."""
    by_length: bool = False
    """Whether texts of similar length are batched together (`train_sampling_strategy="group_by_length"`)."""
    attention: str | None = None
    """none leaves the choice to transformers."""
    bf16: bool = False
    device: str = "cpu"

    def text(self) -> str:
        """Return the settings in words."""
        padding = f"padded to {LONGEST}" if self.padded else "padded to the longest text of the batch"
        grouped = ", group_by_length" if self.by_length else ""
        attention = f", {self.attention} attention" if self.attention else ""
        return f"{'bf16' if self.bf16 else 'fp32'}, {padding}{grouped}{attention}"


def fine_tune(
    source: str, data: TextData, settings: HFSettings, seed: int, epochs: int = 1, batch_size: int = BATCH
) -> tuple[PreTrainedModel, Any, float]:
    """Fine-tune a checkpoint as transformers' example script for GLUE does.

    Model and tokenizer are loaded, texts tokenised in batches by `map`, then the Trainer trains; nothing is
    evaluated, logged or saved meanwhile.

    Returns:
        The model, its tokenizer, and the seconds of the training loop alone, as the Trainer tells them.
    """
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(source)
    attention = {"attn_implementation": settings.attention} if settings.attention else {}
    model = AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=data.num_labels, dtype=torch.float32, **attention
    )

    def encode(rows: dict[str, list[str]]) -> Any:
        padding = "max_length" if settings.padded else False
        return tokenizer(rows["text"], rows.get("text_pair"), padding=padding, truncation=True, max_length=LONGEST)

    columns = [name for name in data.train.column_names if name != "label"]
    train = data.train.map(encode, batched=True, remove_columns=columns, load_from_cache_file=False)
    with tempfile.TemporaryDirectory(prefix="textclf-benchmark-") as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=batch_size,
                num_train_epochs=epochs,
                learning_rate=LEARNING_RATE,
                weight_decay=0.01,
                warmup_steps=0.06,
                train_sampling_strategy="group_by_length" if settings.by_length else "random",
                bf16=settings.bf16,
                use_cpu=settings.device == "cpu",
                seed=seed,
                eval_strategy="no",
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=train,
            processing_class=tokenizer,
            data_collator=default_data_collator if settings.padded else DataCollatorWithPadding(tokenizer),
        )
        trainer.remove_callback(_printer())
        done = trainer.train()
    return model, tokenizer, float(done.metrics["train_runtime"])


def _printer() -> Any:
    from transformers import PrinterCallback

    return PrinterCallback


def stock_loop(model: Any, tokenizer: Any, texts: Texts, batch_size: int = BATCH) -> NDArray[np.float32]:
    """Predict as the documentation's loop does: in the order given, padded to the longest of each batch, float32."""
    firsts, seconds = texts
    model.eval()
    found = []
    for start in range(0, len(firsts), batch_size):
        part = slice(start, start + batch_size)
        batch = tokenizer(
            firsts[part],
            None if seconds is None else seconds[part],
            padding=True,
            truncation=True,
            max_length=LONGEST,
            return_tensors="pt",
        ).to(model.device)
        with torch.no_grad():
            found.append(model(**batch).logits.softmax(dim=-1).cpu().numpy())
    return np.concatenate(found)


def pipeline_labels(model: Any, tokenizer: Any, batch_size: int) -> Callable[[Texts], list[str]]:
    """Return what predicts labels with `transformers.pipeline`."""
    pipe = pipeline("text-classification", model=model, tokenizer=tokenizer, device=model.device)

    def labels(texts: Texts) -> list[str]:
        firsts, seconds = texts
        given: Any = firsts
        if seconds is not None:
            given = [{"text": one, "text_pair": other} for one, other in zip(firsts, seconds, strict=True)]
        found: Any = pipe(given, batch_size=batch_size, truncation=True, max_length=LONGEST)
        return [one["label"] for one in found]

    return labels
