"""Confusion-matrix scores and curves against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics

from patchcxr.errors import CohortError, LabelError
from patchcxr.measure.classification import (
    auroc,
    average_precision,
    binary_scores,
    classification_scores,
    confusion_matrix,
    one_vs_rest_auroc,
    precision_recall_curve,
    roc_curve,
)


@pytest.fixture
def films(rng):
    """Truth of 200 films, and scores with many ties."""
    truth = rng.random(200) < 0.3
    return truth, np.round(truth * 0.3 + rng.random(200), 1)


def test_rows_of_the_confusion_matrix_are_the_truth():
    assert confusion_matrix([0, 0, 1], [1, 1, 1], 3).tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]


def test_confusion_matrix_equals_scikit_learn(rng):
    truth, predicted = rng.integers(4, size=(2, 300))
    expected = metrics.confusion_matrix(truth, predicted, labels=range(5))
    np.testing.assert_array_equal(confusion_matrix(truth, predicted, 5), expected)


def test_class_scores_are_those_worked_out_by_hand():
    scores = classification_scores(np.array([[5, 1], [2, 12]]), ["normal", "viral"])
    viral = scores["viral"]
    assert viral["precision"] == pytest.approx(12 / 13)
    assert viral["recall"] == pytest.approx(12 / 14)
    assert viral["specificity"] == pytest.approx(5 / 6)
    assert viral["npv"] == pytest.approx(5 / 7)
    assert viral["f1"] == pytest.approx(24 / 27)
    assert viral["f2"] == pytest.approx(60 / (60 + 4 * 2 + 1))
    assert viral["support"] == 14
    assert scores["macro"]["recall"] == pytest.approx((5 / 6 + 12 / 14) / 2)
    assert scores["macro"]["accuracy"] == pytest.approx(17 / 20)


def test_macro_scores_equal_scikit_learn(rng):
    truth, predicted = rng.integers(4, size=(2, 300))
    macro = classification_scores(confusion_matrix(truth, predicted, 4))["macro"]
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, predicted, average="macro")
    assert (macro["precision"], macro["recall"], macro["f1"]) == pytest.approx((precision, recall, f1))
    assert macro["f2"] == pytest.approx(metrics.fbeta_score(truth, predicted, beta=2, average="macro"))
    assert macro["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))


def test_a_class_never_predicted_counts_as_precision_zero_like_scikit_learn():
    truth, predicted = [0, 0, 1, 2], [0, 0, 1, 1]
    scores = classification_scores(confusion_matrix(truth, predicted, 3))
    assert scores["2"]["precision"] == scores["2"]["recall"] == scores["2"]["f1"] == 0
    expected = metrics.precision_score(truth, predicted, average="macro", zero_division=0)
    assert scores["macro"]["precision"] == pytest.approx(expected)


def test_a_class_neither_there_nor_predicted_is_undefined_and_leaves_the_macro_unchanged():
    absent = classification_scores(confusion_matrix([0, 1, 1], [0, 1, 0], 3))
    without = classification_scores(confusion_matrix([0, 1, 1], [0, 1, 0], 2))
    assert np.isnan([absent["2"][score] for score in ("precision", "recall", "f1", "f2")]).all()
    assert absent["2"]["support"] == 0
    for score in ("precision", "recall", "f1", "accuracy"):
        assert absent["macro"][score] == without["macro"][score]


def test_a_false_alarm_for_a_class_without_cases_costs_precision_but_not_recall():
    scores = classification_scores(confusion_matrix([0, 0, 1], [0, 2, 1], 3))
    assert scores["2"]["precision"] == scores["2"]["f1"] == 0
    assert np.isnan(scores["2"]["recall"])
    assert scores["macro"]["recall"] == pytest.approx((1 / 2 + 1) / 2)


def test_detector_scores_follow_the_equations():
    scores = binary_scores(tp=90, fp=30, fn=10, tn=70)
    precision, sensitivity = 0.75, 0.9
    assert scores["sensitivity"] == sensitivity
    assert scores["specificity"] == 0.7
    assert scores["precision"] == precision
    assert scores["accuracy"] == 0.8
    assert scores["npv"] == 70 / 80
    assert scores["f1"] == pytest.approx(2 * precision * sensitivity / (precision + sensitivity))
    assert scores["f2"] == pytest.approx(5 * precision * sensitivity / (4 * precision + sensitivity))


def test_a_silent_detector_has_precision_zero_and_without_positives_it_is_undefined():
    assert binary_scores(tp=0, fp=0, fn=5, tn=5)["precision"] == 0
    assert np.isnan(binary_scores(tp=0, fp=0, fn=0, tn=5)["precision"])
    assert np.isnan(binary_scores(tp=5, fp=0, fn=0, tn=0)["specificity"])
    assert binary_scores(tp=5, fp=5, fn=0, tn=0)["npv"] == 0


def test_roc_curve_equals_scikit_learn_with_ties(films):
    expected = metrics.roc_curve(*films, drop_intermediate=False)
    for ours, theirs in zip(roc_curve(*films), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_precision_recall_curve_equals_scikit_learn_with_ties(films):
    expected = metrics.precision_recall_curve(*films)
    for ours, theirs in zip(precision_recall_curve(*films), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_areas_equal_scikit_learn_with_ties(films):
    assert auroc(*films) == pytest.approx(metrics.roc_auc_score(*films), abs=1e-12)
    assert average_precision(*films) == pytest.approx(metrics.average_precision_score(*films), abs=1e-12)


def test_auroc_is_the_share_of_pairs_in_the_right_order(films):
    truth, score = films
    positive, negative = score[truth][:, None], score[~truth][None, :]
    wins = (positive > negative).mean() + 0.5 * (positive == negative).mean()
    assert auroc(truth, score) == pytest.approx(wins)


def test_auroc_of_the_negated_score_is_the_complement(films):
    truth, score = films
    assert auroc(truth, -score) == pytest.approx(1 - auroc(truth, score))


@pytest.mark.parametrize("truth", [[0, 0, 0], [1, 1, 1]])
def test_a_single_class_has_no_area(truth):
    assert np.isnan(auroc(truth, [0.1, 0.2, 0.3]))
    assert np.isnan(average_precision(truth, [0.1, 0.2, 0.3]))


def test_roc_rates_without_cases_are_undefined():
    false_positive_rate, true_positive_rate, _ = roc_curve([1, 1], [0.3, 0.4])
    assert np.isnan(false_positive_rate).all()
    assert true_positive_rate.tolist() == [0, 0.5, 1]


def test_one_vs_rest_macro_equals_scikit_learn(rng):
    truth = rng.integers(3, size=90)
    probability = rng.dirichlet(np.ones(3), size=90)
    expected = metrics.roc_auc_score(truth, probability, multi_class="ovr", average="macro")
    assert one_vs_rest_auroc(truth, probability).mean() == pytest.approx(expected)


def test_a_class_without_cases_has_no_one_vs_rest_auroc():
    probability = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    areas = one_vs_rest_auroc([0, 1, 0], probability)
    assert np.isnan(areas).tolist() == [False, False, True]


def test_a_nan_score_is_refused_and_counted():
    with pytest.raises(CohortError, match="score is NaN for 2 of 3 cases; leave them out and report how many"):
        auroc([0, 1, 1], [np.nan, 0.2, np.nan])


def test_labels_instead_of_a_binary_truth_are_refused():
    with pytest.raises(CohortError, match=r"truth holds \[0, 1, 2\]; expected bool or 0/1"):
        auroc([0, 1, 2], [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 3], [0, 1], "truth holds the class index 3; expected 0 to 2"),
        ([0, 1], [0, -1], "predicted holds the class index -1"),
        ([0, 1], [0], "truth has 2 cases but predicted has 1"),
        (["normal"], ["viral"], "map class names to integers first"),
    ],
)
def test_unusable_classes_are_named(truth, predicted, message):
    with pytest.raises(LabelError, match=message):
        confusion_matrix(truth, predicted, 3)


def test_names_that_do_not_match_the_matrix_are_refused():
    with pytest.raises(LabelError, match="expected 2 different names"):
        classification_scores(np.eye(2, dtype=int), ["normal"])
    with pytest.raises(LabelError, match="square"):
        classification_scores(np.ones((2, 3), dtype=int))
    with pytest.raises(LabelError, match="expected counts"):
        binary_scores(tp=1, fp=-1, fn=0, tn=0)
