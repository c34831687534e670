"""DeLong by its definition, McNemar against statsmodels."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from patchcxr.errors import CohortError
from patchcxr.stats.detectors import cochran_q, delong_interval, delong_test, mcnemar


def structural_components(truth, score):
    """DeLong 1988, eq. 4: every pair compared, averaged over the other class."""
    positive, negative = score[truth][:, None], score[~truth][None, :]
    wins = (positive > negative) + 0.5 * (positive == negative)
    return wins.mean(axis=1), wins.mean(axis=0)


@pytest.fixture(params=[1, 8])
def detectors(request, rng):
    truth = rng.random(80) < 0.4
    a = np.round(truth * 0.5 + rng.normal(size=80), request.param)
    b = np.round(0.6 * a + 0.4 * rng.normal(size=80), request.param)
    return truth, a, b


def test_interval_follows_the_definition(detectors):
    truth, score, _ = detectors
    positive, negative = structural_components(truth, score)
    error = np.sqrt(positive.var(ddof=1) / positive.size + negative.var(ddof=1) / negative.size)
    interval = delong_interval(truth, score)
    assert interval.auroc == pytest.approx(roc_auc_score(truth, score))
    assert interval.standard_error == pytest.approx(error)
    assert (interval.low, interval.high) == pytest.approx(
        (interval.auroc - 1.959964 * error, min(1, interval.auroc + 1.959964 * error))
    )


def test_paired_test_follows_the_definition(detectors):
    truth, a, b = detectors
    positive_a, negative_a = structural_components(truth, a)
    positive_b, negative_b = structural_components(truth, b)
    variance = np.var(positive_a - positive_b, ddof=1) / positive_a.size
    variance += np.var(negative_a - negative_b, ddof=1) / negative_a.size
    test = delong_test(truth, a, b)
    z = (positive_a.mean() - positive_b.mean()) / np.sqrt(variance)
    assert test.z == pytest.approx(z)
    assert test.p == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert test.difference == pytest.approx(roc_auc_score(truth, a) - roc_auc_score(truth, b))
    assert test.low < test.difference < test.high


def test_exchanging_the_detectors_changes_only_the_sign(detectors):
    truth, a, b = detectors
    there, back = delong_test(truth, a, b), delong_test(truth, b, a)
    assert back.z == pytest.approx(-there.z)
    assert back.p == pytest.approx(there.p)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_only_the_ranks_matter(detectors):
    truth, a, b = detectors
    assert delong_test(truth, np.exp(a), b**3).p == pytest.approx(delong_test(truth, a, b).p)


def test_a_detector_against_itself_is_no_difference(detectors):
    truth, a, _ = detectors
    test = delong_test(truth, a, a)
    assert (test.difference, test.z, test.p) == (0, 0, 1)


def test_perfect_separation_has_an_interval_without_width():
    interval = delong_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert interval == (1, 1, 1, 0)


def test_a_missing_class_leaves_everything_undefined():
    assert np.isnan(delong_interval([1, 1], [0.1, 0.2])).all()
    assert np.isnan(delong_test([0, 0], [0.1, 0.2], [0.3, 0.1])).all()


def test_one_positive_has_an_area_but_no_interval():
    interval = delong_interval([0, 0, 1], [0.1, 0.3, 0.2])
    assert interval.auroc == 0.5
    assert np.isnan(interval[1:]).all()


def test_mcnemar_equals_statsmodels(rng):
    truth, a, b = rng.integers(3, size=(3, 120))
    right_a, right_b = a == truth, b == truth
    table = [[np.sum(right_a & right_b), np.sum(right_a & ~right_b)], [np.sum(~right_a & right_b), 0]]
    result = mcnemar(truth, a, b)
    assert (result.only_a_right, result.only_b_right) == (table[0][1], table[1][0])
    assert result.p == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)


def test_mcnemar_of_detectors_right_on_the_same_films_is_one():
    assert mcnemar([1, 0, 1], [1, 1, 1], [1, 1, 1]) == (0, 0, 1.0, 1.0)


def test_unpaired_or_undefined_scores_are_refused():
    with pytest.raises(CohortError, match="one of each per film"):
        delong_test([0, 1], [0.1, 0.2], [0.1])
    with pytest.raises(CohortError, match="a score is NaN"):
        delong_interval([0, 1], [0.1, np.nan])
    with pytest.raises(CohortError, match="one class per film"):
        mcnemar([0, 1], [0], [0, 1])


def test_mid_p_is_that_of_r():
    # R: 2 * (pbinom(3, 15, .5) - 0.5 * dbinom(3, 15, .5)) = 0.021270751953125; binom.test(3, 15)$p.value = 0.03515625
    right_a, right_b = np.repeat([1, 0], [3, 12]), np.repeat([0, 1], [3, 12])
    found = mcnemar(np.ones(15), right_a, right_b)
    assert found.p == pytest.approx(0.03515625)
    assert found.p_mid == pytest.approx(0.021270751953125)


def test_mid_p_of_the_published_example_and_of_a_tie():
    # Fagerland 2013, Table 1: one film against seven; 2 * 9 / 256 - 8 / 256. A tie of two against two: 1 - 3/8 / 2.
    found = mcnemar(np.ones(8), np.repeat([1, 0], [1, 7]), np.repeat([0, 1], [1, 7]))
    assert found.p_mid == pytest.approx(10 / 256)
    tie = mcnemar(np.ones(4), [1, 1, 0, 0], [0, 0, 1, 1])
    assert (tie.p, tie.p_mid) == (1.0, pytest.approx(1 - 0.375 / 2))


def test_cochran_q_is_that_of_statsmodels(rng):
    right = rng.random((60, 4)) < [0.6, 0.7, 0.8, 0.65]
    found, reference = cochran_q(right), cochrans_q(right.astype(int))
    assert found.statistic == pytest.approx(reference.statistic)
    assert found.p == pytest.approx(reference.pvalue)
    assert found.accuracies == pytest.approx(right.mean(axis=0))


def test_cochran_q_of_two_detectors_is_mcnemars_without_correction(rng):
    right = rng.random((80, 2)) < [0.5, 0.7]
    b, c = int((right[:, 0] & ~right[:, 1]).sum()), int((right[:, 1] & ~right[:, 0]).sum())
    assert cochran_q(right).statistic == pytest.approx((b - c) ** 2 / (b + c))


def test_detectors_that_are_right_together_do_not_differ():
    assert cochran_q([[1, 1, 1], [0, 0, 0]]).p == 1
    with pytest.raises(CohortError, match="two detectors or more"):
        cochran_q([[1], [0]])
    with pytest.raises(CohortError, match="of 0 and 1"):
        cochran_q([[1, 2], [0, 1]])
