from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from patchcxr.config import from_dict
from patchcxr.data.synthetic import (
    SYNTHETIC_LABELS,
    SyntheticConfig,
    patient_label,
    synthetic_film,
    synthetic_patient,
)
from patchcxr.errors import ConfigError, LabelError

SMALL = SyntheticConfig(size=160, seed=3)


def films(label: str, count: int = 8, **changes: object):
    settings = dataclasses.replace(SMALL, **changes)
    return [synthetic_film(settings, index, label=label) for index in range(count)]


def zone(mask: np.ndarray, lungs: np.ndarray) -> float:
    """Mean row of a mask, 0 at the top of the lungs and 1 at their bottom."""
    rows = np.flatnonzero(lungs.any(axis=1))
    return float((np.nonzero(mask)[0].mean() - rows[0]) / (rows[-1] - rows[0]))


def test_a_film_depends_on_seed_patient_and_film_only():
    once = synthetic_film(SMALL, 4)
    again = synthetic_film(dataclasses.replace(SMALL, patients=1000), 4)
    np.testing.assert_array_equal(once.pixels, again.pixels)
    np.testing.assert_array_equal(once.lesion, again.lesion)
    other = synthetic_film(dataclasses.replace(SMALL, seed=4), 4)
    assert other.pixels.shape != once.pixels.shape or not np.array_equal(other.pixels, once.pixels)


@pytest.mark.parametrize("label", SYNTHETIC_LABELS)
def test_masks_are_disjoint_connected_and_on_their_side(label):
    for film in films(label, 6):
        assert film.pixels.dtype == np.float32
        assert film.pixels.min() >= 0
        assert film.pixels.max() <= 1
        lungs = film.right_lung | film.left_lung
        assert not (film.right_lung & film.left_lung).any()
        assert not (film.heart & lungs).any()
        assert not (film.lesion & ~lungs).any()
        for lung in (film.right_lung, film.left_lung):
            assert ndimage.label(lung)[1] == 1
            assert 0.04 < lung.mean() < 0.35
        columns = {name: np.nonzero(getattr(film, name))[1].mean() for name in ("right_lung", "heart", "left_lung")}
        assert columns["right_lung"] < columns["heart"] < columns["left_lung"]


def test_lungs_that_include_the_heart_are_larger_by_what_the_heart_covers():
    without = films("normal", 3)
    including = films("normal", 3, lungs_exclude_heart=False)
    for excluded, included in zip(without, including, strict=True):
        np.testing.assert_array_equal(excluded.pixels, included.pixels)
        gained = (included.left_lung & ~excluded.left_lung) | (included.right_lung & ~excluded.right_lung)
        assert gained.any()
        assert (gained & excluded.heart).sum() > 0.9 * gained.sum()


def test_cardiothoracic_ratio_equals_the_masks_own():
    for film in films("normal", 6):
        heart = np.nonzero(film.heart)[1]
        lungs = np.nonzero(film.right_lung | film.left_lung)[1]
        expected = (heart.max() - heart.min() + 1) / (lungs.max() - lungs.min() + 1)
        assert film.cardiothoracic_ratio == pytest.approx(expected, abs=1e-12)
        assert 0.3 < film.cardiothoracic_ratio < 0.75


def test_ratio_agrees_with_the_measure():
    measure = pytest.importorskip("patchcxr.measure.biomarkers", reason="measure.biomarkers is not there yet")
    film = synthetic_film(SMALL, 0)
    ratio = measure.cardiothoracic_ratio(film.heart, film.right_lung | film.left_lung)
    assert film.cardiothoracic_ratio == pytest.approx(ratio)


@pytest.mark.parametrize("label", SYNTHETIC_LABELS)
def test_severity_is_the_infected_share_of_the_lungs(label):
    for film in films(label, 4):
        lungs = film.right_lung | film.left_lung
        assert film.severity == pytest.approx(100 * film.lesion.sum() / lungs.sum())
        assert film.severity_right == pytest.approx(100 * (film.lesion & film.right_lung).sum() / film.right_lung.sum())
        assert film.severity_left == pytest.approx(100 * (film.lesion & film.left_lung).sum() / film.left_lung.sum())


