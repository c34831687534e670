"""Kermany's chest films of children, and CoronaHack, which adds COVID-19 to them.

- Films: 5,856 JPEG of many sizes, anterior-posterior, of children of 1 to 5
  years from one hospital in Guangzhou; published as 5,216 ``train``, 624
  ``test`` and 16 ``val``. CoronaHack has 5,910: these and films of grown-ups.
- Classes: ``NORMAL`` and ``PNEUMONIA``; the file name tells bacteria from
  virus. CoronaHack also has COVID-19, SARS, Streptococcus and ARDS.
- Masks: none.
- Layout: ``chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/``, with names such
  as ``person1_bacteria_1.jpeg``, ``IM-0115-0001.jpeg`` and
  ``NORMAL2-IM-0222-0001.jpeg``, or, in the later release on Mendeley Data,
  ``BACTERIA-7422-0001.jpeg``, ``VIRUS-...`` and ``NORMAL-...``; CoronaHack:
  ``Chest_xray_Corona_Metadata.csv`` with
  ``Coronahack-Chest-XRay-Dataset/{train,test}/``; also ``labels.csv``
  (filename, label, age_group) with ``images/``.
- Licence: CC BY 4.0.
- Citation: Kermany et al., Cell 172:1122-1131, 2018; films
  doi:10.17632/rscbjbr9sj. CoronaHack: P. Govi, Kaggle, 2020.

Decisions: ages are not given film by film, so ``age_years`` stays empty and
``age_group`` says ``paediatric``. Films that share a number are taken for one
child's: ``person7`` whether bacteria or virus, ``IM-0439`` with its repeats
0001-0001 and 0001-0002. If the two series were counted separately this joins
two children, which harms less than parting one. ``NORMAL2-IM`` numbers are
another batch and are kept apart. The label of CoronaHack is its finest;
ARDS and Stress-Smoking are ``other``.

Traps: the 16 ``val`` films are too few to choose a network by, and person
numbers occur on both sides of ``train`` and ``test``, so the published parts
stay in ``published_split`` and ``split`` is empty. Small children against
grown-ups of other sets: a network can tell age. Archives may hold every film
twice (``chest_xray/chest_xray``); second copies are skipped. CoronaHack's
COVID-19 films come from Cohen's collection: duplicates, lateral views and CT
slices among them, and none is in its test part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.sources._layout import Imported, finish, map_labels, read_metadata
from patchcxr.data.sources._published import SPLIT_NAMES
from patchcxr.data.sources._search import find, images_by_stem, named, stems
from patchcxr.errors import CohortError, LabelError
from patchcxr.io.folders import files_below
from patchcxr.io.radiograph import IMAGE_SUFFIXES

LICENCE = "CC BY 4.0"
CORONAHACK: Final = "Chest_xray_Corona_Metadata.csv"

LABELS: Final = {
    "normal": "normal",
    "pneumonia": "pneumonia",
    "pnemonia": "pneumonia",
    "bacteria": "bacterial",
    "bacterial": "bacterial",
    "streptococcus": "bacterial",
    "virus": "viral",
    "viral": "viral",
    "sars": "viral",
    "covid-19": "covid19",
    "ards": "other",
    "stress-smoking": "other",
}
"""Label of each class, in lower case; the misspelling is CoronaHack's."""

_PARTS: Final = ("train", "val", "test")
_PERSON: Final = r"(?i)^(?:(person\d+)_|(?:bacteria|virus|normal)-(\d+)-|((?:normal2-)?im-\d+)-)"
_CAUSE: Final = r"(?i)(?:^|_)(bacteria|virus)(?:[_-]|$)"


def build(root: str | Path) -> Imported:
    """Cohort of the films below ``root``; ``age_group`` and ``published_split`` are extra columns.

    Raises
    ------
    CohortError
        If no layout of this set is recognised, or no film is there.
    LabelError
        If a class or a folder of one is not in :data:`LABELS`.
    """
    root = Path(root)
    files = files_below(root)
    if metadata := named(files, CORONAHACK):
        return _coronahack(root, files, metadata)
    if (root / "labels.csv").is_file():
        return _copy(root, files)
    return _folders(root, files)


