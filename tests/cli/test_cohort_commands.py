"""``patchcxr cohort``: every action on a small synthetic cohort, and its exit code."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.cli import main
from patchcxr.data.cohort import read_cohort, write_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Forty-odd synthetic films; paths are absolute, so that tables can be written elsewhere."""
    folder = tmp_path_factory.mktemp("cohort")
    generate_cohort(folder, SyntheticConfig(size=128, patients=40, films_per_patient_max=2))
    table = read_cohort(folder / "cohort.csv").assign(split=pd.NA)
    write_cohort(table, folder / "absolute.csv")
    return folder / "absolute.csv"


def read(path):
    return pd.read_csv(path, dtype={"study": str, "patient": str})


def test_data_sets_are_listed_and_their_facts_printed(capsys):
    assert main(["cohort", "sources"]) == 0
    listed = capsys.readouterr().out
    assert "jsrt             JSRT films with the SCR outlines of lungs and heart" in listed
    assert main(["cohort", "sources", "nih"]) == 0
    assert "112,120" in capsys.readouterr().out
    assert main(["cohort", "sources", "mimic"]) == 2


def test_an_import_lists_what_it_had_to_skip(tmp_path, capsys):
    root = tmp_path / "nih"
    (root / "images").mkdir(parents=True)
    (root / "labels.csv").write_text(
        "filename,patient_id,label,finding_labels,age,sex,view\n"
        "1_000.png,1,normal,No Finding,45,M,AP\n2_000.png,2,normal,No Finding,46,M,PA\n"
    )
    cv2.imwrite(str(root / "images" / "2_000.png"), np.eye(64, dtype=np.uint8) * 255)
    assert main(["cohort", "import", f"nih={root}", "--out", str(tmp_path / "c.csv")]) == 0
    assert read(tmp_path / "c.csv")["study"].tolist() == ["nih-2_000"]
    skipped = pd.read_csv(tmp_path / "c_skipped.csv")
    assert skipped[["name", "source"]].to_numpy().tolist() == [["1_000", "nih"]]
    assert "1 rows or files were skipped" in capsys.readouterr().err


def test_show_prints_the_summary_and_draws_the_films(cohort, tmp_path, capsys):
    assert main(["cohort", "show", str(cohort), "--picture", str(tmp_path / "films.png")]) == 0
    assert "every file is there" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "films.png")).std() > 10


def test_a_split_by_a_papers_scheme_keeps_patients_together_and_says_how_even_it_is(cohort, tmp_path, capsys):
    out = tmp_path / "split.csv"
    arguments = ["cohort", "split", str(cohort), "--out", str(out), "--cache", str(tmp_path / "cache")]
    assert main([*arguments, "--scheme", "oh2020"]) == 0
    table = read(out)
    assert set(table["split"]) == {"train", "validation", "test"}
    assert table.groupby("patient")["split"].nunique().max() == 1
    assert "departure" in capsys.readouterr().out
    assert len(read(tmp_path / "split_balance.csv")) > 4
    assert main([*arguments, "--scheme", "tahir2021", "--fold", "1"]) == 0
    fold = read(out)
    assert (fold["split"] == "test").equals(fold["fold"] == 1)


def test_a_leaking_split_needs_so_many_words(cohort, tmp_path, capsys):
    table = read_cohort(cohort)
    twice = table["patient"].duplicated(keep=False)
    patient = table.loc[twice, "patient"].iloc[0]
    rows = np.flatnonzero(table["patient"] == patient)
    table["split"] = "train"
    table.loc[rows[0], "split"] = "test"
    write_cohort(table, tmp_path / "leaking.csv", allow_leaks="patients may be on both sides")
    arguments = ["cohort", "split", str(tmp_path / "leaking.csv"), "--scheme", "predefined", "--no-duplicates"]
    arguments += ["--out", str(tmp_path / "out.csv")]
    assert main(arguments) == 2
    assert patient in capsys.readouterr().err
    assert main([*arguments, "--allow-leaks", "please"]) == 2
    assert main([*arguments, "--allow-leaks", "patients may be on both sides"]) == 0


def test_labels_are_rewritten_by_scheme_or_file_with_counts(cohort, tmp_path, capsys):
    assert main(["cohort", "relabel", str(cohort), "--by", "four_class", "--out", str(tmp_path / "four.csv")]) == 0
    assert set(read(tmp_path / "four.csv")["label"]) == {"normal", "bacterial", "tuberculosis", "viral"}
    assert "covid19" in capsys.readouterr().out
    (tmp_path / "map.yaml").write_text("normal: normal\nviral: ill\nbacterial: ill\ntuberculosis: ill\n")
    arguments = ["cohort", "relabel", str(tmp_path / "four.csv"), "--by", str(tmp_path / "map.yaml")]
    assert main([*arguments, "--out", str(tmp_path / "two.csv")]) == 0
    assert set(read(tmp_path / "two.csv")["label"]) == {"normal", "ill"}


