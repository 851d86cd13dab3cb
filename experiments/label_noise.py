"""How well the audit finds labels that are known to be wrong.

python experiments/label_noise.py dataset=ag_news
python experiments/label_noise.py dataset=imdb --share 0.05 --seed 2

A share of the training labels is changed to another class at random, and the audit's list of suspected labels, which
knows nothing of that, is held against the truth: of the training examples at its top, as many as were changed, which
share was? Drawn at random it would be the share that was changed. The dataset's own wrong labels, which nobody knows,
count as mistakes of the list, so the truth is a little better.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from textclf.audit.corpus import Corpus
from textclf.audit.label_errors import LabelErrors, find_label_errors
from textclf.audit.options import AuditOptions
from textclf.data.dataset import TextData, labels_of
from textclf.data.load import load
from textclf.experiment.cli import composed
from textclf.experiment.config import build


def with_noise(data: TextData, share: float, seed: int) -> tuple[TextData, np.ndarray]:
    """Return data of whose training labels a share is wrong, and whether each is, bool (n,)."""
    rng = np.random.default_rng(seed)
    labels = labels_of(data.train)
    wrong = np.zeros(len(labels), dtype=bool)
    wrong[rng.choice(len(labels), round(share * len(labels)), replace=False)] = True
    shift = rng.integers(1, data.num_labels, len(labels))
    noisy = np.where(wrong, (labels + shift) % data.num_labels, labels)
    feature = data.train.features["label"]
    train = data.train.remove_columns("label").add_column("label", noisy.tolist(), feature=feature)  # type: ignore[call-arg]
    return replace(data, train=train), wrong


def precision_at(errors: LabelErrors, wrong: np.ndarray, count: int) -> float:
    """Return the share of wrong labels among the `count` most suspect training examples, 0 to 1."""
    judged = errors.judged < len(wrong)  # train comes first
    rows, scores = errors.judged[judged], errors.judged_scores[judged]
    return float(wrong[rows[np.argsort(scores, kind="stable")[:count]]].mean())


def main() -> None:
    """Change labels, search for them, and print how many were found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="+", metavar="GROUP=CHOICE", help="such as dataset=ag_news")
    parser.add_argument("--share", type=float, default=0.1, help="share of training labels changed (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the changes (%(default)s)")
    given = parser.parse_intermixed_args()
    data: TextData = load(build(composed(given.overrides), "dataset"))
    noisy, wrong = with_noise(data, given.share, given.seed)
    corpus = Corpus.of(noisy)
    errors = find_label_errors(corpus, AuditOptions(label_error_sample=len(corpus)))
    if errors is None:
        raise SystemExit("the classes are too small to be judged")
    planted = int(wrong.sum())
    print(
        f"{data.name}: {planted:,} of {len(wrong):,} training labels changed; "
        f"out-of-fold accuracy {errors.accuracy:.3f}"
    )
    for count in (100, planted // 2, planted):
        found = precision_at(errors, wrong, count)
        print(f"  of the {count:,} most suspect training labels {found:.1%} were changed (chance: {wrong.mean():.1%})")
    listed = errors.rows[errors.rows < len(wrong)]
    print(f"  the list names {len(listed):,}, of which {wrong[listed].mean():.1%} were changed: ", end="")
    print(f"{wrong[listed].sum() / planted:.1%} of all that were")


if __name__ == "__main__":
    main()
