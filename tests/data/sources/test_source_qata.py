"""QaTa-COV19: fake trees of its versions and control groups."""

from __future__ import annotations

import pandas as pd
import pytest

from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError, LabelError

V1 = "QaTa-COV19/QaTa-COV19-v1"
V2 = "QaTa-COV19/QaTa-COV19-v2"
EARLY = "QaTa-COV19/Early-QaTa-COV19"
CONTROL = "QaTa-COV19/Control_Group"


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_version_2_keeps_the_published_split_and_the_infection_masks(tmp_path):
    touch(tmp_path, f"{V2}/Train Set/Images/covid_1.png", f"{V2}/Train Set/Ground-truths/mask_covid_1.png")
    touch(tmp_path, f"{V2}/Test Set/Images/covid_2.png", f"{V2}/Test Set/Ground-truths/mask_covid_2.png")
    touch(tmp_path, f"{V2}/Test Set/Images/covid_3.png")
    cohort, skipped = build_source("qata", tmp_path)
    assert cohort["study"].tolist() == ["qata-covid_2", "qata-covid_3", "qata-covid_1"]
    assert cohort["split"].tolist() == ["test", "test", "train"]
    assert cohort["published_split"].tolist() == ["test", "test", "train"]
    assert cohort["infection_mask"].tolist() == [
        str(tmp_path / V2 / "Test Set/Ground-truths/mask_covid_2.png"),
        pd.NA,
        str(tmp_path / V2 / "Train Set/Ground-truths/mask_covid_1.png"),
    ]
    assert cohort["label"].eq("covid19").all()
    assert cohort["part"].eq("v2").all()
    assert cohort["patient_id_known"].eq("no").all()
    assert skipped.empty


def test_training_films_of_a_patient_in_the_test_set_lose_their_split_but_not_what_was_published(tmp_path):
    name = "sub-S{}_ses-E{}_run-1_bp-chest_vp-ap_dx.png"
    touch(tmp_path, f"{V2}/Train Set/Images/{name.format('09466', '1')}")
    touch(tmp_path, f"{V2}/Train Set/Images/{name.format('09879', '2')}")
    touch(tmp_path, f"{V2}/Test Set/Images/{name.format('09466', '3')}")
    touch(tmp_path, f"{V2}/Test Set/Ground-truths/mask_{name.format('09466', '3')}")
    cohort = build_source("qata", tmp_path).cohort.sort_values("study")
    assert cohort["patient"].tolist() == ["qata-sub-S09466", "qata-sub-S09466", "qata-sub-S09879"]
    assert cohort["split"].tolist() == [pd.NA, "test", "train"]
    assert cohort["published_split"].tolist() == ["train", "test", "train"]
    assert cohort["infection_mask"].notna().tolist() == [False, True, False]


@pytest.mark.parametrize("home", [V1, "QaTa-COV19", "qata-cov19/QATA-COV19-V1", "renamed"])
def test_version_1_has_masks_but_no_split(tmp_path, home):
    touch(
        tmp_path, f"{home}/Images/covid_1.png", f"{home}/Ground-truths/mask_covid_1.png", f"{home}/images/covid_2.png"
    )
    cohort, _ = build_source("qata", tmp_path)
    assert cohort["infection_mask"].notna().tolist() == [True, False]
    assert cohort["part"].eq("v1").all()
    assert cohort["split"].isna().all()
    assert cohort["published_split"].isna().all()


def test_control_groups_and_early_films_have_the_labels_of_their_folders(tmp_path):
    touch(tmp_path, f"{EARLY}/No_COVID-19_Pneumonia_Cases/covid_9.png")
    touch(tmp_path, f"{EARLY}/Limited_COVID-19_Pneumonia_Cases/covid_8.png")
    touch(tmp_path, f"{CONTROL}/Control_Group_I/normal_1.png")
    touch(tmp_path, f"{CONTROL}/Control_Group_II/Pediatric_Bacterial_Pneumonia/b_1.png")
    touch(tmp_path, f"{CONTROL}/Control_Group_II/Pediatric_Viral_Pneumonia/v_1.png")
    touch(tmp_path, f"{CONTROL}/Control_Group_II/CHESTXRAY-14/Train/00000001_000.png")
    cohort, skipped = build_source("qata", tmp_path)
    assert dict(zip(cohort["study"], cohort["label"], strict=True)) == {
        "qata-covid_8": "covid19",
        "qata-covid_9": "covid19",
        "qata-normal_1": "normal",
        "qata-b_1": "bacterial",
        "qata-v_1": "viral",
    }
    assert cohort["part"].tolist() == ["early", "early", "control", "control", "control"]
    assert cohort["infection_mask"].isna().all()
    assert cohort["split"].isna().all()
    assert skipped["reason"].tolist() == ["film of ChestX-ray14 without its findings; import it with source nih"]
    assert skipped["name"].str.endswith("00000001_000.png").all()


def test_of_one_name_in_several_parts_the_newest_counts(tmp_path):
    touch(tmp_path, f"{EARLY}/No_COVID-19_Pneumonia_Cases/covid_1.png", f"{V1}/Images/covid_1.png")
    touch(tmp_path, f"{V2}/Train Set/Images/covid_1.png", f"{V1}/Images/covid_2.png")
    touch(tmp_path, f"{V1}/Ground-truths/mask_covid_1.png")
    cohort, skipped = build_source("qata", tmp_path)
    assert cohort["study"].tolist() == ["qata-covid_1", "qata-covid_2"]
    assert cohort["part"].tolist() == ["v2", "v1"]
    assert cohort["infection_mask"].isna().all()
    assert sorted(skipped["name"]) == [
        str(tmp_path / EARLY / "No_COVID-19_Pneumonia_Cases/covid_1.png"),
        str(tmp_path / V1 / "Images/covid_1.png"),
    ]


def test_junk_is_skipped_and_unknown_groups_are_refused(tmp_path):
    touch(
        tmp_path,
        f"{V2}/Train Set/Images/covid_1.png",
        "logo.png",
        f"{V2}/Train Set/Images/readme.txt",
        "docs/images/a.png",
    )
    touch(tmp_path, f"__MACOSX/{V2}/Train Set/Images/._covid_1.png")
    cohort, skipped = build_source("qata", tmp_path)
    assert len(cohort) == 1
    assert skipped["name"].tolist() == [str(tmp_path / "docs/images/a.png"), str(tmp_path / "logo.png")]
    assert skipped["reason"].eq("not in a folder of the published layout").all()
    touch(tmp_path, f"{CONTROL}/Control_Group_II/Fungal/a.png")
    with pytest.raises(LabelError, match="fungal"):
        build_source("qata", tmp_path)


def test_masks_alone_are_no_cohort(tmp_path):
    touch(tmp_path, f"{V2}/Train Set/Ground-truths/mask_covid_1.png")
    with pytest.raises(CohortError, match="none of the 0 images of qata is there"):
        build_source("qata", tmp_path)