def _folders(root: Path, files: list[Path]) -> Imported:
    paths = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    table = pd.DataFrame(
        {
            "image": map(str, paths),
            "stem": [path.stem for path in paths],
            "class": [path.parent.name.lower() for path in paths],
            "published_split": [SPLIT_NAMES.get(path.parent.parent.name.lower()) for path in paths],
        },
        dtype="string",
    )
    elsewhere = table["published_split"].isna()
    skipped = [(name, "not in a class folder of train, val or test") for name in table.loc[elsewhere, "image"]]
    table = table[~elsewhere].reset_index(drop=True)
    if table.empty:
        raise CohortError(
            f"{root}: no such file as {CORONAHACK} or labels.csv, and no film in train, val or test/NORMAL, PNEUMONIA;"
            " give the folder of the data set in its published layout"
        )
    unknown = sorted(set(table["class"]) - {"normal", "pneumonia"})
    if unknown:
        raise LabelError(f"{root}: class folders {unknown} are unknown; expected NORMAL, PNEUMONIA")
    table["study"] = table["published_split"] + "-" + table["stem"]
    copies = table["study"].duplicated()
    skipped += [(name, "second film of this name; the first is kept") for name in table.loc[copies, "image"]]
    table = table[~copies].reset_index(drop=True)
    cause = table["stem"].str.extract(_CAUSE)[0].str.lower().where(table["class"] == "pneumonia")
    return finish(
        pd.DataFrame(
            {
                "study": table["study"],
                "patient": _patients(table["stem"]),
                "image": table["image"],
                "label": cause.fillna(table["class"]).map(LABELS),
                "view": "AP",
                "licence": LICENCE,
                "age_group": "paediatric",
                "published_split": table["published_split"],
            }
        ),
        "kermany",
        root,
        skipped,
    )


def _coronahack(root: Path, files: list[Path], path: Path) -> Imported:
    virus, cause = "Label_2_Virus_category", "Label_1_Virus_category"
    columns = ("X_ray_image_name", "Label", "Dataset_type", virus, cause)
    metadata = read_metadata(path, columns, columns)
    classes = metadata[virus].fillna(metadata[cause]).fillna(metadata["Label"]).str.strip().str.lower()
    part = metadata["Dataset_type"].str.strip().str.lower()
    study = stems(metadata["X_ray_image_name"])
    image = pd.Series(pd.NA, index=study.index, dtype="string")
    for name in _PARTS:
        image = image.mask(part == name, find(study, images_by_stem(files, folder=name)))
    patient = _patients(study)
    child = patient.notna()
    return finish(
        pd.DataFrame(
            {
                "study": part + "-" + study,
                "patient": patient,
                "image": image,
                "label": map_labels(classes, LABELS, path),
                "view": pd.Series("AP", index=study.index, dtype="string").where(child),
                "licence": LICENCE,
                "age_group": pd.Series("paediatric", index=study.index, dtype="string").where(child),
                "published_split": part.map(SPLIT_NAMES),
            }
        ),
        "kermany",
        root,
    )


def _copy(root: Path, files: list[Path]) -> Imported:
    path = root / "labels.csv"
    metadata = read_metadata(path, ("filename", "label"), ("filename", "label", "age_group"))
    folder = root / "images"
    study = stems(metadata["filename"])
    return finish(
        pd.DataFrame(
            {
                "study": study,
                "image": find(study, images_by_stem(files, folder="images")),
                "label": map_labels(metadata["label"], LABELS, path),
                "view": "AP",
                "licence": LICENCE,
                "age_group": metadata.get("age_group", pd.NA),
            }
        ),
        "kermany",
        folder,
    )


def _patients(names: pd.Series) -> pd.Series:
    groups = names.str.extract(_PERSON)
    number = groups[0].str.lower().fillna(groups[1]).fillna(groups[2].str.upper())
    return number.astype("string")