def test_only_normal_films_have_no_lesion():
    assert all(film.severity == 0 for film in films("normal"))
    for label in SYNTHETIC_LABELS[1:]:
        assert all(film.severity > 0.5 for film in films(label))


def test_severity_spreads_from_subtle_to_grave():
    severity = [film.severity for film in films("covid19", 40, size=96)]
    assert min(severity) < 8
    assert max(severity) > 25
    assert max(severity) < 70


def test_tuberculosis_lies_in_the_upper_half_of_the_lungs():
    zones = [zone(film.lesion, film.right_lung | film.left_lung) for film in films("tuberculosis", 12)]
    assert np.mean(np.array(zones) < 0.5) >= 0.9


@pytest.mark.parametrize("label", ["viral", "covid19"])
def test_viral_and_covid_lesions_are_bilateral_and_low(label):
    drawn = films(label, 12)
    zones = [zone(film.lesion, film.right_lung | film.left_lung) for film in drawn]
    assert np.mean(zones) > 0.5
    assert all(film.severity_right > 0 and film.severity_left > 0 for film in drawn)


def test_bacterial_lesions_are_one_sided():
    for film in films("bacterial", 12):
        assert min(film.severity_right, film.severity_left) == 0 < max(film.severity_right, film.severity_left)


@pytest.mark.parametrize("label", SYNTHETIC_LABELS[1:])
def test_lesions_brighten_the_film_where_they_are(label):
    for index in range(4):
        diseased = synthetic_film(SMALL, index, label=label)
        healthy = synthetic_film(SMALL, index, label=label, lesions=False)
        assert not healthy.lesion.any()
        difference = diseased.pixels - healthy.pixels
        assert difference[diseased.lesion].mean() > 0.01
        lungs = diseased.right_lung | diseased.left_lung
        elsewhere = lungs & ~ndimage.binary_dilation(diseased.lesion, iterations=12)
        if elsewhere.any():
            assert abs(difference[elsewhere].mean()) < 0.3 * difference[diseased.lesion].mean()


def test_classes_differ_in_findings_not_in_anatomy():
    healthy, ill = (synthetic_film(SMALL, 5, label=label) for label in ("normal", "tuberculosis"))
    np.testing.assert_array_equal(healthy.heart, ill.heart)
    np.testing.assert_array_equal(healthy.right_lung, ill.right_lung)
    assert (healthy.age_years, healthy.sex, healthy.source) == (ill.age_years, ill.sex, ill.source)


def test_a_patient_keeps_anatomy_and_disease_over_days():
    settings = dataclasses.replace(SMALL, films_per_patient_max=4)
    index = next(k for k in range(40) if len(synthetic_patient(settings, k, "covid19").days) == 4)
    patient = synthetic_patient(settings, index, "covid19")
    drawn = [synthetic_film(settings, index, k, "covid19") for k in range(4)]
    assert [film.days for film in drawn] == list(patient.days)
    assert list(patient.days) == sorted(set(patient.days))
    assert len({(film.patient, film.age_years, film.sex, film.source, film.view) for film in drawn}) == 1
    assert len({film.study for film in drawn}) == 4
    ratios = [film.cardiothoracic_ratio for film in drawn]
    assert max(ratios) - min(ratios) < 0.08
    assert len({round(film.severity, 3) for film in drawn}) == 4
    with pytest.raises(IndexError, match="has 4 film"):
        synthetic_film(settings, index, 4, "covid19")


