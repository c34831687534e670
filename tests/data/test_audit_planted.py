"""Faults planted in a clean synthetic cohort: each check finds its rows and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.data.audit import Audit, AuditConfig, audit_cohort, clean, read_for_audit
from patchcxr.data.audit.appearance import check_views
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.errors import CohortError, ConfigError
from patchcxr.io.radiograph import read_radiograph

FRAME = (
    *("table", "files", "size", "masks", "duplicates", "patients-in-splits"),
    *("patient-ids", "children", "lateral", "labels", "balance"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty films of adults, A in 8, B in 12 and C in 16 bits, with masks."""
    root = tmp_path_factory.mktemp("cohort")
    generate_cohort(root, SyntheticConfig(size=300, patients=20, films_per_patient_max=1, seed=3))
    return root


@pytest.fixture
def cohort(folder):
    """The clean cohort; films below ``new/`` are made by the tests."""
    table = read_for_audit(folder / "cohort.csv")
    table["age_years"] = 30.0
    table["patient"] = "p-" + table["study"]
    return table


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def found(table, cache, **settings):
    audit = audit_cohort(table, AuditConfig(**{"only": FRAME, **settings}), cache)
    return {finding.check: finding for finding in audit.findings}, audit


def studies(table, rows):
    return tuple(table["study"].iloc[rows])


def read(table, row):
    return cv2.imread(table["image"].iloc[row], cv2.IMREAD_UNCHANGED)


def write(tmp_path, name, pixels):
    path = tmp_path / name
    assert cv2.imwrite(str(path), pixels)
    return str(path)


def with_copy(table, row, path, **changes):
    """The cohort with one more film, a copy of ``row``'s."""
    new = table.iloc[[row]].assign(study="copy", image=path, **changes)
    return pd.concat([table, new], ignore_index=True)


def test_nothing_is_found_in_a_clean_cohort(cohort, cache):
    findings, audit = found(cohort, cache)
    assert findings == {}
    assert audit.worst() is None
    assert not audit.fails("note")
    kept, dropped = clean(cohort, audit)
    pd.testing.assert_frame_equal(kept, cohort)
    assert dropped.empty


def square(film):
    side = min(film.shape)
    top, left = (film.shape[0] - side) // 2, (film.shape[1] - side) // 2
    return film[top : top + side, left : left + side]


