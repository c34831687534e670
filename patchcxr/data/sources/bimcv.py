"""BIMCV-COVID19+ of the Valencian Region, iterations 1 and 2.

- Films: PNG of up to 16 bits, full size, CR and DX; 1,380 CR and 885 DX (and
  163 CT) studies of 1,311 patients in iteration 1; of iterations 1 and 2
  together not stated in the readme.
- Classes: patients with a positive SARS-CoV-2 test; a film is ``covid19``,
  ``normal``, ``pneumonia`` or ``other`` as decided below.
- Masks: none (10 films have outlines in another form, not read here).
- Layout: ``covid19_posi/`` with ``participants.tsv``,
  ``sub-S03044/sub-S03044_sessions.tsv``,
  ``sub-S03044/ses-E06152/mod-rx/sub-S03044_ses-E06152_run-1_bp-chest_vp-pa_dx.png``
  and a ``.json`` of DICOM elements beside it,
  ``derivatives/labels/labels_covid*_posi.tsv`` (labels of reports) and
  ``derivatives/EHR/sil_reg_covid_posi.tsv`` (tests).
- Licence: BIMCV-COVID19 Dataset Research Use Agreement: research only, not for
  redistribution.
- Citation: de la Iglesia Vaya et al., arXiv:2006.01174, 2020.

Decisions: a film within 14 days of a positive test of its patient is
``covid19`` (``label_source`` is ``test``). Else the labels of its report
decide (``report``): ``COVID 19`` is ``covid19``, ``normal`` alone is
``normal``, any pneumonia is ``pneumonia``, anything else ``other``; films
whose report says no more than ``COVID 19 uncertain``, and films without
report, are skipped. Lateral views, CT and other parts of the body are skipped.
Age and sex are those of the JSON file, else of the table of participants,
which lists the ages at all sessions (the first is taken).

Traps: PNG files hold stored values, so that those of ``MONOCHROME1`` are
negatives, but ``photometric`` is only the word of the DICOM header, and not
every PNG need follow it: let the pixels decide (:mod:`patchcxr.data.audit`);
window and LUT of the JSON file are not applied, so that a PNG can look flat; at least 30 films
named ``vp-pa`` or ``vp-ap`` are lateral; a ``covid19`` film by test can look
normal; BIMCV-COVID19- (negative) has the same layout and is refused
here; QaTa-COV19, COVID-QU-Ex and COVIDx contain these
films.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pandas as pd

from patchcxr.data.sources._layout import Imported, finish, read_metadata
from patchcxr.data.sources._published import dicom_age_years, file_tree, first_of_each, joined, skip
from patchcxr.errors import CohortError

LICENCE: Final = "BIMCV-COVID19 research use agreement: research only, not for redistribution"
TEST_WINDOW_DAYS: Final = 14
"""A film this close to a positive test, before or after it, shows a patient with COVID-19."""

_NAME: Final = (
    r"^(?P<patient>sub-[A-Za-z0-9]+)_(?P<session>ses-[A-Za-z0-9]+)(?:_[a-z]+-[A-Za-z0-9]+)*?"
    r"_bp-(?P<body>[A-Za-z]+)(?:_vp-(?P<view>[A-Za-z-]+))?_(?P<modality>[A-Za-z]+)$"
)
_VIEWS: Final = {"pa": "PA", "ap": "AP"}
_LATERAL: Final = ("ll", "rl", "l", "lat", "lateral")
_UNCERTAIN: Final = "COVID 19 uncertain"
_NO_FINDING: Final = frozenset({"unchanged", "exclude", "suboptimal study"})
_LARGEST_JSON: Final = 4 * 2**20


def build(root: str | Path) -> Imported:
    """Cohort of the frontal chest films below ``root``.

    The columns ``session``, ``modality``, ``photometric``, ``report_labels``
    (joined by ``|``), ``label_source`` and ``days_since_first_positive`` are
    extra.

    Raises
    ------
    CohortError
        If there is neither a table of report labels nor one of tests, if the
        only labels are those of the negative set, or if all images are missing.
    """
    root = Path(root)
    tree = file_tree(root, (".png", ".tsv", ".txt", ".gz"), depth=2)
    named = tree["path"].map(lambda path: Path(path).name.lower()).astype("string")
    tables = named.str.endswith((".tsv", ".txt"))
    reports = tree[tables & tree["folder_1"].eq("labels") & named.str.startswith("labels")]
    negative = reports["stem"].str.contains("neg", case=False)
    tests = tree[tables & tree["folder_1"].eq("ehr") & named.str.startswith("sil_reg_covid")]
    if reports[~negative].empty and tests.empty:
        got = "those of BIMCV-COVID19- (negative)" if negative.any() else "none"
        raise CohortError(
            f"{root}: no labels of BIMCV-COVID19+ (got {got}); unpack covid19_posi_head.tar.gz, which holds"
            " derivatives/labels and derivatives/EHR, into the folder of the data set"
        )
    films, skipped = _films(tree[~tables])
    films = films.join(
        pd.DataFrame([_header(Path(path)) for path in films["path"]], index=films.index, columns=_HEADER)
    )
    people = _concat(tree[named.eq("participants.tsv")], ("participant", "age", "gender")).drop_duplicates(
        "participant"
    )
    films = films.merge(people, left_on="patient", right_on="participant", how="left")
    listed = (
        films["age"].astype("string").str.extract(r"(\d+(?:\.\d+)?)", expand=False).astype("Float64").astype("float64")
    )
    reported = _report_labels(reports[~negative])
    films["report"] = pd.Series([reported.get(name, []) for name in films["session"]], index=films.index, dtype=object)
    dates = _concat(tree[named.str.endswith("_sessions.tsv")], ("session_id", "study_date"))
    dates = dates.drop_duplicates("session_id").set_index("session_id")["study_date"]
    films["date"] = pd.to_datetime(
        films["session"].map(dates).astype("string").str[:8], format="%Y%m%d", errors="coerce"
    )
    films = films.join(_test_days(films, tests))
    films["label"], films["label_source"] = _labels(films)
    unknown = films["label"].isna()
    skipped.append(skip(films, unknown, "no report that decides, and no positive test within 14 days"))
    films = films[~unknown]
    return finish(
        pd.DataFrame(
            {
                "study": films["stem"],
                "patient": films["patient"],
                "image": films["path"],
                "label": films["label"],
                "view": films["view"].str.lower().map(_VIEWS).astype("string"),
                "age_years": films["age_years"].fillna(listed),
                "sex": films["sex"]
                .fillna(films["gender"])
                .str.strip()
                .str.upper()
                .where(lambda sex: sex.isin(["M", "F", "O"])),
                "licence": LICENCE,
                "session": films["session"],
                "modality": films["modality"].str.upper(),
                "photometric": films["photometric"].astype("string"),
                "report_labels": films["report"].str.join("|").astype("string").replace({"": pd.NA}),
                "label_source": films["label_source"],
                "days_since_first_positive": films["since_first"],
            }
        ),
        "bimcv",
        root,
        joined(skipped),
    )


def _films(files: pd.DataFrame) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Frontal chest films among the image files, with the parts of their names; and what was left out."""
    volume = files["path"].str.lower().str.endswith(".gz")
    skipped = [skip(files, volume & files["folder_1"].eq("mod-ct"), "CT")]
    files = files[~volume].reset_index(drop=True)
    files = files.join(files["stem"].str.extract(_NAME).astype("string"))
    strange = files["patient"].isna() | ~files["folder_1"].eq("mod-rx")
    body = ~strange & ~files["body"].str.lower().eq("chest").fillna(False)
    lateral = ~strange & ~body & files["view"].str.lower().isin(_LATERAL)
    skipped += [
        skip(files, strange, "not a film of the published name in a folder mod-rx"),
        skip(files, body, "another part of the body than the chest"),
        skip(files, lateral, "lateral view"),
    ]
    films, repeats = first_of_each(files[~(strange | body | lateral)], "stem", "the same name is in another folder")
    return films, [*skipped, repeats]