def test_lesions_grow_and_clear_where_they_are():
    settings = dataclasses.replace(SMALL, films_per_patient_max=4, sources=("A",))
    index = next(
        k
        for k in range(60)
        if len(synthetic_patient(settings, k, "covid19").days) == 4
        and synthetic_patient(settings, k, "covid19").disease.extent > 0.3
    )
    drawn = [synthetic_film(settings, index, k, "covid19") for k in range(4)]
    largest = max(drawn, key=lambda film: film.severity)
    nearby = ndimage.binary_dilation(largest.lesion, iterations=8)
    for film in drawn:
        assert (film.lesion & nearby).sum() > 0.85 * film.lesion.sum()


def test_the_same_patient_is_drawn_at_any_size():
    settings = (SyntheticConfig(size=size, seed=3, sources=("A",)) for size in (128, 256))
    small, large = (synthetic_film(one, 7, label="viral") for one in settings)
    assert large.severity == pytest.approx(small.severity, abs=4)
    assert large.cardiothoracic_ratio == pytest.approx(small.cardiothoracic_ratio, abs=0.02)
    shrunk = large.pixels.reshape(128, 2, -1, 2).mean(axis=(1, 3))
    assert np.corrcoef(shrunk.ravel(), small.pixels.ravel())[0, 1] > 0.95


def test_other_classes_have_one_film():
    for label in ("normal", "bacterial", "tuberculosis"):
        assert all(synthetic_patient(SMALL, index, label).days == (0,) for index in range(20))


def test_labels_follow_their_shares():
    shares = SyntheticConfig(labels={"normal": 0.5, "covid19": 0.25, "viral": 0.25})
    drawn = [patient_label(shares, index) for index in range(100)]
    assert [drawn.count(label) for label in ("normal", "covid19", "viral")] == [50, 25, 25]
    balanced = [patient_label(SMALL, index) for index in range(50)]
    assert {balanced.count(label) for label in SYNTHETIC_LABELS} == {10}
    assert [patient_label(SMALL, index) for index in range(10)] == balanced[:10]


def test_confounding_ties_source_and_view_to_the_class():
    def pairs(confounding: float) -> dict[str, set[tuple[str, str]]]:
        settings = dataclasses.replace(SMALL, confounding=confounding)
        patients = [synthetic_patient(settings, index) for index in range(100)]
        return {label: {(p.source, p.view) for p in patients if p.label == label} for label in SYNTHETIC_LABELS}

    assert all(len(found) == 1 for found in pairs(1.0).values())
    assert len(set().union(*pairs(1.0).values())) > 1
    assert all(len({source for source, _ in found}) == 3 for found in pairs(0.0).values())


def test_sources_differ_in_depth_and_shape():
    by_source = {}
    for index in range(20):
        film = synthetic_film(dataclasses.replace(SMALL, size=96), index)
        by_source[film.source] = film
    assert {name: film.bit_depth for name, film in by_source.items()} == {"A": 8, "B": 12, "C": 16}
    assert by_source["A"].pixels.shape == (96, 96)
    assert by_source["C"].pixels.shape == (96, 84 // 8 * 8)
    levels = by_source["A"].pixels * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"size": 32}, "at least 64"),
        ({"patients": 0}, "must be >= 1"),
        ({"confounding": 1.5}, "from 0 to 1"),
        ({"sources": ("A", "Z")}, "choose one or more"),
        ({"labels": ("normal", "flu")}, "choose from"),
        ({"labels": {"normal": -1.0, "viral": 2.0}}, "shares >= 0"),
        ({"seed": -1}, "whole number"),
    ],
)
def test_bad_settings_are_refused_with_a_remedy(values, words):
    with pytest.raises(ConfigError, match=words):
        SyntheticConfig(**values)


def test_settings_are_read_from_plain_values():
    assert from_dict(SyntheticConfig, {"labels": {"normal": 1.0}}).label_shares() == {"normal": 1.0}
    assert from_dict(SyntheticConfig, {"labels": ["normal", "viral"]}).label_shares() == {"normal": 1.0, "viral": 1.0}


def test_unknown_label_is_refused():
    with pytest.raises(LabelError, match="cannot be drawn"):
        synthetic_film(SMALL, 0, label="fracture")
