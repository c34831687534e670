"""The course of a patient from a cohort: order, shares by hand, and the command."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import pandas as pd
import pytest

from patchcxr.cli.followup import followup
from patchcxr.data.cohort import read_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.errors import CohortError
from patchcxr.measure.severity import severity
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.evaluate.followup import PERCENTS, course, dated_patients, films_of_patient, reader_shares

TABLE = pd.DataFrame(
    {
        "study": ["s1", "s2", "s3", "s4", "s5"],
        "patient": ["p", "p", "p", "q", "q"],
        "days": [7.0, np.nan, 2.0, 1.0, 1.0],
        "extent": [3.0, np.nan, 1.0, np.nan, np.nan],
    }
)
SHARES = pd.DataFrame({"study": ["s1", "s3"], "overall_percent": [30, 10], "right_lung_percent": [40, 0],
                       "left_lung_percent": [20, 20], "score": [0.9, 0.8]})  # fmt: skip


def test_films_come_in_the_order_of_their_days_and_those_without_last():
    assert list(films_of_patient(TABLE, "p")["study"]) == ["s3", "s1", "s2"]


def test_only_patients_with_films_of_two_days_have_a_course():
    assert dated_patients(TABLE).to_dict("records") == [{"patient": "p", "films": 2, "first_day": 2, "last_day": 7}]


def test_the_course_joins_days_shares_readers_and_scores():
    readers = SHARES.assign(overall_percent=[25, 12])
    found = course(films_of_patient(TABLE, "p"), SHARES, readers)
    assert list(found["study"]) == ["s3", "s1", "s2"]
    np.testing.assert_array_equal(found["overall_percent"], [10, 30, np.nan])
    np.testing.assert_array_equal(found["readers_percent"], [12, 25, np.nan])
    np.testing.assert_array_equal(found["extent"], [1, 3, np.nan])
    assert "extent" not in course(films_of_patient(TABLE, "q"), SHARES.assign(study=["s4", "s5"]))


def test_tables_that_do_not_fit_are_refused_with_the_remedy():
    films = films_of_patient(TABLE, "p")
    with pytest.raises(CohortError, match=r"patient 'r' is not in the cohort.*several days: p"):
        films_of_patient(TABLE, "r")
    with pytest.raises(CohortError, match="no column 'left_lung_percent'"):
        course(films, SHARES.drop(columns="left_lung_percent"))
    with pytest.raises(CohortError, match="'s1' twice"):
        course(films, pd.concat([SHARES, SHARES]))
    with pytest.raises(CohortError, match="none of the 3 films"):
        course(films, SHARES.assign(study=["x", "y"]))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Infected synthetic films, three of which are made those of one patient."""
    folder = tmp_path_factory.mktemp("films")
    generate_cohort(folder, SyntheticConfig(size=96, patients=24, films_per_patient_max=1))
    table = read_cohort(folder / "cohort.csv")
    infected = table[table["infection_mask"].notna() & table["label"].isin(["viral", "covid19", "bacterial"])]
    chosen = infected["study"].head(3)
    assert len(chosen) == 3
    table.loc[table["study"].isin(chosen), "patient"] = "one"
    table.loc[table["study"].isin(chosen), "days"] = [8.0, 3.0, 5.0]
    table.to_csv(folder / "course.csv", index=False)
    return folder / "course.csv", list(chosen)


def test_the_shares_of_readers_are_the_severity_of_their_masks(cohort, tmp_path):
    path, chosen = cohort
    table = read_cohort(path)
    store = FilmStore(tmp_path, 96)
    assert store.prepare(table[table["study"].isin(chosen)]).empty
    found = reader_shares(store, chosen).set_index("study")
    masks = [store.mask(chosen[0], name) for name in ("infection", "right_lung", "left_lung")]
    assert found.loc[chosen[0]].to_dict() == severity(*masks)
    assert found["overall_percent"].max() > 0


def test_the_command_writes_the_course_by_the_readers_masks(cohort, tmp_path):
    path, chosen = cohort
    options = Namespace(cohort=str(path), patient="one", shares=None, out=str(tmp_path / "out"))
    assert followup(options) == 0
    found = pd.read_csv(tmp_path / "out" / "followup.csv")
    assert list(found["study"]) == [chosen[1], chosen[2], chosen[0]]
    assert list(found["days"]) == [3, 5, 8]
    assert found[list(PERCENTS)].notna().all(axis=None)
    assert (tmp_path / "out" / "followup.png").stat().st_size > 10_000


def test_the_command_draws_the_shares_of_a_network_beside_the_readers(cohort, tmp_path):
    path, chosen = cohort
    shares = pd.DataFrame({"study": chosen, **dict.fromkeys(PERCENTS, 12.5)})
    shares.to_csv(tmp_path / "infection.csv", index=False)
    options = Namespace(cohort=str(path), patient="one", shares=str(tmp_path / "infection.csv"), out=str(tmp_path))
    assert followup(options) == 0
    found = pd.read_csv(tmp_path / "followup.csv")
    assert (found["overall_percent"] == 12.5).all()
    assert found["readers_percent"].notna().all()


def test_without_a_patient_the_command_names_those_with_a_course(cohort, tmp_path, capsys):
    path, _ = cohort
    assert followup(Namespace(cohort=str(path), patient=None, shares=None, out=str(tmp_path))) == 0
    assert "one" in capsys.readouterr().out.split()


def test_without_masks_or_shares_the_command_says_what_to_give(cohort, tmp_path):
    path, _ = cohort
    table = read_cohort(path).assign(infection_mask=pd.NA)
    table.to_csv(tmp_path / "plain.csv", index=False)
    options = Namespace(cohort=str(tmp_path / "plain.csv"), patient="one", shares=None, out=str(tmp_path))
    with pytest.raises(CohortError, match="give --shares"):
        followup(options)
