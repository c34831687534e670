"""Corrections of p-values against R and statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from patchcxr.errors import ConfigError
from patchcxr.stats.corrections import adjust, stars

P = np.array([0.01, 0.04, 0.03, 0.005, 0.2])


def test_holm_and_benjamini_hochberg_are_those_of_r():
    # R: p.adjust(c(.01, .04, .03, .005, .2), "holm") and "BH"
    np.testing.assert_allclose(adjust(P, "holm"), [0.04, 0.09, 0.09, 0.025, 0.2])
    np.testing.assert_allclose(adjust(P, "fdr_bh"), [0.025, 0.05, 0.05, 0.025, 0.2])
    np.testing.assert_array_equal(adjust(P, "none"), P)


@pytest.mark.parametrize("correction", ["holm", "fdr_bh"])
def test_corrections_are_those_of_statsmodels_and_ignore_tests_that_were_not_possible(correction, rng):
    p = np.round(rng.random(40) ** 3, 2)
    with_gap = np.insert(p, 7, np.nan)
    expected = multipletests(p, method=correction)[1]
    np.testing.assert_allclose(adjust(p, correction), expected)
    np.testing.assert_allclose(np.delete(adjust(with_gap, correction), 7), expected)
    assert np.isnan(adjust(with_gap, correction)[7])


def test_no_p_value_at_all_stays_none_and_an_unknown_correction_is_refused():
    assert np.isnan(adjust(np.array([np.nan]), "holm")).all()
    with pytest.raises(ConfigError, match="expected 'holm', 'fdr_bh' or 'none'"):
        adjust(P, "bonferroni")


def test_stars_stand_at_the_papers_levels():
    assert [stars(p) for p in (0.0009, 0.001, 0.0099, 0.01, 0.049, 0.05)] == ["***", "**", "**", "*", "*", "-"]
