from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from patchcxr.errors import ConfigError, ModelError
from patchcxr.inference.patches_needed import lies_on_a_grid, patches_needed
from patchcxr.inference.vote_error import PatchVotes, Stability, from_probabilities, simulate, vote_error
from patchcxr.inference.voting import majority
from patchcxr.measure.votes import winners
from patchcxr.patches.sampling import dense_centres, sample_centres


def film(*votes: int, mean: tuple[float, ...] | None = None) -> PatchVotes:
    """So many votes for each class; ties go to the first class unless ``mean`` says otherwise."""
    tie = mean or tuple(np.linspace(0.6, 0.4, len(votes)))
    return PatchVotes(np.repeat(np.arange(len(votes)), votes), np.array(tie))


def within_noise(found: float, expected: float, resamples: int) -> bool:
    return abs(found - expected) < 4 * np.sqrt(max(expected * (1 - expected), 1e-4) / resamples)


def test_the_prediction_is_that_of_the_vote_with_its_ties(rng):
    for rule in ("majority", "mean_probability"):
        for _ in range(20):
            p = rng.dirichlet([1, 1, 1], 6)
            expected = majority(p)[0] if rule == "majority" else p.mean(axis=0).argmax()
            assert from_probabilities(p, rule).prediction == expected
    assert film(5, 5, mean=(0.4, 0.6)).prediction == 1
    assert film(5, 5, mean=(0.5, 0.5)).prediction == 0


def test_standard_errors_are_those_of_a_mean_of_independent_patches(rng):
    p = rng.dirichlet([1, 2], 30)
    found = vote_error(from_probabilities(p), rng)
    said = (p.argmax(axis=1) == 0).astype(float)
    assert found.share_error[0] == pytest.approx(stats.sem(said))
    np.testing.assert_allclose(found.mean_probability_error, stats.sem(p))
    assert np.isnan(vote_error(film(7, 3), rng).mean_probability_error).all()
    assert np.isnan(vote_error(film(1, 0), rng).share_error).all()


