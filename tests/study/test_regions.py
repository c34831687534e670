"""What the classifiers see of a film: masked, cropped to the lungs, or whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.data.cohort import read_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.lungfields import lung_box
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.evaluate.intensity import between_groups, intensity_by_anatomy
from patchcxr.study.lung_view import lung_view
from patchcxr.study.predict import Lungs, as_film

SIZE = 128


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    generate_cohort(folder, SyntheticConfig(size=SIZE, patients=6, films_per_patient_max=1))
    table = read_cohort(folder / "cohort.csv")
    stores = [FilmStore(folder / "store", SIZE, step) for step in (PreprocessConfig(equalize=False, gamma=1), None)]
    for store in stores:
        assert store.prepare(table).empty
    return table, *stores


def test_a_masked_view_is_black_outside_the_lungs_and_the_film_inside(films):
    table, _, store = films
    study, lungs = table["study"][0], Lungs(store)
    view, film = lung_view(store, lungs, study), as_film(store.film(study))
    np.testing.assert_array_equal(view.image[view.lung], film[view.lung])
    assert not view.image[~view.lung].any()
    whole = lung_view(store, lungs, study, "whole")
    np.testing.assert_array_equal(whole.image, film)
    np.testing.assert_array_equal(whole.lung, view.lung)


def test_a_cropped_view_fills_the_film_with_the_lungs_and_its_map_goes_back(films):
    table, _, store = films
    study, lungs = table["study"][0], Lungs(store)
    view = lung_view(store, lungs, study, "crop")
    top, left, bottom, right = view.box
    assert view.box == lung_box(lungs.lung(study))
    assert view.image.shape == view.lung.shape == (SIZE, SIZE)
    assert view.lung.mean() == pytest.approx(
        lungs.lung(study).sum() / ((bottom - top) * (right - left)), abs=0.02
    )  # no lung is lost, and nothing but the border is added
    placed = view.place(np.ones((SIZE, SIZE), np.float32), SIZE)
    assert placed[top:bottom, left:right].min() == 1
    assert placed.sum() == (bottom - top) * (right - left)
    masked = lung_view(store, lungs, study)
    np.testing.assert_array_equal(masked.place(masked.image, SIZE), masked.image.astype(np.float16))


def test_intensities_are_those_inside_the_masks_before_and_after(films):
    table, original, normalised = films
    values, histograms, failures = intensity_by_anatomy(table, original, normalised, Lungs(original))
    assert failures.empty
    assert len(values) == len(table) * 2 * 2
    study = table["study"][3]
    row = values[(values["study"] == study) & (values["structure"] == "heart") & (values["stage"] == "normalised")]
    inside = as_film(normalised.film(study))[normalised.mask(study, "heart")]
    assert row["mean"].item() == pytest.approx(inside.mean(), abs=1e-6)
    assert row["std"].item() == pytest.approx(inside.std(), abs=1e-6)
    bins = [name for name in histograms if name.startswith("bin_")]
    np.testing.assert_allclose(histograms[bins].sum(axis=1), 1)


def test_a_film_without_lungs_is_a_failure_and_the_others_are_measured(films, tmp_path):
    table, original, normalised = films
    lungs = Lungs(original)
    lost = table["study"][1]
    real = lungs.structure

    def structure(study, name, size=None):
        found = real(study, name, size)
        return np.zeros_like(found) if study == lost else found

    lungs.structure = structure
    values, _, failures = intensity_by_anatomy(table, original, normalised, lungs)
    assert failures["study"].tolist() == [lost]
    assert set(values["study"]) == set(table["study"]) - {lost}


def test_the_share_between_groups_is_eta_squared_worked_by_hand():
    values = pd.DataFrame(
        {"structure": "lungs", "stage": "original", "mean": [0.1, 0.3, 0.5, 0.7], "source": ["a", "a", "b", "b"]}
    )
    # Means 0.2 and 0.6 about 0.4: 4 x 0.04 = 0.16 between, of 0.09 + 0.01 + 0.01 + 0.09 = 0.2 in all.
    found = between_groups(values).iloc[0]
    assert found["between_share"] == pytest.approx(0.8)
    assert (found["groups"], found["films"]) == (2, 4)
    assert np.isnan(between_groups(values.assign(source="a")).iloc[0]["between_share"])
