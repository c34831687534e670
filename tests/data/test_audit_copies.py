"""Copies of films by thumbnails: structure hash, alignment, groups."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.fft import dctn
from scipy.stats import rankdata

from patchcxr.data.audit.copies import aligned_correlation, find_copies, rank, structure_hash, variant
from patchcxr.data.audit.leaks import best_of_group, duplicate_groups
from patchcxr.data.audit.scan import scan_films
from patchcxr.data.audit.settings import AuditConfig
from patchcxr.data.cohort import complete_columns
from patchcxr.data.synthetic import SyntheticConfig, synthetic_film
from patchcxr.io.folders import files_below

SETTINGS = SyntheticConfig(size=256, patients=12, films_per_patient_max=1, sources=("A", "C"), seed=1)
SHAPE = np.array([64.0, 64.0])


@pytest.fixture(scope="module")
def films():
    """Twelve films of twelve synthetic patients, uint8."""
    return [np.rint(255 * synthetic_film(SETTINGS, patient, 0).pixels).astype(np.uint8) for patient in range(12)]


def thumbnail(film):
    return cv2.resize(film, (64, 64), interpolation=cv2.INTER_AREA)


def test_ranks_and_bits_are_those_of_scipy(films, rng):
    film = rng.integers(0, 50, (64, 64), dtype=np.uint8)
    np.testing.assert_allclose(rank(film), (rankdata(film).reshape(64, 64) - 0.5) / 4096 - 0.5, atol=1e-7)
    frequencies = dctn(rank(film).astype(float))
    vertical, horizontal = np.mgrid[:64, :64]
    order = np.argsort((vertical[:24, :24] ** 2 + horizontal[:24, :24] ** 2).ravel(), kind="stable")[1:257]
    np.testing.assert_array_equal(structure_hash(film[None])[0], frequencies[:24, :24].ravel()[order] > 0)


def test_bits_do_not_change_with_the_grey_levels_and_all_do_when_inverted(rng):
    film = cv2.GaussianBlur(rng.integers(0, 128, (64, 64), dtype=np.uint8), (0, 0), 2)
    table = np.sort(rng.permutation(256)[:128]).astype(np.uint8)  # any rising curve
    pixels = np.stack([film, table[film], 255 - film])
    plain, curved, inverted = structure_hash(pixels)
    np.testing.assert_array_equal(plain, curved)
    assert (plain != inverted).mean() > 0.99


def test_copies_are_near_and_other_people_far(films):
    hashes = structure_hash(np.stack([thumbnail(film) for film in films]))
    apart = (hashes[:, None] != hashes[None]).sum(axis=-1)[np.triu_indices(12, 1)]
    assert apart.min() > 32
    for film, own in zip(films, hashes, strict=True):
        _, jpeg = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 40])
        smaller = cv2.resize(cv2.imdecode(jpeg, 0), (150, 140), interpolation=cv2.INTER_AREA)
        assert (structure_hash(thumbnail(smaller)[None])[0] != own).sum() <= 16


def test_alignment_undoes_a_crop_and_does_not_make_people_alike(films):
    others = [aligned_correlation(thumbnail(films[0]), thumbnail(film)) for film in films[1:]]
    assert max(others) < 0.94
    for film in films[:4]:
        cropped = film[8:-4, 5:-12]
        assert aligned_correlation(thumbnail(film), thumbnail(cropped)) > 0.94
    assert aligned_correlation(thumbnail(films[0]), np.zeros((64, 64), np.uint8)) == 0


def test_cuts_are_worked_out_by_hand():
    columns = np.tile(np.arange(64, dtype=np.uint8) * 2, (64, 1))
    wide = variant(columns, np.array([100.0, 200.0]), "square")  # the middle half of the columns
    np.testing.assert_allclose(wide[0], 2 * (16 + (np.arange(64) + 0.5) / 2 - 0.5), atol=1)
    assert variant(columns, SHAPE, "square") is columns
    np.testing.assert_array_equal(variant(columns, SHAPE, "mirrored"), columns[:, ::-1])
    np.testing.assert_array_equal(variant(columns, SHAPE, "inverted"), 255 - columns)
    framed = np.zeros((64, 64), np.uint8)
    framed[8:56, 16:48] = columns[8:56, :32] + 20 + np.arange(48, dtype=np.uint8)[:, None]
    picture = variant(framed, SHAPE, "unframed")
    np.testing.assert_allclose(picture[0, [0, 63]], framed[8, [16, 47]], atol=1)
    np.testing.assert_allclose(picture[63, [0, 63]], framed[55, [16, 47]], atol=1)
    assert variant(columns, SHAPE, "unframed") is columns


@pytest.fixture
def scanned(films, tmp_path):
    def scan(pictures):
        rows = []
        for index, film in enumerate(pictures):
            path = tmp_path / f"{index}.png"
            cv2.imwrite(str(path), film)
            rows.append({"study": f"s{index}", "patient": f"p{index}", "image": str(path)})
        table = complete_columns(pd.DataFrame(rows))
        return table, scan_films(table)

    return scan


def test_groups_are_joined_through_shared_members_and_blank_films_are_no_copies(films, scanned):
    smaller = cv2.resize(films[0], (130, 128), interpolation=cv2.INTER_AREA)
    dark, darker = np.zeros((2, 128, 128), np.uint8)
    dark[40, 40], darker[90, 90] = 3, 5
    table, scan = scanned([films[0], films[1], films[0], smaller, dark, darker, dark, smaller[:, ::-1]])
    copies = find_copies(scan)
    assert copies.group.tolist() == [0, 1, 0, 0, 2, 3, 2, 0]
    pairs = copies.pairs.set_index(["first", "second"])["kind"]
    assert pairs.to_dict() == {
        (0, 2): "same file",
        (0, 3): "re-encoded",
        (0, 7): "mirrored",
        (3, 7): "mirrored",
        (4, 6): "same file",
    }
    np.testing.assert_array_equal(duplicate_groups(table), copies.group)
    assert best_of_group(table, scan, copies.group).tolist() == [True, True, False, False, True, True, False, False]
    table.loc[3, "lung_mask"] = "(empty)"
    assert best_of_group(table, scan, copies.group)[:4].tolist() == [False, True, False, True]
    assert best_of_group(table, scan, copies.group, minimum_side=200)[:4].tolist() == [True, True, False, False]


def test_an_edited_copy_needs_the_second_stage(films, scanned):
    edited = films[2][5:-3, 4:-6].copy()
    cv2.putText(edited, "B", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 3)
    _, scan = scanned([films[2], films[3], edited])
    copies = find_copies(scan)
    assert copies.group.tolist() == [0, 1, 0]
    assert copies.pairs["correlation"].iloc[0] > 0.94
    assert find_copies(scan, AuditConfig(duplicate_search_distance=0)).group.tolist() == [0, 1, 2]


def test_no_films_and_films_that_cannot_be_read_have_no_copies(scanned):
    table = complete_columns(pd.DataFrame({"study": ["a", "b"], "patient": ["p", "q"], "image": ["/no", "/no"]}))
    assert find_copies(scan_films(table)).group.tolist() == [0, 1]
    assert find_copies(scan_films(table.iloc[:0])).group.tolist() == []


@pytest.mark.real
@pytest.mark.slow
def test_the_known_copies_among_the_real_films_are_found_and_no_others(real_data):
    paths = [
        path
        for folder in ("cohen", "hannover", "jsrt", "kermany", "tb")
        for path in files_below(real_data / folder / "images")
    ]
    names = [f"{path.parts[-3]}/{path.stem}" for path in paths]
    table = complete_columns(pd.DataFrame({"study": names, "patient": names, "image": [str(path) for path in paths]}))
    group = duplicate_groups(table)
    found = {frozenset(np.array(names)[group == number].tolist()) for number in np.flatnonzero(np.bincount(group) > 1)}
    shared = {Path(name).name for name in names if name.startswith("hannover/")} & {
        Path(name).name for name in names if name.startswith("cohen/")
    }
    assert len(shared) == 12
    expected = {frozenset((f"hannover/{name}", f"cohen/{name}")) for name in shared}
    expected |= {
        frozenset(("tb/tuberculosis_train_image161", "tb/tuberculosis_train_image162")),
        frozenset(("tb/tuberculosis_train_image275", "tb/tuberculosis_train_image277")),
        frozenset(("kermany/viral_159", "kermany/viral_160")),
        frozenset(("cohen/AR-1", "cohen/AR-2", "cohen/extubation-1")),
        frozenset(("cohen/353889E0-A1E8-4F9E-A0B8-F24F36BCFBFB", "cohen/case_72_RX-TORACE1")),
        frozenset(("cohen/pneumonia-7", "cohen/streptococcus-pneumoniae-pneumonia-temporal-evolution-1-day1")),
    }
    assert found == expected
