"""Pooled scores: worked by hand, and the papers' own intervals from the papers' own confusion matrices."""

import numpy as np
import pandas as pd
import pytest

from patchcxr.measure.counted import BINS, count_scores
from patchcxr.report.published import CONFUSIONS, published
from patchcxr.stats.bootstrap import cluster_bootstrap, cluster_bootstrap_sums
from patchcxr.study.evaluate.pooled import confusion_table, fold_scores, level_sums, pooled_scores


def detected(negative, positive, folds=5):
    """Films with the decisions of a printed confusion matrix, one patient each."""
    truth = np.repeat([False, False, True, True], [*negative, *positive])
    said = np.repeat([False, True, False, True], [*negative, *positive])
    films = pd.DataFrame({"structure": "infection", "truth": truth, "positive": said, "score": said.astype(float)})
    films["fold"] = np.arange(len(films)) % folds
    films["patient"] = np.arange(len(films)).astype(str)
    films = films.assign(tp=said & truth, fp=said & ~truth, fn=~said & truth, tn=~said & ~truth)
    films[["tp", "fp", "fn", "tn"]] = films[["tp", "fp", "fn", "tn"]].astype(int)
    return films.assign(dice=np.where(truth | said, (said & truth).astype(float), np.nan)).assign(
        iou=lambda t: t["dice"]
    )


def scored(films, resamples=20):
    counts = {"infection": {int(fold): np.zeros((1, 2, BINS), dtype=np.int64) for fold in films["fold"].unique()}}
    for fold, part in films.groupby("fold"):
        counts["infection"][int(fold)][0] = count_scores(part["score"].to_numpy(), part["truth"].to_numpy())
    folds = fold_scores(films, counts)
    pooled = pooled_scores(films, counts, folds, np.random.default_rng(0), resamples)
    return folds, pooled.set_index(["level", "measure"])


def test_the_intervals_of_degerli_follow_from_its_confusion_matrix():
    _, pooled = scored(detected(*CONFUSIONS["Degerli 2021", "Table 4a"]), resamples=2)
    printed = published(paper="Degerli 2021")
    printed = printed[(printed["table"] == "Table 3") & (printed["setting"] == "U-Net, DenseNet-121")]
    assert len(printed) == 6
    for row in printed.itertuples():
        ours = pooled.loc[("image", row.measure)]
        assert ours["value"] == pytest.approx(row.value, abs=6e-5)
        assert ours["eq13_high"] - ours["value"] == pytest.approx(row.spread, abs=6e-5)


def test_the_intervals_of_tahir_follow_from_the_films_of_one_fold():
    # 583 films each way; sensitivity 99.66 and specificity 97.94 % are 581 and 571 of them.
    _, pooled = scored(detected((571, 12), (2, 581), folds=2), resamples=2)
    printed = published(paper="Tahir 2021")
    printed = printed[(printed["table"] == "Table 3") & (printed["setting"] == "U-Net, DenseNet-121")]
    for row in printed.itertuples():
        ours = pooled.loc[("image", row.measure)]
        assert ours["value"] == pytest.approx(row.value, abs=6e-5)
        assert ours["eq2_high"] - ours["value"] == pytest.approx(row.spread, abs=6e-5)


@pytest.fixture
def two_folds():
    """Three films in two folds, pixels counted by hand; the second film is empty and found to be empty."""
    films = pd.DataFrame(
        {
            "structure": "infection",
            "fold": [0, 0, 1],
            "patient": ["a", "b", "c"],
            "tp": [6, 0, 30],
            "fp": [2, 0, 10],
            "fn": [2, 0, 10],
            "tn": [90, 100, 50],
            "dice": [0.75, np.nan, 0.75],
            "iou": [0.6, np.nan, 0.6],
            "truth": [True, False, True],
            "score": [0.9, 0.2, 0.8],
            "positive": [True, False, True],
        }
    )
    counts = {"infection": {fold: np.ones((2, 2, BINS), dtype=np.int64) for fold in (0, 1)}}
    return films, counts


