"""Statistical tests of setups that were run with several seeds on the same test examples.

A score varies for two reasons: another seed would have trained another classifier, and another
draw of test examples would have scored it otherwise. A claim about a *setup* (train it again and
it will still be better) must allow for both. The two-way t test used here adds them up:

    variance of a difference = s²_A / (k_A - 1) + s²_B / (k_B - 1) + variance over draws of the test examples

with s² the variance of a setup's score over its k seeds, and Student's t with Satterthwaite's
degrees of freedom. For a score that is a mean over examples (accuracy, log loss) the last term is
exact; for others (macro F1) it is the bootstrap variance over examples of the mean over seeds.
Seeds need no resampling: the bootstrap variance of a mean of k is known in closed form.

The unbiased variance of a mean over seeds would be s² / k. Dividing by k - 1 is a correction for few
seeds: where s² happens to be small the degrees of freedom happen to be many, and without it the test
claims too much (simulated: up to 7.8 % instead of 5 % with three seeds, where only one of two
setups varies over seeds).

A test over one seed, or over seeds alone, calls identical setups different far more often than
it says (Reimers & Gurevych 2018; Sellam et al. 2022). `experiments/calibration.py` measures how
often this one does.

Nothing here knows of runs or files: arrays in, arrays out.
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
from textclf.compare.statistics.fold_test import fold_scores, fold_scores_of_confusions
from textclf.compare.statistics.p_values import FEW_DISAGREEMENTS, holm, mcnemar_p_value, superiority
from textclf.compare.statistics.resampling import DRAWS, bootstrap, drawn_confusions, example_weights
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
    "FEW_DISAGREEMENTS",
    "FEW_FOLDS",
    "OF_CONFUSIONS",
    "POWER",
    "SHARED",
    "ComparedSystems",
    "Estimates",
    "FoldSpread",
    "Scores",
    "accuracy",
    "bootstrap",
    "class_f1",
    "class_precision",
    "class_recall",
    "compare_systems",
    "confusions",
    "differences",
    "drawn_confusions",
    "example_weights",
    "fold_scores",
    "fold_scores_of_confusions",
    "holm",
    "levels",
    "matthews",
    "mcnemar_p_value",
    "scores_of_draws",
    "scores_of_means",
    "superiority",
]
