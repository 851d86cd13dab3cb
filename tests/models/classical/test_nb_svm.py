import numpy as np
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC

from textclf.models.classical.nb_svm import NBSVM
from textclf.models.classical.pipeline import WordOverlap

COUNTS = csr_matrix(np.array([[2, 0, 1], [1, 0, 1], [0, 2, 1], [0, 1, 0]], dtype=float))
LABELS = np.array([1, 1, 0, 0])


def test_weights_are_those_of_the_paper():
    """Hand-worked: p = 1 + (3, 0, 2), q = 1 + (0, 3, 1), r = log(p/|p|) - log(q/|q|)."""
    p, q = np.array([4.0, 1, 3]), np.array([1.0, 4, 2])
    ratio = np.log(p / p.sum()) - np.log(q / q.sum())
    svm = LinearSVC(C=1.0, random_state=0).fit(COUNTS.multiply(ratio).tocsr(), LABELS == 1)
    weights = svm.coef_.ravel()
    expected = (0.75 * np.abs(weights).mean() + 0.25 * weights) * ratio
    model = NBSVM(C=1.0, alpha=1.0, beta=0.25, random_state=0).fit(COUNTS, LABELS)
    np.testing.assert_allclose(model.coef_[0], expected)
    assert model.predict(COUNTS).tolist() == LABELS.tolist()


def test_three_classes_are_one_against_the_rest():
    labels = np.array([0, 1, 2, 2])
    model = NBSVM(random_state=0).fit(COUNTS, labels)
    assert model.coef_.shape == (3, 3)
    assert model.decision_function(COUNTS).shape == (4, 3)


def test_dense_features_are_fitted_as_sparse_ones():
    dense, sparse = (NBSVM(random_state=0).fit(features, LABELS) for features in (COUNTS.toarray(), COUNTS))
    np.testing.assert_array_equal(dense.coef_, sparse.coef_)


def test_overlap_of_pairs():
    pairs = np.array([["A cat sat", "the cat"], ["a b", "a b"], ["x", ""]], dtype=object)
    np.testing.assert_allclose(WordOverlap().fit_transform(pairs), [[1 / 2, 1 / 4], [1, 1], [0, 0]])