def test_pixel_scores_and_their_printed_intervals_by_hand(two_folds):
    films, counts = two_folds
    folds = fold_scores(films, counts)
    pooled = pooled_scores(films, counts, folds, np.random.default_rng(0), 50).set_index(["level", "measure"])
    row = pooled.loc[("pixel", "sensitivity")]
    assert row["value"] == pytest.approx(36 / 48)
    assert row["eq13_n"] == 48  # pixels of true infection
    assert row["eq13_low"] == pytest.approx(0.75 - 1.96 * np.sqrt(0.75 * 0.25 / 48))
    assert row["eq2_n"] == 3  # films
    assert row["eq2_high"] == pytest.approx(0.75 + 1.96 * np.sqrt(0.75 * 0.25 / 3))
    # Wilson, 36 of 48: (0.75 + 1.96^2/96 -+ 1.96 sqrt(0.75 0.25/48 + 1.96^2/(4 48^2))) / (1 + 1.96^2/48)
    assert (row["low"], row["high"]) == pytest.approx((0.6122, 0.8508), abs=1e-4)
    assert "48" not in row["note"]
    assert "300 pixels as independent" in row["note"]
    assert pooled.loc[("pixel", "iou"), "value"] == pytest.approx(36 / 60)
    assert pooled.loc[("pixel", "dice"), "value"] == pytest.approx(72 / 96)
    assert pooled.loc[("pixel", "specificity"), "eq13_n"] == 252
    assert pooled.loc[("pixel", "accuracy"), "eq13_n"] == 300
    assert pooled.loc[("pixel", "accuracy"), "value"] == pytest.approx(276 / 300)
    assert pooled.loc[("pixel", "auroc"), "value"] == pytest.approx(0.5)
    assert pooled.loc[("pixel", "f2"), "interval"] == ""
    assert np.isnan(pooled.loc[("pixel", "f2"), "low"])
    # accuracy by fold: 196/200 and 80/100
    assert pooled.loc[("pixel", "accuracy"), "fold_mean"] == pytest.approx(0.89)
    assert pooled.loc[("pixel", "accuracy"), "fold_sd"] == pytest.approx(0.18 / np.sqrt(2))


def test_films_with_two_empty_masks_are_counted_and_never_dropped_in_silence(two_folds):
    films, counts = two_folds
    pooled = pooled_scores(films, counts, fold_scores(films, counts), np.random.default_rng(0), 50)
    by_name = pooled.set_index(["level", "measure"])
    assert (pooled[["films", "empty_truth", "both_empty"]] == [3, 1, 1]).all(axis=None)
    assert by_name.loc[("film", "dice"), "value"] == pytest.approx(0.75)
    assert by_name.loc[("film", "dice_empty_as_1"), "value"] == pytest.approx((0.75 + 1 + 0.75) / 3)
    assert by_name.loc[("film", "iou_empty_as_1"), "value"] == pytest.approx((0.6 + 1 + 0.6) / 3)


def test_the_cumulative_confusion_is_the_sum_of_the_folds(two_folds):
    films, counts = two_folds
    folds = fold_scores(films, counts)
    for level, expected in (("pixel", [36, 12, 12, 240]), ("image", [2, 0, 0, 1])):
        of_level = folds[folds["level"] == level]
        each = of_level[of_level["fold"] != "all"][["tp", "fp", "fn", "tn"]].sum().tolist()
        assert each == of_level.loc[of_level["fold"] == "all", ["tp", "fp", "fn", "tn"]].iloc[0].tolist() == expected
    matrix = confusion_table(folds)
    pixels = matrix[matrix["level"] == "pixel"].set_index("truth")[["said_negative", "said_positive"]]
    assert pixels.loc[["negative", "positive"]].to_numpy().tolist() == [[240, 12], [12, 36]]


def test_a_fold_of_one_class_leaves_its_auroc_undefined_and_the_pooled_one_defined(two_folds):
    films, counts = two_folds
    folds = fold_scores(films, counts)
    image = folds[folds["level"] == "image"].set_index("fold")["auroc"]
    assert np.isnan(image["1"])
    assert image["0"] == image["all"] == 1.0
    pooled = pooled_scores(films, counts, folds, np.random.default_rng(0), 20).set_index(["level", "measure"])
    assert pooled.loc[("image", "auroc"), "folds"] == 1
    assert pooled.loc[("image", "auroc"), "interval"] == "DeLong"


def test_films_of_one_patient_are_resampled_together(rng):
    """Ten copies of each film widen nothing but the count of films: the interval over patients is that of one copy."""
    truth, said = rng.random(40) < 0.5, rng.random(40) < 0.5
    table = pd.crosstab(truth, said).to_numpy()
    films = detected(table[0], table[1], folds=2)
    copies = pd.concat([films] * 10, ignore_index=True)
    once, ten = (scored(part, 500)[1].loc[("image", "accuracy")] for part in (films, copies))
    assert (ten["bootstrap_low"], ten["bootstrap_high"]) == (once["bootstrap_low"], once["bootstrap_high"])
    assert ten["eq13_high"] - ten["eq13_low"] < 0.4 * (once["eq13_high"] - once["eq13_low"])


def test_the_bootstrap_of_sums_is_the_bootstrap_of_films(rng):
    values, patients = rng.random((60, 2)), np.arange(60) % 20
    by_sums = cluster_bootstrap_sums(
        lambda s: s[:, 0] / s[:, 1], values, rng=np.random.default_rng(5), groups=patients, resamples=300
    )
    by_films = cluster_bootstrap(
        lambda a, b: a.sum() / b.sum(), *values.T, rng=np.random.default_rng(5), groups=patients, resamples=300
    )
    assert (by_sums.low, by_sums.high, by_sums.estimate) == pytest.approx(
        (by_films.low, by_films.high, by_films.estimate), abs=1e-12
    )
    assert by_sums.clusters == 20


def test_sums_of_the_film_level_leave_undefined_overlap_out(two_folds):
    np.testing.assert_allclose(level_sums(two_folds[0], "film").sum(axis=0), [1.5, 1.2, 2, 1])
