"""MIDRC-RICORD-1C: chest films of COVID-19 patients, from The Cancer Imaging Archive.

- Films: 1,257 in 998 studies of 361 patients of at least 18 years, from four
  sites, DICOM, CR and DX.
- Classes: all patients tested positive (``covid19``); readers call the
  appearance typical, indeterminate or atypical of COVID-19 or negative for
  pneumonia, and its extent mild, moderate or severe.
- Masks: none.
- Layout: ``MIDRC-RICORD-1C-419639-000082/<date>-NA-<study>-<5 digits>/<series>/1-1.dcm``
  from the NBIA Data Retriever, ``MIDRC-RICORD-1C-419639-000082/<5 digits>/<5
  digits>/<uuid>.dcm`` from newer manifests, in any folder; the readers'
  ``1c_mdai_rsna_project_..._annotations_labelgroup_all_2021-01-08-164102.json``
  (or its CSV form) anywhere below the same folder.
- Licence: CC BY-NC 4.0.
- Citation: Tsai et al., Radiology, 2021, doi:10.1148/radiol.2021203957; data
  doi:10.7937/91ah-v663.

Decisions: the folder of the subject is the patient. View, age and sex are
those of the DICOM header; of it nothing else is kept. Labels of readers belong
to studies, by the UID in the header: the adjudicator's counts, else that of
most readers, else, where they disagree, none; ``appearance`` is ``typical``,
``indeterminate``, ``atypical`` or ``negative``, ``severity`` is ``mild`` (1 to
2 zones), ``moderate`` (3 to 4) or ``severe``, and empty where the appearance is
negative. Lateral views are skipped. The clinical table (``.xlsx``) is not read.

Traps: some studies hold several exposures of one film; ``negative`` is a
COVID-19 patient's film without pneumonia, not a normal control; some headers
lack the view; MONOCHROME1 and 2 both occur; some films have wide padding, and
COVIDx crops or drops them; two studies were withdrawn after publication;
COVIDx contains these films.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from patchcxr.data.sources._layout import Imported, finish, read_metadata
from patchcxr.data.sources._published import dicom_age_years, file_tree, first_of_each, joined, skip
from patchcxr.errors import CohortError, ImageError
from patchcxr.io.dicom_file import DICOM_FAULTS, parse_dicom, quiet
from patchcxr.io.radiograph import DICOM_SUFFIXES

LICENCE: Final = "CC BY-NC 4.0"

_SUBJECT: Final = r"^midrc-ricord-1c-"
_KINDS: Final = {
    "typical": "appearance",
    "indeterminate": "appearance",
    "atypical": "appearance",
    "negative": "appearance",
    "mild": "severity",
    "moderate": "severity",
    "severe": "severity",
}
"""What the first word of a reader's label speaks of."""

_COLUMNS: Final = ("StudyInstanceUID", "labelName", "groupName")
_TAGS: Final = ("StudyInstanceUID", "Modality", "ViewPosition", "PatientAge", "PatientSex")
_LATERAL: Final = ("L", "LL", "RL", "LLD", "RLD", "LAT", "LATERAL")


class _Header(NamedTuple):
    study_uid: str
    modality: str
    view: str
    age_years: float
    sex: str


