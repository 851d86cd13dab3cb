"""Whether it pays to label the least certain texts first: a simulation with true labels in place of a person.

python experiments/label_order.py headlines reviews messages
python experiments/label_order.py headlines --keep 0.125

Texts of a bundled dataset are divided into a test set (a third) and a pool without labels. The first batch is drawn at
random; then, round by round, a head on the embeddings of the frozen MiniLM is fitted to what is labelled, and the next
batch is drawn at random, or is what the head is least certain of (`textclf.label.ordering`). Both orders begin with the
same texts and are tested on the same ones, so their difference is given with its standard error over seeds. `--keep`
leaves only a share of the last class in the pool: classes of real texts are seldom of one size.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from textclf.data.dataset import SPLITS, texts_of, truth_of
from textclf.data.load import load
from textclf.experiment.cli import composed
from textclf.experiment.config import build
from textclf.label.ordering import uncertainty
from textclf.models.embeddings.sentence_encoder import load_encoder


def fitted(vectors: NDArray, truth: NDArray, num_labels: int):
    """Return what gives each class's or label's probability for vectors, float32 (n, num_labels)."""
    columns = truth.T if truth.ndim == 2 else [truth]
    heads = [
        LogisticRegression(C=10, max_iter=1000).fit(vectors, own) if len(set(own.tolist())) > 1 else int(own[0])
        for own in columns
    ]

    def probabilities(given: NDArray) -> NDArray[np.float32]:
        if truth.ndim == 2:
            each = [np.full(len(given), h) if isinstance(h, int) else h.predict_proba(given)[:, 1] for h in heads]
            return np.column_stack(each).astype(np.float32)
        out = np.zeros((len(given), num_labels), dtype=np.float32)
        (head,) = heads
        if isinstance(head, int):
            out[:, head] = 1.0
        else:
            out[:, head.classes_] = head.predict_proba(given)
        return out

    return probabilities


def curve(vectors: NDArray, truth: NDArray, num_labels: int, given: argparse.Namespace, order: str, seed: int):
    """Return the macro F1 after each round, float64 (rounds,)."""
    chance = np.random.default_rng(seed)
    mixed = chance.permutation(len(vectors))
    test, pool = np.split(mixed, [len(mixed) // 3])
    if given.keep < 1:
        rare = truth[pool] == num_labels - 1 if truth.ndim == 1 else truth[pool][:, -1]
        places = chance.permutation(np.flatnonzero(rare))
        pool = np.delete(pool, places[round(given.keep * len(places)) :])
    labelled, left = np.split(pool, [given.batch])
    scores = []
    for _ in range(given.rounds):
        predict = fitted(vectors[labelled], truth[labelled], num_labels)
        found = predict(vectors[test])
        predicted = found >= 0.5 if truth.ndim == 2 else found.argmax(axis=1)
        scores.append(f1_score(truth[test], predicted, average="macro", zero_division=0))
        if order == "uncertain":
            thresholds = (0.5,) * num_labels if truth.ndim == 2 else None
            left = left[np.argsort(-uncertainty(predict(vectors[left]), thresholds), kind="stable")]
        chosen, left = np.split(left, [given.batch])
        labelled = np.concatenate([labelled, chosen])
    return np.array(scores)


def main() -> None:
    """Print the scores of both orders and their difference, a row for each number of labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="DATASET", help="such as headlines")
    parser.add_argument(
        "--keep", type=float, default=1.0, help="share of the last class left in the pool (%(default)s)"
    )
    parser.add_argument("--batch", type=int, default=20, help="texts labelled a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="rounds (%(default)s)")
    parser.add_argument("--seeds", type=int, default=40, help="seeds (%(default)s)")
    given = parser.parse_args()
    encoder = load_encoder(build(composed(["model=minilm_embeddings"]), "model"), torch.device("cpu"), "fp32")
    for name in given.datasets:
        data = load(build(composed([f"dataset={name}"]), "dataset"))
        texts = [text for split in SPLITS for text in texts_of(data.split(split))[0]]
        truth = np.concatenate([truth_of(data.split(split), data.num_labels) for split in SPLITS])
        vectors = encoder.encode(texts)
        found = {
            order: np.array([curve(vectors, truth, data.num_labels, given, order, s) for s in range(given.seeds)])
            for order in ("random", "uncertain")
        }
        gain = found["uncertain"] - found["random"]
        error = gain.std(axis=0, ddof=1) / np.sqrt(given.seeds)
        kept = f", {given.keep:.1%} of {data.label_names[-1]!r} left" if given.keep < 1 else ""
        print(
            f"\n{name}{kept}\n\n| labels | random | least certain first | gain | standard error |\n"
            "|---|---|---|---|---|"
        )
        for number in range(given.rounds):
            means = [f"{found[order][:, number].mean():.3f}" for order in ("random", "uncertain")]
            cells = [str((number + 1) * given.batch), *means, f"{gain[:, number].mean():+.3f}", f"{error[number]:.3f}"]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
