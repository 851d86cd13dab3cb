"""Tests of setups by their predictions of the same examples: seeds, examples and folds all vary.

    from textclf.compare.statistics import compare_systems

takes labels and predictions and returns a verdict on each pair. The method, in a page:

**The claim.** A score varies because another seed would have trained another classifier, and because another draw of
test examples would have scored it otherwise. A claim about a *setup* (train it again and it will still be better) must
allow for both. A test over one seed, or over seeds alone, calls identical setups different far more often than it says
(Dietterich 1998; Reimers & Gurevych 2018; Bouthillier et al. 2021; Sellam et al. 2022).

**Seeds on one test set.** The two-way t test adds both up:

    variance of a difference = variance over draws of the test examples + seeds' part of A + seeds' part of B
    seeds' part = s² / (k - 1)

with s² the variance of a setup's score over its k seeds, and Student's t with Satterthwaite's degrees of freedom. For a
mean over examples (accuracy, log loss) the first term is exact; for functions of the confusion matrix (macro F1) it is
the bootstrap variance over examples of the mean over seeds. The F1 of sets of labels goes through the same test as a
mean of what each example contributes to it to first order (`set_influence`; `experiments/set_calibration.py`).

A seed that is right on one example and wrong on another by chance makes scores vary over seeds and over examples, and
so counts twice. It is taken from the seeds' part, all of it where the seeds of both setups vary as much, less where
those of one vary less (4ab / (a + b)² for parts a and b): with the few seeds of one setup alone it would be taken
mostly where they happen to agree. Dividing by k - 1 rather than k is a correction for few seeds: where s² happens to be
small, the degrees of freedom happen to be many, and the test claims too much (simulated: up to 7.8 % instead of 5 %
with three seeds, where only one of two setups varies over seeds). `experiments/calibration.py` simulates how often it
is wrong; `experiments/null_pairs.py` asks it whether a real setup differs from itself.

**Cross-validation on shared partitions.** The claim is about the expected difference of setups trained on n (k - 1) / k
examples of the population, with any seed; every training is to have a seed of its own. Each example is tested once a
repeat and trained on k - 1 times, so predictions of different folds are not independent, and no unbiased estimate of
the variance exists (Bengio & Grandvalet 2004). It is put together from

    1.5 * variance over examples of the mean over seeds and repeats
    + what the scores of folds vary more than their examples explain, averaged over folds and repeats

The second part is that of the trainings; the folds' variance is first raised by 2 over its degrees of freedom, which
are repeats (k - 1). The factor 1.5 allows for examples that, where they are trained on, help with others. Both numbers
were chosen on one half of a simulation of real learners and judged on the other: `experiments/fold_calibration.py`
measures false claims, power and width. The corrected t over folds (Nadeau & Bengio 2003; Bouckaert & Frank 2004) is
safe too, but finds less, as it does not use what is known of single examples; nested cross-validation (Bates, Hastie &
Tibshirani 2023) takes some hundred times as many trainings.

**One seed each.** McNemar's test speaks of these two classifiers only.

**Several pairs** are corrected by Holm (1979). *Equivalent* are setups that two one-sided tests place within a margin
(Schuirmann 1987). The smallest detectable difference is one that the test would have found 8 times in 10 (Card et al.
2020); the numbers of examples, seeds or repeats that a difference needs are those that make it as small
(`needed_examples` and its like).

Nothing here knows of runs, files or the rest of textclf: arrays in, arrays out, with numpy, scipy and statsmodels.
"""

from __future__ import annotations

from textclf.compare.statistics.confusion_metrics import (
    OF_CONFUSIONS,
    accuracy,
    class_f1,
    class_precision,
    class_recall,
    confusions,
    matthews,
)
from textclf.compare.statistics.curve_crossing import Crossing, crossing
from textclf.compare.statistics.fold_test import fold_scores, fold_scores_of_confusions
from textclf.compare.statistics.learning_curve import FEWEST_SIZES, Forecast, forecast
from textclf.compare.statistics.p_values import FEW_DISAGREEMENTS, holm, holm_levels, mcnemar_p_value, superiority
from textclf.compare.statistics.planning import (
    cross_validated,
    grown,
    needed_examples,
    needed_repeats,
    needed_seeds,
)
from textclf.compare.statistics.resampling import DRAWS, bootstrap, drawn_confusions, example_weights
from textclf.compare.statistics.set_influence import OF_SETS, label_f1_values, set_bootstrap
from textclf.compare.statistics.systems import ComparedSystems, compare_systems
from textclf.compare.statistics.two_way import (
    FEW_FOLDS,
    POWER,
    SHARED,
    Estimates,
    FoldSpread,
    Scores,
    differences,
    levels,
    scores_of_draws,
    scores_of_means,
)

__all__ = [
    "DRAWS",
    "FEWEST_SIZES",
    "FEW_DISAGREEMENTS",
    "FEW_FOLDS",
    "OF_CONFUSIONS",
    "OF_SETS",
    "POWER",
    "SHARED",
    "ComparedSystems",
    "Crossing",
    "Estimates",
    "FoldSpread",
    "Forecast",
    "Scores",
    "accuracy",
    "bootstrap",
    "class_f1",
    "class_precision",
    "class_recall",
    "compare_systems",
    "confusions",
    "cross_validated",
    "crossing",
    "differences",
    "drawn_confusions",
    "example_weights",
    "fold_scores",
    "fold_scores_of_confusions",
    "forecast",
    "grown",
    "holm",
    "holm_levels",
    "label_f1_values",
    "levels",
    "matthews",
    "mcnemar_p_value",
    "needed_examples",
    "needed_repeats",
    "needed_seeds",
    "scores_of_draws",
    "scores_of_means",
    "set_bootstrap",
    "superiority",
]
