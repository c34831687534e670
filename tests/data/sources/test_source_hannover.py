"""COVID-19 Image Repository of Hannover: a fake tree, and the real copy."""

from __future__ import annotations

import cv2
import pytest

from patchcxr.data.cohort import check_cohort_files, read_cohort, write_cohort
from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError

TABLE = (
    "patient_id,image_id,sex,age,size,weight,admission_offset,icu_admission_offset,icu_release_offset,death_offset,"
    "modality,projection,crp_offset,crp_val,d-dimer_offset,d-dimer_val\n"
    "09ec853d,a4318ac9,m,,,,10,10.0,20.0,,CR,ap,10.0,46.0,,\n"
    "09ec853d,2168a917,m,,,,-21,-21.0,-11.0,,DX,pa,0.0,-inf,0.0,inf\n"
    "00000007,ffffffff,w,,,,0,,,3.0,CR,pa,,,,\n"
    "b184707c,f6d980a0,f,,,,-5,,,,DX,pa,,,,\n"
)


def tree(root, folder, *names):
    (root / "data.csv").write_text(TABLE)
    (root / folder).mkdir()
    for name in names:
        (root / folder / name).touch()


def test_hannover_counts_days_from_admission_and_keeps_what_the_hospital_measured(tmp_path):
    tree(tmp_path, "png", "a4318ac9.png", "2168a917.png", "ffffffff.png", ".DS_Store", "readme.txt")
    cohort, skipped = build_source("hannover", tmp_path)
    assert cohort["study"].tolist() == ["hannover-a4318ac9", "hannover-2168a917", "hannover-ffffffff"]
    assert cohort["patient"].tolist() == ["hannover-09ec853d", "hannover-09ec853d", "hannover-00000007"]
    assert cohort["patient_id_known"].eq("yes").all()
    assert cohort["days"].tolist() == [-10, 21, 0]
    assert cohort["label"].eq("covid19").all()
    assert cohort["view"].tolist() == ["AP", "PA", "PA"]
    assert cohort["sex"].tolist() == ["M", "M", "F"]
    assert cohort["age_years"].isna().all()
    assert cohort["icu_release_offset"].tolist()[:2] == [20, -11]
    assert cohort["death_offset"].isna().tolist() == [True, True, False]
    assert cohort["crp_val"].tolist()[:2] == [46, float("-inf")]
    assert cohort["licence"].eq("CC BY 3.0").all()
    assert skipped.to_numpy().tolist() == [["f6d980a0", f"no such image in {tmp_path / 'png'}"]]


@pytest.mark.parametrize("folder", ["images", "PNG", "dicom"])
def test_hannover_finds_films_in_any_of_its_folders(tmp_path, folder):
    tree(tmp_path, folder, "f6d980a0.jpg")
    cohort, _ = build_source("hannover", tmp_path)
    assert cohort["image"].tolist() == [str(tmp_path / folder / "f6d980a0.jpg")]


def test_hannover_cohorts_survive_a_round_trip_through_csv(tmp_path):
    tree(tmp_path, "png", "a4318ac9.png", "2168a917.png")
    cohort, _ = build_source("hannover", tmp_path)
    write_cohort(cohort, tmp_path / "cohort.csv")
    again = read_cohort(tmp_path / "cohort.csv")
    assert again["days"].tolist() == [-10, 21]
    assert again["d-dimer_val"].tolist()[1] == float("inf")


def test_hannover_without_any_film_is_refused(tmp_path):
    tree(tmp_path, "png")
    with pytest.raises(CohortError, match="none of the 4 images of hannover is there"):
        build_source("hannover", tmp_path)


@pytest.mark.real
def test_the_real_copy_of_hannover_has_its_films_patients_and_offsets(real_data):
    cohort, skipped = build_source("hannover", real_data / "hannover")
    assert (len(cohort), cohort["patient"].nunique(), len(skipped)) == (132, 33, 0)
    assert cohort["view"].value_counts().to_dict() == {"AP": 118, "PA": 14}
    assert cohort["sex"].value_counts().to_dict() == {"M": 102, "F": 30}
    check_cohort_files(cohort)
    for path in cohort["image"].iloc[::20]:
        assert min(cv2.imread(path, cv2.IMREAD_UNCHANGED).shape) <= 640


@pytest.mark.real
def test_twelve_real_films_are_in_the_collection_of_ieee8023_with_the_same_sign_of_days(real_data):
    hannover = build_source("hannover", real_data / "hannover").cohort
    cohen = build_source("cohen", real_data / "cohen").cohort
    shared = hannover.assign(stem=hannover["study"].str.removeprefix("hannover-")).merge(
        cohen.assign(stem=cohen["study"].str.removeprefix("cohen-")), on="stem", suffixes=("", "_cohen")
    )
    assert len(shared) == 12
    assert (shared["days"] == shared["days_cohen"]).sum() == 4
    assert (shared["days"] == -shared["days_cohen"])[shared["days"] != 0].sum() == 0
