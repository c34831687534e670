"""No output of any command names a patient, but where a flag or the standard asks for it.

Every command that is given films or cohorts runs on DICOM films whose headers are full of planted identifiers; every
byte that it writes or prints is then searched for them. A new command is one line in :data:`COMMANDS`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from output_reader import texts_of, unpacked, written_in_pictures
from PIL import Image, PngImagePlugin
from planted_identifiers import KINDS, OTHERS, kinds_in, planted_header, write_hospital

from patchcxr.cli import main
from patchcxr.cli.parser import make_parser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATIENTS, SIZE = 20, 64

NOTHING: frozenset[str] = frozenset()
PATIENT_ID = frozenset({"mrn"})
"""``cohort folder --identifiers`` takes it, and tables that follow from that cohort keep it as ``patient``."""

UIDS = frozenset({"uid"})
"""By them alone a pseudonymised segmentation object belongs to its film."""

OF_A_SEGMENTATION_OBJECT = UIDS | {"name", "mrn", "birth", "date", "acc", "refdoctor", "study"}
"""Patient and general study module of DICOM PS3.3, types 1 and 2, which ``--pseudonymise`` leaves out."""


class Command(NamedTuple):
    """What a command is given, and the kinds of identifiers it writes by design: in DICOM objects, and elsewhere.

    ``exits`` is the code that it ends with; what a command says that refuses is searched too.
    """

    words: str
    objects: frozenset[str] = NOTHING
    others: frozenset[str] = NOTHING
    exits: int = 0


VOTE = "--set patches=2 --set image_size=256"
COMMANDS = {
    "cohort folder": Command("films --out folder.csv"),
    "cohort folder, damaged": Command("damaged --out damaged.csv"),
    "cohort folder --csv": Command("films --csv films.csv --out cohort.csv"),
    "cohort folder --identifiers": Command("films --csv films.csv --out named.csv --identifiers", others=PATIENT_ID),
    "cohort show": Command("cohort.csv --picture films.png"),
    "cohort select": Command("cohort.csv --where label=viral --out viral.parquet"),
    "cohort select, another": Command("cohort.csv --where label=normal --out normal.csv"),
    "cohort select, few": Command("cohort.csv --where study=film00,film03,film07 --out few.csv"),
    "cohort select, one": Command("cohort.csv --where study=film07 --out one.csv"),
    "cohort select, named": Command("named.csv --where study=film07 --out one_named.csv", others=PATIENT_ID),
    "cohort merge": Command("viral.parquet normal.csv --prefix-ids --out merged.csv"),
    "cohort relabel": Command("cohort.csv --by four_class --out four.csv"),
    "cohort split": Command("four.csv --scheme oh2020 --cache cache --out split.csv"),
    "cohort audit": Command("cohort.csv --out audit --cache cache --fix --fail-on never"),
    "cohort audit, damaged": Command("damaged.csv --out audit_damaged --fail-on never"),
    "cohort import": Command("rsna=rsna --out imported.csv"),
    "preprocess": Command("few.csv --size 64 --out prepared"),
    "preprocess, damaged": Command("damaged.csv --size 64 --out prepared_damaged"),
    "segment": Command("few.csv --dicom-seg --device cpu --out segmented", OF_A_SEGMENTATION_OBJECT),
    "segment --pseudonymise": Command("one.csv --dicom-seg --pseudonymise --device cpu --out segmented_quietly", UIDS),
    "segment --pseudonymise, named": Command(
        "one_named.csv --dicom-seg --pseudonymise --device cpu --out segmented_named", UIDS | PATIENT_ID, PATIENT_ID
    ),
    "segment, damaged": Command("damaged --dicom-seg --pseudonymise --device cpu --out segmented_damaged", UIDS),
    "segment, a film": Command("films/film07.dcm --device cpu --out segmented_film"),
    "infection": Command("few.csv --dicom-seg --device cpu --out infected", OF_A_SEGMENTATION_OBJECT),
    "infection --pseudonymise": Command("one.csv --dicom-seg --pseudonymise --device cpu --out infected_quietly", UIDS),
    "evaluate": Command("segmented/cohort.csv few.csv --out evaluated"),
    "classify": Command(f"few.csv --explain viral {VOTE} --out classified"),
    "classify, damaged": Command(f"damaged {VOTE} --out classified_damaged"),
    "explain": Command(f"one.csv --target viral --map-size 64 --device cpu {VOTE} --out explained"),
    "sanity": Command(f"one.csv --target viral --films 1 --patches 2 3 --draws 2 --device cpu {VOTE} --out sane"),
    "compare-maps": Command("few.csv --maps cam=classified/maps --examples 1 --size 64 --out compared"),
    "biomarkers": Command("cohort.csv --out markers --set correction=none"),
    "intensity": Command("cohort.csv --by label --out greys"),
    "followup": Command("cohort.csv --out course"),
    "followup --patient": Command("cohort.csv --patient {followed} --out course"),
    "stats": Command("markers/biomarkers.csv --value lung_mean --group label --out statistics"),
    "train": Command("infection split.csv --config tiny.yaml --device cpu --out trained"),
    "crossvalidate": Command("infection cohort.csv --config tiny.yaml --folds 2 --validation 0.5 --out folds"),
    "study": Command("tiny.yaml --out study"),
    "triage": Command("study/classification/predictions.csv --positive viral --method local --out triaged"),
    "metrics": Command("study/classification/local.csv --out scored"),
    "calibrate": Command("study/classification/predictions.csv --resamples 20 --out calibrated"),
    "ensemble": Command("study/classification/predictions.csv --resamples 20 --out joined"),
    "patches-needed": Command("classified --resamples 5"),
    "score": Command("few.csv damaged --part-size 4 --explain viral --set map_size=32 --out scores", exits=1),
    "score, named": Command("one_named.csv --infection none --classifier none --out scores_named", others=PATIENT_ID),
    "score --dry-run": Command("one.csv --classifier none --dry-run --out tried"),
    "review propose": Command("few.csv --out review --target lung --masks net=segmented"),
    "review propose, damaged": Command("damaged.csv --out review_damaged"),
    "review add-reader": Command("review ann"),
    "review status": Command("review --out status"),
    "review export": Command("review --out exported", exits=2),
    "review adjudicate": Command("review"),
    "review backup": Command("review --out copy.sqlite"),
    "review merge": Command("review copy.sqlite"),
}
"""In the order in which they run: later ones read what earlier ones wrote."""

WITHOUT_FILMS = {
    "cohort synthetic": "draws its films",
    "cohort sources": "prints what is known of public data sets",
    "models": "prints what is known of the networks that come with patchcxr",
    "review serve": "serves what is in the review's file, which `review propose` writes and this test reads",
    "ablation": "runs `study` several times and writes one table of its scores; too long for a test of every output",
}


class Outcome(NamedTuple):
    code: int
    printed: str
    drawn: list[str]
    files: list[Path]


def run_in(folder: Path, name: str, words: str) -> Outcome:
    """Run a command in a folder; what it printed, drew and wrote."""
    before = _state(folder)
    printed = io.StringIO()
    arguments = [*name.partition(",")[0].partition(" --")[0].split(), *words.split()]
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), written_in_pictures() as drawn:
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    files = [path for path, state in _state(folder).items() if before.get(path) != state]
    return Outcome(code, printed.getvalue(), drawn, files)


def _state(folder: Path) -> dict[Path, tuple[int, int]]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with the hospital's films, a public data set in DICOM, and a study of a minute."""
    folder = tmp_path_factory.mktemp("work")
    table = write_hospital(folder, PATIENTS, SIZE)
    films = folder / "rsna" / "stage_2_train_images"
    films.mkdir(parents=True)
    shutil.copy(folder / "films" / table["image"].iloc[0], films / "one.dcm")
    labels, classes = (folder / "rsna" / f"stage_2_{name}.csv" for name in ("train_labels", "detailed_class_info"))
    labels.write_text("patientId,x,y,width,height,Target\none,,,,,0\n")
    classes.write_text("patientId,class\none,Normal\n")
    training = {"epochs": 1, "batch_size": 8, "learning_rate": 0.001}
    network = {"image_size": 64, "train": training}
    anatomy = {"image_size": 64, "train": {"epochs": 3, "batch_size": 4, "learning_rate": 0.003}}
    (folder / "tiny.yaml").write_text(
        yaml.safe_dump(
            {
                "title": "Planted",
                "cohort": {"table": "cohort.csv", "fractions": [0.4, 0.3, 0.3]},
                "anatomy": {"model": {"architecture": "compact_unet", "num_classes": 4}, **anatomy},
                "infection": {"model": {"architecture": "compact_unet", "num_classes": 1}, **network},
                "classification": {
                    "lungs": "true",
                    "global_classifier": network,
                    "local_classifier": {"patches_per_film": 2, "train": training},
                    "vote": {"patches": 3, "patch_size": 32, "image_size": 64, "batch_size": 8},
                },
                "explanation": {"map_size": 32},
                "report": {"examples": 1, "bootstrap_resamples": 20, "formats": ["svg"]},
            }
        )
    )
    return folder


