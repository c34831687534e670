"""The same seed gives the same study, to the bit on one machine's CPU; what differs is listed here, with the reason."""

from __future__ import annotations

import json
import logging
import re
import warnings
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
from power_loss import disk

from patchcxr.cli.study import load_study
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.io.checkpoint import load_weights
from patchcxr.study import learn, select
from patchcxr.study.run import Study, run_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FILMS: Final = SyntheticConfig(size=64, patients=24, films_per_patient_max=1)
CHANGES: Final = [
    *(f"{part}.model.architecture=compact_unet" for part in ("anatomy", "infection")),
    *(f"{part}.train.epochs=2" for part in ("anatomy", "infection")),
    "infection.model.encoder=null",
    *(f"classification.{part}_classifier.train.epochs=2" for part in ("global", "local")),
    *("classification.vote.patches=4", "classification.vote.patch_size=32", "classification.vote.image_size=64"),
    *("report.examples=1", "report.bootstrap_resamples=20"),
]
STEPS: Final = 17

MAY_DIFFER: Final = {
    "study.log": "says when each line was written, and how long steps took",
    "steps/*.json": "seconds that a step took",
    "tables/steps.*": "seconds that a step took, in the last column",
    "tables/trainings.*": "minutes that a training took, in the last column",
    "*/history.csv": "seconds since the training began, in the last column",
    "*/model.safetensors": "seconds that the training took, in the notes beside the weights",
    "report.html": "both tables, and the time of all steps",
}
"""Files, by pattern, that are not the same to the byte; :func:`without_time` gives what of them is."""

TIMED_TABLE: Final = re.compile(r"<table(?:(?!</table>).)*>(?:Seconds|Minutes)</th>.*?</table>", re.DOTALL)
LAST_CELL: Final = re.compile(r"<td[^>]*>[\d.]+</td>(?=\s*</tr>)")


def without_time(path: Path) -> Any:
    """What of a file must be the same although it says how long something took."""
    if path.name == "study.log":
        return None
    if path.suffix == ".safetensors":
        tensors, notes = load_weights(path)
        return {name: value.numpy().tobytes() for name, value in tensors.items()}, _timeless(notes)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return _timeless(json.loads(text))
    if path.suffix == ".html":
        text = TIMED_TABLE.sub(lambda table: LAST_CELL.sub("", table[0]), text)
        return re.sub(r"(?<=<dt>Time of all steps</dt><dd>)[\d.]+ \w+", "", text)
    mark = "," if path.suffix == ".csv" else " | "
    return [line.rpartition(mark)[0] for line in text.splitlines()]


def _timeless(notes: Any) -> Any:
    if isinstance(notes, dict):
        return {name: _timeless(value) for name, value in notes.items() if name != "seconds"}
    return notes


def files_of(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def differing(one: Path, other: Path) -> list[str]:
    """Files of two studies that differ in more than what may."""
    ours, theirs = files_of(one), files_of(other)
    found = sorted(set(ours) ^ set(theirs))
    for name in sorted(set(ours) & set(theirs)):
        if ours[name].read_bytes() == theirs[name].read_bytes():
            continue
        allowed = any(fnmatch(name, pattern) for pattern in MAY_DIFFER)
        if not allowed or without_time(ours[name]) != without_time(theirs[name]):
            found.append(name)
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    generate_cohort(folder, FILMS)
    return folder / "cohort.csv"


def configured(table: Path, *changes: str) -> Any:
    return load_study("smoke", [*CHANGES, *changes], str(table))


@pytest.fixture(scope="module")
def whole(table, tmp_path_factory):
    """A study that ran through, one process reading its films."""
    out = tmp_path_factory.mktemp("whole")
    study = run_study(configured(table), out)
    assert len(study.steps.fingerprints) == STEPS
    assert not study.steps.failed
    return out


class Stopped(Exception):
    """Stands for a machine that goes down."""


@pytest.fixture(scope="module")
def interrupted(table, tmp_path_factory):
    """The same study in another folder, finished in the end.

    The power goes inside its first training, and again between two steps: nothing is left that was not on the disk.
    """
    out = tmp_path_factory.mktemp("interrupted")
    log = logging.getLogger("patchcxr")
    level = log.level
    log.setLevel(logging.INFO)
    with disk() as machine:
        for said in ("epoch 1:", "global: already done|global: done"):
            stop = _StopAt(said)
            log.addHandler(stop)
            try:
                with pytest.raises(Stopped):
                    run_study(configured(table), out)
            finally:
                log.removeHandler(stop)
            assert "config.yaml" in machine.lose_power(out)
    log.setLevel(level)
    run_study(configured(table), out)
    return out


class _StopAt(logging.Handler):
    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        if re.search(self.said, record.getMessage()):
            raise Stopped(record.getMessage())


def test_a_study_that_was_interrupted_is_the_same_to_the_byte_as_one_that_was_not(whole, interrupted):
    assert differing(whole, interrupted) == []


def test_pictures_and_tables_are_among_what_is_compared(whole):
    kinds = {Path(name).suffix for name in files_of(whole) if not any(fnmatch(name, rule) for rule in MAY_DIFFER)}
    assert {".csv", ".md", ".tex", ".npy", ".png", ".svg", ".yaml", ".html"} <= kinds


def test_whatever_may_differ_is_there(whole):
    names = list(files_of(whole))
    for pattern in MAY_DIFFER:
        if pattern != "study.log":
            assert any(fnmatch(name, pattern) for name in names), pattern


def test_a_change_of_one_byte_or_of_one_number_is_noticed(tmp_path):
    for name, history in (("one", "1,0.5,3.1"), ("other", "1,0.5,9.9"), ("third", "1,0.6,3.1")):
        (tmp_path / name / "anatomy").mkdir(parents=True)
        (tmp_path / name / "anatomy" / "history.csv").write_text(f"epoch,train_loss,seconds\n{history}\n")
        (tmp_path / name / "figure.png").write_bytes(name[:1].encode())
    assert differing(tmp_path / "one", tmp_path / "other") == []
    assert differing(tmp_path / "one", tmp_path / "third") == ["anatomy/history.csv", "figure.png"]


def test_one_loader_process_more_gives_the_same_weights_and_the_same_history(whole, table, tmp_path):
    config = configured(table, "infection.train.workers=1")
    study = Study(config, whole)
    rows = select.infection_rows(study.table, config.infection)
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)  # more loader processes than cores
        learn.train_infection(rows, study.store(config.infection.image_size), config, tmp_path)
    alone, helped = whole / "infection", tmp_path
    assert without_time(helped / "history.csv") == without_time(alone / "history.csv")
    weights = [without_time(folder / "model.safetensors")[0] for folder in (alone, helped)]
    assert weights[0] == weights[1]


def test_the_synthetic_cohort_is_the_same_to_the_byte(table, tmp_path):
    generate_cohort(tmp_path, FILMS)
    ours, theirs = files_of(table.parent), files_of(tmp_path)
    assert list(ours) == list(theirs)
    assert [name for name in ours if ours[name].read_bytes() != theirs[name].read_bytes()] == []
