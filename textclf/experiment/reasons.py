"""Why the options are what they are where nobody says otherwise: a sentence each, for the report of a run."""

from __future__ import annotations

REASONS: dict[str, str] = {
    "dataset.max_train_examples": "All there is; fewer only to try things out.",
    "dataset.validation_fraction": "A tenth of train is enough to choose an epoch by, and leaves most to learn from.",
    "dataset.split_seed": "Kept apart from the seed of the run: other seeds are tested on the same examples.",
    "dataset.train_languages": "Every language there is.",
    "model.max_length": "Holds most sentences and many reviews whole; time grows at least in proportion to it.",
    "model.truncation": "Texts mostly begin with what they are about; head_tail gained 0.2 points (Sun et al. 2019).",
    "model.long_text": "Windows cost as many passes as a text has windows.",
    "model.padding": "Padding to the longest text of a batch gives the same result for less work.",
    "model.dropout": "The checkpoint's own, with which it was pretrained.",
    "model.text_cleaning": "Tokenizers and vectorizers do their own; cleaning can take away what tells classes apart.",
    "model.imbalance": "Every remedy shifts the probabilities off the true shares; for where rare classes matter.",
    "model.calibration": "Labels do not change by it; worth it where probabilities are used.",
    "model.vectorizer": "What scikit-learn makes of words; the YAML of the model says what differs.",
    "model.classifier": "The one that was asked for; there is no default.",
    "trainer.epochs": "2 to 4 suffice to fine-tune BERT (Devlin et al. 2019, A.3), and the best epoch is kept.",
    "trainer.batch_size": "The smaller of the two sizes of Devlin et al. (2019, A.3).",
    "trainer.learning_rate": "The highest of the three of Devlin et al. (2019, A.3); small encoders take more.",
    "trainer.weight_decay": "As in the pretraining of BERT (Devlin et al. 2019, A.2).",
    "trainer.warmup_fraction": "As in the fine-tuning of RoBERTa (Liu et al. 2019, table 10).",
    "trainer.schedule": "Linear decay, as in BERT's and RoBERTa's own fine-tuning.",
    "trainer.max_grad_norm": "Keeps a single batch from undoing what was learned.",
    "trainer.label_smoothing": "Off: it makes the probabilities less sure than the data are.",
    "trainer.patience": "Every epoch is run, since there are few; the best is kept either way.",
    "trainer.length_bucketing": "Less padding; the order of the batches stays random.",
    "trainer.precision": "bf16 where the hardware is fast at it, else what is exact.",
    "objective": "Macro F1 counts each class the same, however rare it is.",
    "seed": "One of many: other seeds give other figures.",
}
"""Reasons of defaults, by dotted name of the option."""
