"""Checks by pixels, on measured films of which some are spoilt on purpose."""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from patchcxr.data.audit.appearance import check_exposure, check_marks, check_views
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import SEVERITIES, AppearanceConfig, AuditConfig
from patchcxr.data.synthetic import SyntheticConfig, synthetic_film
from patchcxr.errors import ConfigError
from patchcxr.io.radiograph import read_radiograph
from patchcxr.measure._chest_templates import draw_lateral_chest
from patchcxr.measure.appearance import Appearance, appearance


@lru_cache
def chest(patient=0):
    return synthetic_film(SyntheticConfig(size=256, seed=5, sources=("A", "B", "C", "D")), patient).pixels


def cohort(films, sources=None, bit_depth=8):
    """Table and scan of films by name; ``None`` is a film that could not be read."""
    rows = [
        dict.fromkeys((field.name for field in fields(Appearance)), np.nan)
        if film is None
        else asdict(appearance(np.asarray(film, np.float32)))
        for film in films.values()
    ]
    facts = pd.DataFrame(rows).astype(float)
    facts.insert(0, "study", pd.Series(list(films), dtype="string"))
    facts.insert(1, "error", pd.Series(["unreadable" if film is None else "" for film in films.values()]))
    facts["bit_depth"] = np.where(facts["error"] == "", bit_depth, np.nan)
    count = len(films)
    scan = FilmScan(
        facts,
        np.zeros((count, 256), bool),
        np.zeros((count, 64, 64), np.uint8),
        np.zeros((count, 64, 64), bool),
        np.zeros(count, bool),
    )
    table = pd.DataFrame({"study": list(films), "source": sources or ["clinic"] * count})
    return table, scan


def audit(films, sources=None, limits=None, bit_depth=8, checks=(check_exposure, check_views)):
    table, scan = cohort(films, sources, bit_depth)
    config = AuditConfig(appearance=limits or AppearanceConfig())
    found = [finding for check in checks for finding in check(table, scan, config)]
    return {finding.check: finding for finding in found}


def test_good_films_give_no_finding():
    assert audit({f"film {patient}": chest(patient) for patient in range(25)}) == {}


def test_no_films_and_films_that_cannot_be_read_give_no_finding():
    assert audit({"gone": None}) == {}
    table, scan = cohort({"a": chest()})
    none = np.zeros(1, bool)
    empty = FilmScan(scan.facts[none], *(array[none] for array in (scan.hashes, scan.thumbnails, scan.lungs)), none[:0])
    assert [check(table[none], empty, AuditConfig()) for check in (check_exposure, check_marks, check_views)] == [
        [],
        [],
        [],
    ]


def test_every_spoilt_film_is_named_by_the_check_that_it_fails():
    lateral = draw_lateral_chest(256)
    films = {
        "good": chest(0),
        "negative": 1 - chest(1),
        "quarter": np.rot90(chest(2)),
        "upside down": chest(3)[::-1],
        "negative and turned": np.rot90(1 - chest(4), 3),
        "lateral": lateral,
        "noise": np.random.default_rng(0).random((200, 200)),
        "blank": np.full((200, 200), 0.4),
        "empty but for a name": np.pad(np.ones((4, 20)), ((10, 242), (10, 226))),
        "framed": np.pad(chest(5), 64),
        "bright": np.clip(chest(6) * 2.0, 0, 1),
        "dark": np.clip(chest(7) * 2.0 - 1.0, 0, 1),
        "dim": np.rint(chest(0) * 12) / 255,
        "unreadable": None,
    }
    found = audit(films)
    assert found["inverted-by-pixels"].studies == ("negative", "negative and turned")
    assert found["rotated-by-pixels"].studies == ("quarter", "upside down", "negative and turned")
    assert found["lateral-by-pixels"].studies == ("lateral",)
    assert "noise" in found["no-chest"].studies
    assert found["film-blank"].studies == ("blank", "empty but for a name")
    assert "framed" in found["film-framed"].studies
    assert "bright" in found["film-over-exposed"].studies
    assert "dark" in found["film-under-exposed"].studies
    assert found["film-few-levels"].studies == ("dim",)
    assert not any("good" in finding.studies or "unreadable" in finding.studies for finding in found.values())