def build(root: str | Path) -> Imported:
    """Cohort of the frontal films below ``root``, with the readers' ``appearance`` and ``severity``.

    Every header is read. Without the file of annotations both columns are
    empty.

    Raises
    ------
    CohortError
        If there is no film in the published layout, or the annotations are
        not those of MD.ai.
    """
    root = Path(root)
    tree = file_tree(root, (*DICOM_SUFFIXES, ".json", ".csv"), depth=3)
    dicom = tree["path"].str.lower().str.endswith(DICOM_SUFFIXES)
    placed = tree["folder_3"].str.contains(_SUBJECT)
    annotated = ~dicom & tree["stem"].str.contains("annotations", case=False)
    skipped = [skip(tree, dicom & ~placed, "not in the folder of a subject of MIDRC-RICORD-1C")]
    files = tree[dicom & placed].reset_index(drop=True)
    headers = [_read_header(Path(path)) for path in files["path"]]
    unread = pd.Series([isinstance(header, str) for header in headers], index=files.index, dtype=bool)
    if unread.any():
        skipped.append(skip(files, unread, "its DICOM header cannot be read; download it again"))
    read = [header for header in headers if not isinstance(header, str)]
    films = files[~unread].reset_index(drop=True)
    films = films.join(pd.DataFrame(read, index=films.index, columns=_Header._fields))
    other = ~films["modality"].isin(["CR", "DX", ""])
    lateral = films["view"].isin(_LATERAL)
    skipped += [skip(films, other, "not a radiograph"), skip(films, lateral & ~other, "lateral view")]
    films = films[~(other | lateral)].reset_index(drop=True)
    films["patient"] = films["path"].map(lambda path: Path(path).parts[-4]).astype("string")
    digits = [films[f"folder_{level}"].str.extract(r"(\d+)$", expand=False).fillna("0") for level in (2, 1)]
    films["study"] = films["patient"] + "-" + digits[0] + "-" + digits[1] + "-" + films["stem"]
    films, repeats = first_of_each(films, "study", "the same study, series and name is in another folder")
    readings = _consensus([_annotations(Path(path)) for path in tree.loc[annotated, "path"]])
    found = {kind: films["study_uid"].map(readings[kind]).astype("string") for kind in ("appearance", "severity")}
    return finish(
        pd.DataFrame(
            {
                "study": films["study"],
                "patient": films["patient"],
                "image": films["path"],
                "label": "covid19",
                "view": films["view"].replace({"": pd.NA}),
                "age_years": films["age_years"],
                "sex": films["sex"].where(films["sex"].isin(["M", "F", "O"])),
                "licence": LICENCE,
                "appearance": found["appearance"],
                "severity": found["severity"].mask(found["appearance"].eq("negative")),
            }
        ),
        "ricord",
        root,
        joined([*skipped, repeats]),
    )


def _read_header(path: Path) -> _Header | str:
    """Header of one file, or why it cannot be read."""
    try:
        with path.open("rb") as stream:
            dataset = parse_dicom(stream, path, header_only=True, tags=_TAGS)
        with quiet():
            uid, modality, view, age, sex = (str(dataset.get(tag) or "").strip() for tag in _TAGS)
    except (*DICOM_FAULTS, ImageError) as error:
        return str(error)
    return _Header(uid, modality.upper(), view.upper(), dicom_age_years(age), sex.upper())


def _annotations(path: Path) -> pd.DataFrame:
    """Study, label and group of every annotation in a file of MD.ai, as JSON or as CSV."""
    if path.suffix.lower() == ".csv":
        return read_metadata(path, _COLUMNS, _COLUMNS)[list(_COLUMNS)]
    try:
        project = json.loads(path.read_bytes())
        labels = {
            label["id"]: (label["name"], group["name"]) for group in project["labelGroups"] for label in group["labels"]
        }
        rows = [
            (annotation["StudyInstanceUID"], *labels[annotation["labelId"]])
            for dataset in project["datasets"]
            for annotation in dataset["annotations"]
        ]
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise CohortError(
            f"{path}: not the annotations of MD.ai ({type(error).__name__}: {' '.join(str(error).split())[:100]});"
            " download the file again, or take it out of the folder"
        ) from None
    return pd.DataFrame(rows, columns=list(_COLUMNS), dtype="string")


def _consensus(tables: Iterable[pd.DataFrame]) -> dict[str, dict[Any, str]]:
    """Appearance and severity of every study: the adjudicator's, else the one that most readers gave."""
    readings = pd.concat([pd.DataFrame(columns=list(_COLUMNS), dtype="string"), *tables], ignore_index=True)
    readings["word"] = readings["labelName"].str.strip().str.split().str[0].str.lower()
    readings["kind"] = readings["word"].map(_KINDS).astype("string")
    readings["adjudicated"] = readings["groupName"].str.contains("adjudication", case=False).fillna(False)
    readings = readings.dropna(subset=["StudyInstanceUID", "kind"])
    keys = ["kind", "StudyInstanceUID"]
    heard = readings.groupby(keys)["adjudicated"].transform("any")
    votes = (
        readings[readings["adjudicated"] | ~heard.astype(bool)]
        .groupby([*keys, "word"])
        .size()
        .rename("votes")
        .reset_index()
    )
    most = votes[votes["votes"].eq(votes.groupby(keys)["votes"].transform("max"))]
    clear = most[~most.duplicated(keys, keep=False)]
    return {
        kind: clear[clear["kind"].eq(kind)].set_index("StudyInstanceUID")["word"].to_dict()
        for kind in ("appearance", "severity")
    }