@pytest.mark.parametrize("votes", [(55, 45), (6, 4), (30, 20)])
def test_with_two_classes_a_redraw_is_beta_binomial(votes, rng):
    # The share of class 1 has the Beta distribution of the Bayesian bootstrap; class 0 keeps ties.
    count = sum(votes)
    expected = stats.betabinom(count, votes[1], votes[0]).sf(count // 2)
    found = simulate(film(*votes), (count,), rng, 20_000)
    assert within_noise(found.redraw[0], expected, 20_000)


def test_recorded_patches_taken_for_the_whole_lung_understate_the_error():
    # The figures of docs/classification.md: 55 votes to 45.
    assert stats.binom(100, 0.45).sf(50) == pytest.approx(0.13, abs=0.005)
    assert stats.betabinom(100, 45, 55).sf(50) == pytest.approx(0.22, abs=0.005)


@pytest.mark.parametrize("size", [1, 10, 40])
def test_with_two_classes_stability_is_an_integral_over_the_share(size, rng):
    a, b = 14, 6
    lead = stats.beta(a, b)

    def agrees(share: float) -> float:
        wins = stats.binom(size, share).sf((size - 1) // 2)  # class 0 keeps ties
        return lead.pdf(share) * (wins if share > 0.5 else 1 - wins)

    expected = integrate.quad(agrees, 0, 0.5)[0] + integrate.quad(agrees, 0.5, 1)[0]
    assert within_noise(simulate(film(a, b), (size,), rng, 20_000).stable[0], expected, 20_000)


def test_with_three_classes_and_both_rules_it_agrees_with_a_brute_force_of_every_patch(rng):
    p = rng.dirichlet([1, 1, 1], 12)
    for rule in ("majority", "mean_probability"):
        recorded = from_probabilities(p, rule)
        others = []
        for _ in range(1000):
            drawn = p[rng.choice(12, size=9, p=rng.dirichlet(np.ones(12)))]
            others.append(majority(drawn)[0] if rule == "majority" else drawn.mean(axis=0).argmax())
        expected = np.mean(np.array(others) != recorded.prediction)
        # the brute force has noise of its own
        assert within_noise(simulate(recorded, (9,), rng, 1000).redraw[0], expected, 500)


def test_the_predicted_rate_of_other_predictions_is_the_real_one_and_the_recorded_shares_give_too_little(rng):
    # Films of known true shares; 30 patches are recorded, and 30 others drawn many times.
    predicted, naive, real = [], [], []
    for share in rng.dirichlet([1, 1, 1], 1000):
        recorded = rng.multinomial(30, share)
        one = film(*recorded)
        predicted.append(simulate(one, (30,), rng, 50).redraw[0])
        for rates, frequency in ((naive, recorded / 30), (real, share)):
            others = winners(rng.multinomial(30, frequency, size=50), one.probability)
            rates.append(np.mean(others != one.prediction))
    assert np.mean(predicted) == pytest.approx(np.mean(real), abs=0.03)
    assert np.mean(naive) < np.mean(real) - 0.04


def test_a_unanimous_film_never_changes_and_dense_voting_has_no_error(rng):
    found = simulate(film(10, 0, 0), (1, 100), rng)
    assert found.stable.tolist() == [1.0, 1.0]
    assert found.redraw.tolist() == [0.0, 0.0]
    dense = vote_error(film(6, 4), rng, mode="dense")
    assert dense.redraw == 0
    assert dense.share_error.tolist() == [0.0, 0.0]


def test_needed_is_the_size_from_which_on_every_larger_one_is_stable():
    sizes = np.array([1, 5, 10, 50])
    assert Stability(sizes, np.array([0.97, 0.9, 0.96, 0.99]), np.zeros(4)).needed() == 10
    assert Stability(sizes, np.array([0.95, 0.95, 0.96, 0.99]), np.zeros(4)).needed() == 1
    assert np.isnan(Stability(sizes, np.array([0.99, 0.99, 0.99, 0.9]), np.zeros(4)).needed())


def test_a_closer_vote_needs_more_patches(rng):
    sizes = (1, 5, 10, 25, 50, 100, 200, 400)
    needed = [simulate(film(a, 1000 - a), sizes, rng).needed() for a in (990, 800, 650, 550)]
    assert needed == sorted(needed)
    # P(win) = 0.95 at K = (1.645 / 0.3)^2 * 0.8 * 0.2, about 5, and (1.645 / 0.05)^2 / 4, about 270
    assert needed[1] == 5
    assert needed[3] == 400


def test_a_cohort_counts_its_stable_films_and_does_not_depend_on_the_others():
    films = {"a": film(50, 0), "b": film(45, 5), "c": film(27, 23)}
    found = patches_needed(films.items(), sizes=(1, 10, 50))
    assert found.cohort["stable"].tolist() == [1, 2, 2]
    assert found.cohort["share"].tolist() == [pytest.approx(1 / 3), pytest.approx(2 / 3), pytest.approx(2 / 3)]
    assert found.films["margin"].tolist() == pytest.approx([1, 0.8, 0.08])
    assert found.films["needed"].tolist()[:2] == [1, 10]
    assert np.isnan(found.films["needed"][2])
    alone = patches_needed([("c", films["c"])], sizes=(1, 10, 50))
    assert alone.films["redraw"][0] == found.films["redraw"][2]


def test_windows_on_a_grid_are_told_from_patches_drawn_at_random(rng):
    lung = np.zeros((256, 256), dtype=bool)
    lung[20:240, 30:200] = True
    assert lies_on_a_grid(dense_centres(lung, 32))
    assert not any(lies_on_a_grid(sample_centres(lung, 25, rng)) for _ in range(50))
    assert not lies_on_a_grid(np.array([[3, 4], [9, 8]]))


def test_unusable_patches_are_named_errors(rng):
    with pytest.raises(ModelError, match="NaN"):
        from_probabilities(np.array([[0.5, np.nan]]))
    with pytest.raises(ModelError, match="at least one patch"):
        PatchVotes(np.zeros(0, dtype=int), np.array([0.5, 0.5]))
    with pytest.raises(ConfigError, match="only their mean was recorded"):
        PatchVotes(np.array([0]), np.array([0.5, 0.5]), "mean_probability")
    with pytest.raises(ConfigError, match="rule"):
        PatchVotes(np.array([0]), np.array([0.5, 0.5]), "median")
    with pytest.raises(ConfigError, match="mode"):
        vote_error(film(3, 2), rng, mode="grid")
    with pytest.raises(ConfigError, match="at least 1"):
        simulate(film(3, 2), (0,), rng)
    with pytest.raises(ConfigError, match="level"):
        patches_needed([("a", film(3, 2))], level=95)
    with pytest.raises(ConfigError, match="no film"):
        patches_needed([])
