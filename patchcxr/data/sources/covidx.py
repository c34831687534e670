"""COVIDx CXR, the collection of COVID-Net.

- Films: gathered from other public sets, JPEG and PNG of many sizes; from some
  14,000 in 2020 to 30,386 in CXR-3 (29,986 for training, 400 for test).
- Classes: three in lists A and in versions up to 5 (``normal``, ``pneumonia``,
  ``COVID-19``); two in lists B and in version 6 (``positive``, ``negative``).
  ``negative`` is ``other``: no pneumonia and other pneumonia in one.
- Masks: none.
- Layout: ``train/``, ``test/`` and in CXR-4 ``val/``, with one list each,
  such as ``train.txt``, ``train_split.txt`` or ``train_COVIDx9A.txt``; a line
  is ``patient file class`` and from version 5 on also the source.
- Licence: that of each source; none is stated for the whole.
- Citation: Wang, Lin, Wong, Scientific Reports 10:19549, 2020.

Decisions: ``origin`` is the source that the list names (cohen, fig1, actmed,
sirm, rsna, ricord, bimcv, stonybrook). An id that only repeats the name of its
file, as those of rsna and sirm do, is no patient's. The published parts are
kept in ``published_split`` and ``split`` is empty. Films whose file name says
abdomen are skipped.

Traps: one source is one class: almost every normal film is RSNA's, and in
version 8 all COVID-19 films of the test part are RICORD's. RSNA's films are
from ChestX-ray14 and their ids do not tell patients, so that one patient can
be on both sides; SIRM's films came by way of COVID-19 Radiography, which also
took from Cohen's collection. Films of one name and another suffix are
different films. Ids of some versions hold a space. Never merge it with cohen, rsna, nih, ricord, bimcv or
radiography without removing duplicates.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.sources._layout import Imported, finish, map_labels
from patchcxr.data.sources._published import SPLIT_NAMES
from patchcxr.data.sources._search import stems
from patchcxr.errors import CohortError
from patchcxr.io.folders import files_below
from patchcxr.io.radiograph import IMAGE_SUFFIXES

LICENCE = "mixed: that of each source set"

LABELS: Final = {
    "normal": "normal",
    "pneumonia": "pneumonia",
    "COVID-19": "covid19",
    "positive": "covid19",
    "negative": "other",
}
"""Label of each class of the lists."""

_PARTS: Final = ("train", "val", "test")
_LIST: Final = re.compile(r"(train|val|test)(?![a-z]).*\.txt", re.IGNORECASE)
_LINE: Final = r"^(?P<patient>\S.*?)\s+(?P<file>\S+\.\w+)\s+(?P<class>\S+)(?:\s+(?P<origin>\S+))?$"
_LONGEST: Final = 500  # characters of a line; longer ones would be slow to match
_ABDOMEN: Final = r"(?i)ABDOMEN|ABD_SERIES"


def build(root: str | Path) -> Imported:
    """Cohort of the films below ``root``; ``origin`` and ``published_split`` are extra columns.

    Raises
    ------
    CohortError
        If there is no list, two lists of one part, or no film.
    LabelError
        If a class is not in :data:`LABELS`.
    """
    root = Path(root)
    files = files_below(root)
    lists = _lists(root, files)
    images = {
        (path.parent.name.lower(), path.name.lower()): str(path)
        for path in reversed(files)
        if path.suffix.lower() in IMAGE_SUFFIXES
    }
    parts = [_read_list(lists[part]).assign(part=part) for part in _PARTS if part in lists]
    table = pd.concat(parts, ignore_index=True)
    broken = table["class"].isna()
    skipped = [(line[:80], "line is not: patient file class [source]") for line in table.loc[broken, "line"]]
    table = table[~broken].reset_index(drop=True)
    table["study"] = table["part"] + "-" + table["file"]
    reason = pd.Series(pd.NA, index=table.index, dtype="string")
    reason = reason.mask(table["file"].str.contains(_ABDOMEN), "film of the abdomen, by its name")
    reason = reason.mask(table["study"].duplicated(), "listed twice; the first line is kept")
    skipped += list(zip(table.loc[reason.notna(), "study"], reason.dropna(), strict=True))
    table = table[reason.isna()].reset_index(drop=True)
    return finish(
        pd.DataFrame(
            {
                "study": table["study"],
                "patient": table["patient"].mask(_plain(table["patient"]) == _plain(stems(table["file"]))),
                "image": pd.Series(zip(table["part"], table["file"].str.lower(), strict=True)).map(images),
                "label": map_labels(table["class"], LABELS, root),
                "licence": LICENCE,
                "origin": table["origin"],
                "published_split": table["part"].map(SPLIT_NAMES),
            }
        ),
        "covidx",
        root,
        skipped,
    )


def _lists(root: Path, files: list[Path]) -> dict[str, Path]:
    lists: dict[str, Path] = {}
    for path in files:
        if named := _LIST.fullmatch(path.name):
            part = named[1].lower()
            if part in lists:
                raise CohortError(
                    f"{root}: {lists[part].name} and {path.name} both list the {part} part; keep those of one version"
                )
            lists[part] = path
    if not lists:
        raise CohortError(
            f"{root}: no such file as train.txt, train_split.txt or train_COVIDx9A.txt;"
            " put the lists of COVIDx beside its folders train and test"
        )
    return lists


def _read_list(path: Path) -> pd.DataFrame:
    lines = pd.Series(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), dtype="string").str.strip()
    lines = lines[lines != ""]
    return lines.where(lines.str.len() <= _LONGEST).str.extract(_LINE).assign(line=lines)


def _plain(names: pd.Series) -> pd.Series:
    return names.str.lower().str.replace(r"[^a-z0-9]", "", regex=True)