@pytest.fixture(scope="module")
def outcomes(work):
    """Every command, run once."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        for name, command in COMMANDS.items():
            words = command.words.format(followed=_followed(work)) if "{" in command.words else command.words
            found[name] = run_in(work, name, words)
            if name == "study":
                _split_off_a_method(work / "study" / "classification")
    return found


def _followed(work: Path) -> str:
    """A patient with films of two days."""
    days = pd.read_csv(work / "cohort.csv").groupby("patient")["days"].nunique()
    return str(days.index[days > 1][0])


def _split_off_a_method(folder: Path) -> None:
    """One method's predictions, as ``metrics`` wants them."""
    table = pd.read_csv(folder / "predictions.csv")
    table[table["method"] == "local"].to_csv(folder / "local.csv", index=False)


def leaves(parser: argparse.ArgumentParser, name: str = "") -> list[str]:
    """Names of all commands, those with actions by each action."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        return [name]
    return [leaf for group in groups for word, one in group.choices.items() for leaf in leaves(one, f"{name} {word}")]


def test_every_command_is_searched_or_takes_no_films():
    named = {name.partition(",")[0].partition(" --")[0] for name in COMMANDS}
    assert not named & set(WITHOUT_FILMS)
    assert {leaf.strip() for leaf in leaves(make_parser())} == named | set(WITHOUT_FILMS)


@pytest.mark.parametrize("name", COMMANDS)
def test_outputs_hold_no_identifier_but_those_that_are_promised(name, outcomes, work):
    command, outcome = COMMANDS[name], outcomes[name]
    assert outcome.code == command.exits, outcome.printed[-2000:]
    objects: dict[str, str] = {}
    others: dict[str, str] = {}
    for word in [outcome.printed, *outcome.drawn]:
        others |= dict.fromkeys(kinds_in(word.encode()), f"printed or drawn: {word[-500:]}")
    for path in outcome.files:
        for text in texts_of(path, work):
            found = objects if path.suffix == ".dcm" else others
            found |= dict.fromkeys(kinds_in(text), str(path.relative_to(work)))
    assert set(others) == command.others, others
    assert set(objects) == command.objects, objects


def test_identifiers_are_in_the_columns_that_are_promised_and_no_other(outcomes, work):
    for table in ("named.csv", "one_named.csv"):
        read = pd.read_csv(work / table, dtype=str)
        holding = [column for column in read if kinds_in(" ".join(read[column].dropna()).encode())]
        assert holding == ["patient"]


def test_a_pseudonymised_object_has_the_cohorts_patient_for_name_and_id(outcomes, work):
    import pydicom

    (path,) = (work / "segmented_quietly" / "dicom_seg").glob("*.dcm")
    found = pydicom.dcmread(path)
    patient = pd.read_csv(work / "one.csv")["patient"].item()
    assert (str(found.PatientName), found.PatientID) == (patient, patient)
    assert (found.PatientBirthDate, found.AccessionNumber, str(found.ReferringPhysicianName)) == ("", "", "")


def test_every_kind_is_planted_and_found_again():
    header = str(planted_header(3)).encode()
    assert kinds_in(header) == {*KINDS, *OTHERS}
    assert kinds_in(b"born 29.11.1903, 1903-11-29T00:00") == {"birth"}
    assert kinds_in(b"0.319031129 119031129 1.2.826.0.1.3 plantedname") == set()


def test_what_is_packed_is_unpacked(tmp_path):
    word = "PLANTEDNAMEX1"
    note = PngImagePlugin.PngInfo()
    note.add_text("who", word * 9, zip=True)
    Image.new("L", (4, 4)).save(tmp_path / "a.png", pnginfo=note)
    pd.DataFrame({"who": [word] * 99}).to_parquet(tmp_path / "a.parquet", compression="gzip")
    np.savez_compressed(tmp_path / "a.npz", who=np.array([word]))
    np.save(tmp_path / "a.npy", np.array([word]))
    import base64
    import sqlite3

    page = b'<img src="data:image/png;base64,' + base64.b64encode((tmp_path / "a.png").read_bytes()) + b'">'
    (tmp_path / "a.html").write_bytes(page)
    with contextlib.closing(sqlite3.connect(tmp_path / "a.sqlite")) as store:
        store.execute("CREATE TABLE film (header BLOB)")
        store.execute("INSERT INTO film VALUES (?)", [(tmp_path / "a.npz").read_bytes()])
        store.commit()
    for path in sorted(tmp_path.iterdir()):
        assert set().union(*map(kinds_in, texts_of(path, tmp_path))) == {"name"}, path.name
    assert kinds_in((tmp_path / "a.png").read_bytes()) == set()
    assert not any(map(kinds_in, unpacked(b"nothing")))


def test_words_in_pictures_are_noted():
    import matplotlib.figure

    figure = matplotlib.figure.Figure()
    figure.text(0.5, 0.5, "PLANTEDNAMEX1")
    with written_in_pictures() as words:
        figure.savefig(io.BytesIO(), format="png")
    assert kinds_in(" ".join(words).encode()) == {"name"}