def test_films_are_selected_by_the_values_of_columns(cohort, tmp_path, capsys):
    before = read(cohort)
    out = tmp_path / "some.csv"
    arguments = ["cohort", "select", str(cohort), "--out", str(out), "--where"]
    assert main([*arguments, "label=normal,viral", "--where", "view=PA"]) == 0
    kept = before["label"].isin(["normal", "viral"]) & (before["view"] == "PA")
    assert list(read(out)["study"]) == list(before.loc[kept, "study"])
    assert main([*arguments, "label=norml"]) == 2
    assert "no row has it; expected some of" in capsys.readouterr().err
    assert main([*arguments, "finding=x"]) == 2
    assert "no such column" in capsys.readouterr().err


def test_merging_needs_ids_of_their_own(cohort, tmp_path, capsys):
    arguments = ["cohort", "merge", str(cohort), str(cohort), "--out", str(tmp_path / "both.csv")]
    assert main(arguments) == 2
    assert "already used" in capsys.readouterr().err


def test_an_audit_writes_findings_page_and_cleaned_cohort_and_fails_on_errors_only(cohort, tmp_path, capsys):
    table = read_cohort(cohort)
    copy = table.iloc[[0]].assign(study="copy", patient="somebody else", label="covid19")
    copy["label"] = "normal" if table["label"].iloc[0] != "normal" else "viral"
    write_cohort(pd.concat([table, copy], ignore_index=True), tmp_path / "bad.csv")
    arguments = ["cohort", "audit", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "audit")]
    arguments += ["--set", "skip=[probe]", "--set", "minimum_side=0", "--cache", str(tmp_path / "cache")]
    assert main([*arguments, "--fix"]) == 1
    said = capsys.readouterr().out
    assert "error   duplicate-with-different-labels" in said
    findings = pd.read_csv(tmp_path / "audit" / "findings.csv")
    assert "duplicate-with-different-labels" in set(findings["check"])
    dropped = pd.read_csv(tmp_path / "audit" / "dropped.csv")
    assert {"copy", table["study"].iloc[0]} <= set(dropped["study"])
    assert "copy" not in set(read(tmp_path / "audit" / "cohort.csv")["study"])
    page = (tmp_path / "audit" / "audit.html").read_text(encoding="utf-8")
    assert "duplicate-with-different-labels" in page
    assert main([*arguments, "--fail-on", "never"]) == 0
    assert main([*arguments, "--fix", "--fail-on", "never", "--set", "minimum_side=5000"]) == 0
    assert "no film is left" in capsys.readouterr().err


def test_a_name_that_is_given_twice_is_refused(tmp_path, capsys):
    assert main(["cohort", "import", "jsrt=a", "jsrt=b", "--out", str(tmp_path / "c.csv")]) == 2
    assert "'jsrt' is given twice, as 'a' and 'b'" in capsys.readouterr().err


def test_a_split_that_cannot_be_made_is_refused_before_films_are_read(cohort, tmp_path, capsys):
    table = read_cohort(cohort).assign(image=lambda t: t["image"] + ".not-there")
    write_cohort(table, tmp_path / "lost.csv")
    arguments = ["cohort", "split", str(tmp_path / "lost.csv"), "--out", str(tmp_path / "out.csv")]
    assert main([*arguments, "--scheme", "nope"]) == 2
    assert "expected one of oh2020" in capsys.readouterr().err
    assert main([*arguments, "--scheme", "leave_one_source_out", "--allow-leaks", "please"]) == 2
    assert "in so many words" in capsys.readouterr().err


def test_an_unknown_setting_is_refused_with_the_known_ones(cohort, tmp_path, capsys):
    arguments = ["cohort", "audit", str(cohort), "--out", str(tmp_path / "a"), "--set", "tiny=1"]
    assert main(arguments) == 2
    assert "minimum_age_years, minimum_side" in capsys.readouterr().err


def test_values_to_exclude_must_occur(tmp_path, capsys):
    films = pd.DataFrame({"label": ["a", "b"] * 4, "view": ["AP", "PA"] * 4, "ctr": range(8)})
    films.to_csv(tmp_path / "films.csv", index=False)
    arguments = [
        "stats",
        str(tmp_path / "films.csv"),
        "--value",
        "ctr",
        "--group",
        "label",
        "--out",
        str(tmp_path / "s"),
    ]
    assert main([*arguments, "--exclude", "view=Nope"]) == 2
    assert "no row has it; expected some of AP, PA" in capsys.readouterr().err
    assert main([*arguments, "--exclude", "side=AP"]) == 2
    assert "no such column" in capsys.readouterr().err


def test_a_folder_and_its_table_must_not_lose_films_in_silence(tmp_path, capsys):
    films = tmp_path / "films"
    films.mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(films / f"{name}.png"), np.eye(64, dtype=np.uint8) * 255)
    (tmp_path / "labels.csv").write_text("file,finding\na.png,normal\nc.png,viral\n")
    arguments = [
        "cohort",
        "folder",
        str(films),
        "--csv",
        str(tmp_path / "labels.csv"),
        "--out",
        str(tmp_path / "c.csv"),
    ]
    assert main([*arguments, "--column", "image=file", "--column", "label=finding"]) == 0
    assert read(tmp_path / "c.csv")["study"].tolist() == ["a"]
    assert sorted(pd.read_csv(tmp_path / "c_skipped.csv")["name"]) == ["b.png", "c.png"]
    assert "2 rows or files were skipped" in capsys.readouterr().err
    assert main([*arguments, "--column", "image=file", "--column", "lable=finding"]) == 2
    assert "'lable'" in capsys.readouterr().err