def lettered(film):
    """With a caption and a crop of a few pixels."""
    film = film[4:, :-3].copy()
    cv2.putText(film, "day 1", (90, 285), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    return film


CHANGES = {
    "smaller": ("re-encoded", lambda film: cv2.resize(film, (224, 224), interpolation=cv2.INTER_AREA)),
    "darker": ("re-encoded", lambda film: np.rint(255 * (film / 255.0) ** 1.6).astype(np.uint8)),
    "equalised": ("re-encoded", cv2.equalizeHist),
    "square": ("cropped or framed", square),
    "framed": ("cropped or framed", lambda film: cv2.copyMakeBorder(film, 30, 30, 60, 60, cv2.BORDER_CONSTANT)),
    "mirrored": ("mirrored", lambda film: film[:, ::-1]),
    "inverted": ("inverted", lambda film: 255 - film),
    "lettered": ("edited", lettered),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_across_splits_and_the_film_with_masks_stays(cohort, cache, tmp_path, change):
    row = 5 if change == "square" else 2  # 300 x 264, and 300 x 304 pixels
    kind, changed = CHANGES[change]
    path = write(
        tmp_path, "copy.jpg", changed(np.rint(255 * read_radiograph(cohort["image"].iloc[row]).pixels).astype(np.uint8))
    )
    none = dict.fromkeys(("right_lung_mask", "left_lung_mask", "heart_mask", "infection_mask"), pd.NA)
    table = with_copy(cohort, row, path, split="test", patient="other", source="D", **none)
    table.loc[row, "split"] = "train"
    findings, audit = found(table, cache, skip=("balance", "size", "patient-ids"))
    pair = (table["study"].iloc[row], "copy")
    assert {name: finding.studies for name, finding in findings.items()} == {
        "duplicate-across-sources": pair,
        "duplicate-across-splits": pair,
        "duplicate-joins-patients": pair,
    }
    assert findings["duplicate-across-splits"].severity == "error"
    assert findings["duplicate-across-splits"].details["kind"].tolist() == [kind]
    kept, dropped = clean(table, audit)
    assert kept["study"].tolist() == cohort["study"].tolist()
    assert set(dropped["study"]) == {"copy"}
    assert audit.fails()


def test_the_same_file_twice_with_two_labels_leaves_neither(cohort, cache):
    label = "normal" if cohort["label"].iloc[2] != "normal" else "viral"
    table = with_copy(cohort, 2, cohort["image"].iloc[2], label=label)
    findings, audit = found(table, cache)
    pair = (cohort["study"].iloc[2], "copy")
    assert {name: finding.studies for name, finding in findings.items()} == {
        "duplicate-within-source": pair,
        "duplicate-with-different-labels": pair,
    }
    assert findings["duplicate-within-source"].details["kind"].tolist() == ["same file"]
    kept, dropped = clean(table, audit)
    assert kept["study"].tolist() == cohort["study"].drop(2).tolist()
    assert sorted(zip(dropped["study"], dropped["check"], strict=True)) == [
        (pair[0], "duplicate-with-different-labels"),
        ("copy", "duplicate-with-different-labels"),
        ("copy", "duplicate-within-source"),
    ]


def test_a_patient_in_two_splits_keeps_the_side_with_most_films(cohort, cache):
    cohort["split"] = ["train", "test"] * 10
    cohort.loc[[0, 2, 5], "patient"] = "p"
    findings, _ = found(cohort, cache, skip=("balance",))
    assert list(findings) == ["patient-in-two-splits"]
    assert findings["patient-in-two-splits"].studies == studies(cohort, [0, 2, 5])
    assert findings["patient-in-two-splits"].drop == studies(cohort, [5])
    assert findings["patient-in-two-splits"].details.to_dict("records") == [{"patient": "p", "test": 1, "train": 2}]


def test_children_are_found_by_age_group_source_and_file_name(cohort, cache, tmp_path):
    cohort.loc[1, "age_years"] = 17.9
    cohort.loc[2, "age_years"] = 18.0
    cohort.loc[[3, 4, 5, 6], "age_years"] = np.nan
    cohort["age_group"] = pd.Series({3: "Pediatric"}, dtype="string").reindex(range(20))
    cohort.loc[4, "source"] = "Kermany-2018"
    cohort.loc[5, "image"] = write(tmp_path, "person123_bacteria_4.png", read(cohort, 5))
    cohort.loc[6, "image"] = write(tmp_path, "my-person1-virus.png", read(cohort, 6))
    cohort.loc[7, "image"] = write(tmp_path, "NORMAL2-IM-0840-0001.png", read(cohort, 7))  # known to be 30
    findings, audit = found(cohort, cache)
    assert {name: finding.studies for name, finding in findings.items()} == {
        "paediatric-age": studies(cohort, [1]),
        "paediatric-age-group": studies(cohort, [3]),
        "paediatric-source": studies(cohort, [4, 5]),
        "age-mixture": studies(cohort, [1, 3, 4, 5]),
    }
    details = findings["age-mixture"].details
    assert (details["children"].sum(), details["others"].sum()) == (4, 16)
    assert clean(cohort, audit)[0]["study"].tolist() == cohort["study"].drop([1, 3, 4, 5]).tolist()


@pytest.mark.parametrize("name", ["person1_virus_6", "IM-0115-0001", "NORMAL2-IM-0840-0001", "IM-0127-0001-0002"])
def test_file_names_of_the_paediatric_set_are_known(cohort, cache, name):
    cohort.loc[0, ["image", "age_years"]] = [f"/films/{name}.jpeg", np.nan]
    findings, _ = found(cohort, cache, only=("children",))
    assert findings["paediatric-source"].studies == studies(cohort, [0])


def test_a_cohort_of_children_only_is_noted_and_kept(cohort, cache):
    cohort["age_years"] = 4.0
    findings, audit = found(cohort, cache)
    assert [(finding.check, finding.severity, finding.drop) for finding in audit.findings] == [
        ("paediatric-age", "note", ())
    ]
    assert len(findings["paediatric-age"].studies) == 20


def test_lateral_views_unknown_labels_and_missing_ids_are_found(cohort, cache):
    cohort.loc[[0, 1, 2], "view"] = ["L", "Lateral", "AP Supine"]
    cohort.loc[3, "label"] = "Infiltration"
    cohort.loc[4, "label"] = pd.NA
    cohort["source"] = "A"
    cohort.loc[[5, 6], "source"] = "E"
    cohort.loc[[5, 6], "patient"] = cohort.loc[[5, 6], "study"]
    findings, _ = found(cohort, cache)
    assert {name: (finding.severity, finding.studies) for name, finding in findings.items()} == {
        "lateral-by-table": ("warning", studies(cohort, [0, 1])),
        "label-unknown": ("warning", studies(cohort, [3])),
        "label-empty": ("note", studies(cohort, [4])),
        "patient-id-missing": ("note", studies(cohort, [5, 6])),
    }


def test_an_uneven_split_is_noted_with_its_shares(cohort, cache):
    cohort["source"], cohort["label"] = "A", ["normal"] * 10 + ["viral"] * 10
    cohort["split"] = ["train"] * 13 + ["test"] * 7
    findings, _ = found(cohort, cache)
    details = findings["split-uneven"].details.set_index(["split", "label"])["departure"]
    assert details["test", "viral"] == pytest.approx(0.5)
    assert details["train", "normal"] == pytest.approx(10 / 13 - 0.5)
    cohort["split"] = ["train", "test"] * 10
    assert found(cohort, cache)[0] == {}


def test_missing_damaged_and_tiny_films_are_found(cohort, cache, tmp_path):
    (tmp_path / "cut.png").write_bytes(Path(cohort["image"].iloc[1]).read_bytes()[:2000])
    cohort.loc[0, "image"] = "/no/such/film.png"
    cohort.loc[1, "image"] = str(tmp_path / "cut.png")
    cohort.loc[2, "image"] = write(tmp_path, "tiny.png", cv2.resize(read(cohort, 2), (255, 256)))
    cohort.loc[3, "image"] = write(tmp_path, "fits.png", cv2.resize(read(cohort, 3), (256, 256)))
    cohort.loc[4, "image"] = str(tmp_path)
    findings, audit = found(cohort, cache, skip=("masks",))
    assert {name: (finding.severity, finding.studies) for name, finding in findings.items()} == {
        "file-missing": ("error", studies(cohort, [0, 4])),
        "file-unreadable": ("error", studies(cohort, [1])),
        "film-tiny": ("warning", studies(cohort, [2])),
    }
    assert "cut.png" in findings["file-unreadable"].details["error"].iloc[0]
    assert clean(cohort, audit)[0]["study"].tolist() == cohort["study"].drop([0, 1, 2, 4]).tolist()


def test_masks_that_do_not_fit_are_found_and_their_films_kept(cohort, cache, tmp_path):
    cohort.loc[0, "heart_mask"] = "/no/such/mask.png"
    cohort.loc[1, "heart_mask"] = write(tmp_path, "noise.png", np.full((300, 300), 9, np.uint8))
    cohort.loc[2, "heart_mask"] = write(tmp_path, "small.png", np.full((60, 60), 255, np.uint8))
    cohort.loc[3, "heart_mask"] = write(tmp_path, "blank.png", np.zeros(read(cohort, 3).shape, np.uint8))
    cohort.loc[4, "heart_mask"] = "(empty)"
    cohort.loc[5, "heart_mask"] = write(tmp_path, "full.png", np.full(read(cohort, 5).shape, 255, np.uint8))
    sides = ["right_lung_mask", "left_lung_mask"]
    cohort.loc[6, sides] = cohort.loc[6, sides[::-1]].to_numpy()
    cohort.loc[7, "left_lung_mask"] = "|".join(cohort.loc[7, sides])
    turned = cv2.rotate(cv2.imread(cohort["right_lung_mask"].iloc[8], 0), cv2.ROTATE_180)
    cohort.loc[8, ["lung_mask", "infection_mask"]] = [write(tmp_path, "turned.png", turned), pd.NA]
    corner = np.zeros(read(cohort, 9).shape, np.uint8)
    corner[:20, :20] = 255
    cohort.loc[9, "infection_mask"] = write(tmp_path, "corner.png", corner)
    cohort.loc[10, "infection_mask"] = write(tmp_path, "none.png", np.zeros(read(cohort, 10).shape, np.uint8))
    findings, audit = found(cohort, cache, only=("masks",))
    assert {name: (finding.severity, finding.studies) for name, finding in findings.items()} == {
        "mask-missing": ("error", studies(cohort, [0])),
        "mask-unreadable": ("error", studies(cohort, [1])),
        "mask-size": ("error", studies(cohort, [2])),
        "mask-empty": ("warning", studies(cohort, [3])),
        "mask-covers-film": ("warning", studies(cohort, [5])),
        "mask-lungs-swapped": ("error", studies(cohort, [6])),
        "mask-lungs-overlap": ("warning", studies(cohort, [7])),
        "mask-lungs-disagree": ("warning", studies(cohort, [8])),
        "mask-infection-outside": ("warning", studies(cohort, [9])),
    }
    assert len(clean(cohort, audit)[0]) == 20


def test_a_table_that_is_not_valid_is_read_and_its_faults_are_findings(folder, cache, tmp_path):
    table = pd.read_csv(folder / "cohort.csv", dtype=str)
    table["age_years"], table["patient"] = "40", "p-" + table["study"]
    for column in ("image", *[name for name in table if name.endswith("_mask")]):
        table[column] = table[column].map(lambda path: str(folder / path), na_action="ignore")
    table.loc[1, "study"] = table.loc[0, "study"]
    table.loc[2, "patient"] = ""
    table.loc[3, "age_years"] = "300"
    table.loc[4, "age_years"] = "forty"
    table.loc[5, "sex"] = "female"
    table.loc[6, "split"] = "holdout"
    table.loc[7, "fold"] = "1.5"
    table.to_csv(tmp_path / "faulty.csv", index=False)
    findings, audit = found(read_for_audit(tmp_path / "faulty.csv"), cache, skip=("balance", "patient-ids"))
    repeated = table.loc[0, "study"]
    assert {name: (finding.studies, finding.drop) for name, finding in findings.items()} == {
        "table-study-repeated": ((repeated, f"{repeated} (row 2)"), (f"{repeated} (row 2)",)),
        "table-empty-cell": ((table.loc[2, "study"],), (table.loc[2, "study"],)),
        "table-value": (studies(table, [3, 4, 5, 6, 7]), ()),
    }
    unread = findings["table-value"].details["unread"]
    assert unread[unread.notna()].tolist() == ["age_years=forty", "fold=1.5"]
    kept, _ = clean(audit.table, audit)
    assert kept["study"].tolist() == table["study"].drop([1, 2]).tolist()


def test_checks_are_chosen_by_name_and_wrong_names_refused(cohort, cache):
    cohort.loc[0, ["view", "label"]] = ["L", pd.NA]
    assert list(found(cohort, cache, only=("lateral",))[0]) == ["lateral-by-table"]
    assert list(found(cohort, cache, skip=("lateral",))[0]) == ["label-empty"]
    findings, audit = found(cohort, cache, skip=("label-empty",))
    assert list(findings) == ["lateral-by-table"]
    assert [audit.fails(limit) for limit in ("error", "warning", "note", "never")] == [False, True, True, False]
    frame = audit.frame()
    assert frame[["severity", "check", "films", "left_out", "studies"]].to_dict("records") == [
        {
            "severity": "warning",
            "check": "lateral-by-table",
            "films": 1,
            "left_out": 1,
            "studies": f'["{cohort["study"].iloc[0]}"]',
        }
    ]
    with pytest.raises(ConfigError, match="lateral"):
        found(cohort, cache, only=("latteral",))
    with pytest.raises(ConfigError, match="fail_on"):
        audit.fails("often")
    with pytest.raises(CohortError, match="other studies"):
        clean(cohort.iloc[1:], audit)
    with pytest.raises(CohortError, match="no rows"):
        audit_cohort(cohort.iloc[:0])


def reasons(cohort, audit):
    return {(study, check): reason for study, check, reason in clean(cohort, audit)[1].itertuples(index=False)}


def test_ids_with_spaces_and_line_ends_can_be_told_apart_in_the_table_of_findings(cohort, cache):
    cohort.loc[[0, 1], ["view", "study"]] = [["L", "ä 1"], ["L", 'b\n"2"']]
    _, audit = found(cohort, cache, only=("lateral",))
    text = audit.frame()["studies"].iloc[0]
    assert json.loads(text) == ["ä 1", 'b\n"2"']
    assert "ä" in text


def test_every_film_that_is_left_out_has_a_reason_of_its_own(cohort, cache, tmp_path):
    name = cohort["study"].tolist()
    cohort["split"] = "train"
    cohort.loc[[0, 1], "age_years"] = [12.0, 7.5]
    cohort.loc[2, "image"] = "/no/such/film.png"
    cohort.loc[3, "image"] = write(tmp_path, "tiny.png", cv2.resize(read(cohort, 3), (156, 300)))
    cohort.loc[4, "view"] = "Lateral"
    cohort.loc[5, ["age_years", "source"]] = [np.nan, "Kermany-2018"]
    cohort["age_group"] = pd.Series({6: "Child"}, dtype="string").reindex(range(20))
    cohort.loc[6, "age_years"] = np.nan
    blank = np.full((300, 300), 9, np.uint8)
    blank[150, 150] = 200
    cohort.loc[7, "image"] = write(tmp_path, "blank.png", blank)
    cohort.loc[[8, 9, 10], "patient"] = "p"
    cohort.loc[9, "split"] = "test"
    cohort.loc[11, "patient"] = pd.NA
    cohort.loc[12, "study"] = name[13]
    chosen = ("table", "files", "size", "patients-in-splits", "children", "lateral", "exposure")
    _, audit = found(cohort, cache, only=chosen)
    told = reasons(cohort, audit)
    image = Path(cohort["image"].iloc[5]).name
    assert {key: reason for key, reason in told.items() if key[1] not in ("file-missing", "film-blank")} == {
        (name[11], "table-empty-cell"): "empty cell: patient",
        (f"{name[13]} (row 14)", "table-study-repeated"): f"study '{name[13]}' is in a row above too",
        (name[9], "patient-in-two-splits"): "patient 'p' has films in train (2), test (1); this one is in test",
        (name[3], "film-tiny"): "side of 156 pixels",
        (name[0], "paediatric-age"): "age 12 years",
        (name[1], "paediatric-age"): "age 7.5 years",
        (name[6], "paediatric-age-group"): "age group 'Child'",
        (name[5], "paediatric-source"): f"of a data set of children by source, 'Kermany-2018', or file name, {image!r}",
        (name[4], "lateral-by-table"): "lateral by the table, view 'Lateral'",
    }
    assert told[name[2], "file-missing"] == audit.scan.facts["error"].iloc[2]
    assert told[name[7], "film-blank"] == "blank by 100%, contrast 0 of the range"


def test_a_film_that_looks_lateral_is_left_out_with_its_score(cohort, cache):
    audit = audit_cohort(cohort.head(2), AuditConfig(only=("views",)), cache)
    audit.scan.facts.loc[0, ["chest_score", "lateral_score"]] = [0.9, 0.3149]
    findings = check_views(audit.table, audit.scan, audit.config)
    audit = Audit(audit.table, audit.scan, tuple(findings), audit.config)
    assert reasons(cohort.head(2), audit) == {
        (cohort["study"].iloc[0], "lateral-by-pixels"): "lateral by pixels, score 0.31"
    }


def test_copies_name_the_film_that_stays_or_the_one_with_another_label(cohort, cache):
    name = cohort["study"].tolist()
    cohort["source"], cohort["label"] = "A", "normal"
    more = cohort.iloc[[0, 0, 1, 2, 2]].assign(study=["a1", "a2", "b1", "c1", "c2"])
    table = pd.concat([cohort, more], ignore_index=True)
    table.loc[1, "age_years"] = 5.0  # the film that would stay of the second group
    table.loc[[23, 24], "label"] = ["viral", pd.NA]
    _, audit = found(table, cache, only=("duplicates", "children"))
    told = reasons(table, audit)
    within = "duplicate-within-source"
    assert {study: told[study, within] for study, check in told if check == within} == {
        "a1": f"copy of {name[0]}, which stays",
        "a2": f"copy of {name[0]}, which stays",
        "b1": f"copy of {name[1]}, which is left out as well",
        "c1": f"copy of {name[2]}, which is left out as well",
        "c2": f"copy of {name[2]}, which is left out as well",
    }
    labels = "duplicate-with-different-labels"
    assert {study: told[study, labels] for study, check in told if check == labels} == {
        name[2]: "copy of c1, whose label is 'viral'; that of this one 'normal'",
        "c1": f"copy of {name[2]}, whose label is 'normal'; that of this one 'viral'",
        "c2": f"copy of {name[2]}, whose label is 'normal'; this one has none",
    }


def test_the_worst_findings_come_first(cohort, cache):
    cohort.loc[0, "label"] = pd.NA
    cohort.loc[1, "view"] = "L"
    cohort.loc[2, "image"] = "/no/such/film.png"
    _, audit = found(cohort, cache)
    assert [finding.severity for finding in audit.findings] == ["error", "warning", "note"]
    assert audit.worst() == "error"