def _concat(files: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """The named columns of several tables, as text, in one; without rows where there is no table."""
    read = [read_metadata(Path(path), columns, columns, sep="\t")[list(columns)] for path in files["path"]]
    return pd.concat(read, ignore_index=True) if read else pd.DataFrame(columns=list(columns), dtype="string")


def _report_labels(files: pd.DataFrame) -> dict[str, list[str]]:
    """Labels of every session's report: ``"['COVID 19', ' pneumonia']"`` becomes a list."""
    table = _concat(files, ("ReportID", "Labels")).dropna()
    found = table["Labels"].str.findall(r"['\"]\s*([^'\"]+?)\s*['\"]")
    return dict(zip(table["ReportID"], found, strict=True))


def _test_days(films: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """Days from the nearest (``from_nearest``) and the first (``since_first``) positive test to the film."""
    tests = _concat(files, ("participant", "date", "result"))
    tests = tests[tests["result"].str.strip().str.upper().eq("POSITIVO").fillna(False)]
    tests = tests.assign(test=pd.to_datetime(tests["date"].str.strip(), format="%d.%m.%Y", errors="coerce"))
    pairs = (
        films[["patient", "date"]]
        .reset_index()
        .merge(tests[["participant", "test"]].dropna(), left_on="patient", right_on="participant")
    )
    pairs["days"] = (pairs["date"] - pairs["test"]).dt.days
    by_film = pairs.assign(distance=pairs["days"].abs()).groupby("index")
    days = pd.DataFrame({"from_nearest": by_film["distance"].min(), "since_first": by_film["days"].max()})
    return days.reindex(films.index).astype("float64")


def _labels(films: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    reported = films["report"].map(_label_of_report).astype("string")
    tested = films["from_nearest"].le(TEST_WINDOW_DAYS)
    source = pd.Series("report", index=films.index, dtype="string").where(reported.notna())
    return reported.mask(tested, "covid19"), source.mask(tested, "test")


def _label_of_report(labels: list[str]) -> str | None:
    found = set(labels) - _NO_FINDING
    if "COVID 19" in found:
        return "covid19"
    if any("pneumonia" in label for label in found):
        return "pneumonia"
    if not found or _UNCERTAIN in found:
        return None
    return "normal" if found == {"normal"} else "other"


_HEADER: Final = ["age_years", "sex", "photometric"]


def _header(image: Path) -> tuple[float, str | None, str | None]:
    """Age, sex and photometric interpretation of the JSON file beside an image; empty where it says nothing."""
    path = image.with_suffix(".json")
    try:
        elements = json.loads(path.read_bytes()) if path.stat().st_size <= _LARGEST_JSON else {}
    except (OSError, ValueError, RecursionError):
        elements = {}

    def element(tag: str) -> Any:
        try:
            value = elements[tag]["Value"][0]
        except (KeyError, IndexError, TypeError):
            return None
        return str(value).strip()

    return dicom_age_years(element("00101010")), element("00100040"), element("00280004")
