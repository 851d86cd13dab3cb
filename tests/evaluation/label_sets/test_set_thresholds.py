import numpy as np
import pytest

from tests.evaluation.label_sets.test_set_metrics import predicted
from textclf.evaluation.label_sets.metrics import label_figures
from textclf.evaluation.label_sets.predictions import SetPredictions
from textclf.evaluation.label_sets.thresholds import best_common, choose_thresholds, fit_set_temperature
from textclf.models.options import LabelThresholds


def learned(n, rates, seed, sharpness=2.0):
    """Return predictions of a model whose scores of every label are low, as after training with rare labels."""
    generator = np.random.default_rng(seed)
    truth = generator.random((n, len(rates))) < rates
    logits = sharpness * truth + generator.normal(size=truth.shape) - 3.5
    return predicted(truth, 1 / (1 + np.exp(-logits)))


def macro_f1(one):
    return float(np.nanmean(label_figures(one)["f1"]))


def micro_f1(one):
    return 2 * (one.truth & one.predicted).sum() / (one.truth.sum() + one.predicted.sum())


def test_the_best_threshold_is_found_by_trying_all():
    one = learned(200, [0.3, 0.2], 1)
    tried = [micro_f1(one.at(value)) for value in np.linspace(0.001, 0.999, 999)]
    assert micro_f1(one.at(best_common(one))) == pytest.approx(max(tried), abs=0.003)
    assert micro_f1(one.at(best_common(one))) > micro_f1(one) + 0.2


def test_beta_trades_misses_for_wrong_labels():
    one = learned(400, [0.3, 0.2], 2)
    chosen = {beta: choose_thresholds(one, LabelThresholds.one, beta).common for beta in (0.5, 1.0, 2.0)}
    assert chosen[2.0] < chosen[1.0] < chosen[0.5]


def test_a_rare_label_keeps_near_the_common_threshold():
    """A label with one positive has its best threshold just below that text's probability, by chance."""
    one = learned(300, [0.4, 0.4, 0.0], 3)
    truth = one.truth.copy()
    truth[int(one.probabilities[:, 2].argmax()), 2] = True
    rare = SetPredictions(truth, one.probabilities, one.label_names, one.thresholds)
    chosen = choose_thresholds(rare, LabelThresholds.each, 1.0)
    own = float(np.sort(rare.probabilities[:, 2])[-2:].mean())
    assert abs(chosen.thresholds[2] - chosen.common) < 0.3 * abs(own - chosen.common)
    assert chosen.positives.tolist()[2] == 1


def test_half_is_half_and_a_label_without_positives_takes_the_common_one():
    one = learned(100, [0.4, 0.3, 0.0], 4)
    assert choose_thresholds(one, LabelThresholds.half, 1.0).thresholds.tolist() == [0.5] * 3
    assert choose_thresholds(one, LabelThresholds.half, 1.0).optimism is None
    each = choose_thresholds(one, LabelThresholds.each, 1.0)
    assert each.thresholds[2] == pytest.approx(each.common)


def test_the_optimism_is_about_what_other_examples_show():
    """Over many samples: the F-score where thresholds were chosen, less that of fresh examples."""
    said, real = [], []
    for seed in range(30):
        one, fresh = learned(60, [0.2] * 8, seed), learned(3000, [0.2] * 8, 1000 + seed)
        chosen = choose_thresholds(one, LabelThresholds.each, 1.0)
        said.append(chosen.optimism)
        real.append(macro_f1(one.at(chosen.thresholds)) - macro_f1(fresh.at(chosen.thresholds)))
    assert np.mean(real) > 0.01
    assert np.mean(said) == pytest.approx(np.mean(real), abs=0.025)


def test_shrinkage_pays_on_examples_that_were_not_chosen_on():
    """Thresholds drawn to the common one do better on fresh examples than each label's best on few positives."""
    own, drawn = [], []
    for seed in range(30):
        one, fresh = learned(60, [0.08] * 8, seed), learned(3000, [0.08] * 8, 1000 + seed)
        each = np.array([best_common(predicted(one.truth[:, [k]], one.probabilities[:, [k]])) for k in range(8)])
        own.append(macro_f1(fresh.at(each)))
        chosen = choose_thresholds(one, LabelThresholds.each, 1.0).thresholds
        drawn.append(macro_f1(fresh.at(chosen)))
    assert np.mean(drawn) > np.mean(own) + 0.01


def test_a_temperature_makes_the_log_loss_least():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(2000, 3))
    truth = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
    too_sure = predicted(truth, 1 / (1 + np.exp(-3 * logits)))
    assert fit_set_temperature(too_sure) == pytest.approx(3.0, rel=0.15)