def test_only_blank_films_and_sure_laterals_are_left_out_by_cleaning():
    films = {
        "negative": 1 - chest(1),
        "turned": np.rot90(chest(2)),
        "noise": np.random.default_rng(0).random((200, 200)),
        "lateral": draw_lateral_chest(256),
        "blank": np.zeros((64, 64)),
    }
    found = audit(films)
    assert {check for check, finding in found.items() if finding.drop} == {"film-blank", "lateral-by-pixels"}
    assert found["film-blank"].drop == ("blank",)
    assert found["lateral-by-pixels"].drop == ("lateral",)
    cautious = audit(films, limits=AppearanceConfig(sure_lateral_score=1.5))["lateral-by-pixels"]
    assert (cautious.studies, cautious.drop) == (("lateral",), ())


def test_errors_are_sure_warnings_likely_and_notes_uncertain():
    found = audit(
        {"blank": np.zeros((64, 64)), "negative": 1 - chest(1), "noise": np.random.default_rng(0).random((9, 9))}
    )
    assert {check: finding.severity for check, finding in found.items()} == {
        "film-blank": "error",
        "inverted-by-pixels": "warning",
        "no-chest": "note",
    }
    assert {finding.severity for finding in found.values()} == set(SEVERITIES)


def test_a_message_counts_the_films_and_the_sources():
    films = {str(patient): 1 - chest(patient) if patient < 3 else chest(patient) for patient in range(6)}
    finding = audit(films, ["a", "a", "b", "b", "b", "c"])["inverted-by-pixels"]
    assert finding.message == "3 of 6 films look like negatives (bone black): a 2 of 2, b 1 of 3."
    assert finding.details is not None
    assert finding.details["study"].tolist() == ["0", "1", "2"]
    assert (finding.details["inverted_score"] > 0.05).all()


def test_a_dim_film_of_16_bits_has_levels_enough():
    dim = chest(0) * 0.01
    assert "film-blank" in audit({"dim": dim}, bit_depth=8)
    assert audit({"dim": dim}, bit_depth=16) == {}


def test_written_films_are_noted():
    written = chest(0).copy()
    for row in range(20, 140, 24):
        for column in range(10, 60, 12):
            written[row : row + 12, column : column + 3] = 1.0
    finding = audit({"written": written, "plain": chest(0)}, checks=[check_marks])["film-marked"]
    assert finding.studies == ("written",)
    assert finding.severity == "note"


def test_a_source_that_is_mirrored_as_a_whole_is_named_and_a_single_film_is_not():
    films = {f"a{patient}": chest(patient)[:, ::-1] for patient in range(25)}
    films |= {f"b{patient}": chest(patient) for patient in range(24)}
    films["b24"] = chest(0)[:, ::-1]
    found = audit(films, ["a"] * 25 + ["b"] * 25)
    assert list(found) == ["mirrored-source"]
    assert found["mirrored-source"].studies == tuple(f"a{patient}" for patient in range(25))
    assert audit(films, ["a"] * 25 + ["b"] * 25, AppearanceConfig(mirrored_films=26)) == {}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"blank_share": 1.5}, "blank_share is 1.5"),
        ({"sure_lateral_score": 0.05}, "sure_lateral_score is 0.05"),
        ({"few_levels": 0}, "few_levels is 0"),
    ],
)
def test_limits_out_of_range_are_refused(wrong, named):
    with pytest.raises(ConfigError, match=named):
        AppearanceConfig(**wrong)


@pytest.mark.real
def test_real_films_that_stand_upside_down_or_lost_their_levels_are_found_among_others(real_data):
    jsrt, nih = (sorted((real_data / name / "images").iterdir()) for name in ("jsrt", "nih"))
    paths = [path for path in jsrt if path.name < "JPCLN123"][::6] + nih[::40]
    dim = ["JPCLN078.jpg", "JPCLN117.jpg", "JPCLN122.jpg"]
    paths += [path for path in [*jsrt, *nih] if path.name in [*dim, "00003490_011.jpg"] and path not in paths]
    found = audit({path.name: read_radiograph(path).pixels for path in paths})
    assert found["rotated-by-pixels"].studies == ("00003490_011.jpg",)
    assert sorted(found["film-few-levels"].studies) == dim
    assert "inverted-by-pixels" not in found
