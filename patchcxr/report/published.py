"""Numbers that the papers printed, as data, to be put next to one's own.

Values are kept as printed (Oh 2020 prints Jaccard and biomarkers as fractions,
all other scores in percent) and converted on request. Spreads are standard
deviations in Oh 2020 and half-widths of 95 % confidence intervals in Degerli
2021 (printed there as fractions although the values are in percent; converted
here) and Tahir 2021 (called standard deviations in its captions, but they
follow its eq. 2).

Not included: the row of DLA with DenseNet-121, not frozen, in Degerli 2021,
Table 2, which repeats the row of DLA with CheXNet digit by digit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import pandas as pd

from patchcxr.errors import ConfigError

OH: Final = "Oh 2020"
DEGERLI: Final = "Degerli 2021"
TAHIR: Final = "Tahir 2021"
HERTEL: Final = "Hertel 2022"


@dataclass(frozen=True)
class PublishedValue:
    """One number of a paper.

    Attributes
    ----------
    paper, table
        Where it is printed.
    setting
        Method, data or class that it belongs to.
    measure
        Name of the measure as used in this package.
    value
        As printed.
    spread
        Standard deviation or half-width of the interval, in the unit of
        ``value``; None where none is printed.
    unit
        ``percent`` or ``fraction``.
    """

    paper: str
    table: str
    setting: str
    measure: str
    value: float
    spread: float | None = None
    unit: str = "percent"


def _rows(paper: str, table: str, measures: str, rows: dict[str, str], unit: str = "percent") -> list[PublishedValue]:
    """Rows of a printed table: measures and cells are split at blanks, ``a±b`` is value and spread, ``.`` is empty."""
    names = measures.split()
    made = []
    for setting, cells in rows.items():
        for measure, cell in zip(names, cells.split(), strict=True):
            if cell == ".":
                continue
            value, _, spread = cell.partition("±")
            made.append(
                PublishedValue(paper, table, setting, measure, float(value), float(spread) if spread else None, unit)
            )
    return made


_SCORES = "accuracy precision recall f1 specificity"
_BIOMARKER_CLASSES = ("normal", "tuberculosis", "bacterial", "viral", "covid19")


def _biomarker(table: str, measure: str, cells: str) -> list[PublishedValue]:
    rows = dict(zip(_BIOMARKER_CLASSES, cells.split(), strict=True))
    return _rows(OH, table, measure, rows, "fraction")


PUBLISHED: Final[tuple[PublishedValue, ...]] = (
    *_rows(
        OH, "Table V", "lung_jaccard heart_jaccard",
        {"JSRT, preprocessed": "0.955±0.015 0.889±0.054", "NLM(MC), original": "0.932±0.022 .",
         "NLM(MC), preprocessed": "0.943±0.013 ."}, "fraction",
    ),
    *_biomarker("Table VI", "lung_mean", "0.540±0.055 0.523±0.043 0.558±0.054 0.509±0.047 0.506±0.051"),
    *_biomarker("Table VII", "lung_std", "0.139±0.017 0.136±0.016 0.145±0.019 0.165±0.022 0.163±0.022"),
    *_biomarker(
        "Table VIII", "lung_std_without_ap_supine", "0.139±0.017 0.136±0.016 0.143±0.020 0.163±0.025 0.161±0.022"
    ),
    *_biomarker("Table IX", "cardiothoracic_ratio", "0.446±0.051 0.476±0.078 0.472±0.074 0.502±0.064 0.499±0.086"),
    *_rows(OH, "Table X", _SCORES, {"global": "70.7 60.6 60.1 59.3 89.7", "local": "88.9 83.4 85.9 84.4 96.4"}),
    *_rows(
        OH, "Table XI", "sensitivity_normal sensitivity_bacterial sensitivity_tuberculosis sensitivity_viral",
        {"global": "63.2 30 54.5 92.5", "local": "89.5 80 81.8 92.5"},
    ),
    *_rows(
        OH, "Table XII",
        "accuracy sensitivity_normal sensitivity_pneumonia sensitivity_covid19 "
        "precision_normal precision_pneumonia precision_covid19",
        {"COVID-Net": "92.4 95 91 80 91.3 93.8 88.9", "local": "91.9 90 93 100 95.7 90.3 76.9"},
    ),
    *_rows(
        OH, "Table XIII", "lung_jaccard",
        {"U-Net, JSRT": "0.955±0.014", "U-Net, NLM(MC)": "0.941±0.014", "FC-DenseNet103, JSRT": "0.955±0.015",
         "FC-DenseNet103, NLM(MC)": "0.943±0.013"}, "fraction",
    ),
    *_rows(
        OH, "Table XIV", _SCORES,
        {"U-Net": "85.9 82.3 84 82.5 95.3", "FC-DenseNet67": "81.8 73.1 76.6 74.3 91.5",
         "FC-DenseNet103": "88.9 83.4 85.9 84.4 96.4"},
    ),
    *_rows(
        OH, "Table XV", "lung_jaccard",
        {"100 %, preprocessed": "0.943±0.013", "50 %, preprocessed": "0.941±0.018", "30 %, preprocessed": "0.929±0.025",
         "10 %, preprocessed": "0.906±0.045", "100 %, original": "0.932±0.022", "50 %, original": "0.908±0.035",
         "30 %, original": "0.866±0.047", "10 %, original": "0.851±0.058"}, "fraction",
    ),
    *_rows(
        OH, "Table XVI", _SCORES,
        {"without mask": "79.8 72.7 59.7 60.7 91.9", "with mask": "88.9 83.4 85.9 84.4 96.4"},
    ),
    *_rows(OH, "section V-F", "sensitivity", {"abnormal, lung masks alone": "86.9"}),
    *_rows(
        OH, "Table XVII", _SCORES,
        {"patch 112": "78.8 71.2 75.9 72.3 93.2", "patch 224": "88.9 83.4 85.9 84.4 96.4",
         "patch 448": "84.8 78.8 80.1 79.3 94.8"},
    ),
    *_rows(
        DEGERLI, "Table 2", "sensitivity specificity precision f1 f2 accuracy auroc",
        {"U-Net, DenseNet-121": "84.00 99.66 87.77 85.81 84.71 99.22 99.19",
         "U-Net, DenseNet-121, frozen": "82.29 99.61 86.02 84.11 83.01 99.13 99.35",
         "U-Net, Inception-v3": "82.34 99.70 88.87 85.43 83.54 99.21 98.82",
         "UNet++, DenseNet-121": "82.36 99.68 88.07 85.08 83.42 99.19 99.30",
         "UNet++, Inception-v3": "83.49 99.66 87.60 85.45 84.22 99.20 99.18",
         "DLA, Inception-v3": "83.44 99.68 88.18 85.73 84.34 99.22 99.29"},
    ),
    *_rows(
        DEGERLI, "Table 3", "sensitivity specificity precision f1 f2 accuracy",
        {"U-Net, DenseNet-121": "98.37±0.46 98.05±0.24 92.25±0.42 95.21±0.34 97.08±0.27 98.12±0.21",
         "UNet++, DenseNet-121": "96.51±0.66 99.16±0.16 96.44±0.29 96.48±0.29 96.50±0.29 98.66±0.18",
         "DLA, DenseNet-121": "97.09±0.61 99.07±0.17 96.08±0.31 96.58±0.29 96.88±0.27 98.69±0.18",
         "DLA, Inception-v3": "96.71±0.64 99.13±0.16 96.32±0.30 96.52±0.29 96.63±0.28 98.67±0.18"},
    ),
    *_rows(
        DEGERLI, "Table 6", "sensitivity specificity precision f1 f2 accuracy",
        {"U-Net, DenseNet-121, pixels, Group-II": "81.72 99.93 84.74 83.20 82.31 99.85",
         "U-Net, DenseNet-121, films, Group-II": "94.96 99.88 96.40 95.67 95.24 99.73"},
    ),
    *_rows(
        TAHIR, "Table 2", "accuracy iou dice",
        {"lungs, U-Net, DenseNet-121": "99.1±0.22 96.06±0.46 97.96±0.34",
         "lungs, UNet++, DenseNet-121": "99.11±0.22 96.1±0.46 97.98±0.33",
         "lungs, FPN, DenseNet-121": "99.12±0.22 96.11±0.46 97.99±0.33",
         "infection, U-Net, ResNet-18": "98.02±0.8 82.92±2.16 88.1±1.86",
         "infection, UNet++, DenseNet-121": "97.97±0.81 83.05±2.15 88.21±1.85",
         "infection, FPN, Inception-v4": "97.99±0.81 83.08±2.15 88.13±1.86"},
    ),
    *_rows(
        TAHIR, "Table 3", "accuracy precision sensitivity f1 specificity",
        {"U-Net, DenseNet-121": "98.8±0.62 97.98±0.81 99.66±0.33 98.81±0.62 97.94±0.82",
         "UNet++, ResNet-18": "99.23±0.5 100±0 98.46±0.71 99.22±0.5 100±0",
         "UNet++, DenseNet-121": "99.23±0.5 99.14±0.53 99.31±0.48 99.22±0.5 99.14±0.53",
         "FPN, ResNet-18": "98.54±0.69 97.48±0.9 99.66±0.33 98.56±0.68 97.43±0.91",
         "FPN, Inception-v4": "99.23±0.5 99.31±0.48 99.14±0.53 99.22±0.5 99.31±0.48"},
    ),
    *_rows(HERTEL, "section 3.3", "dice", {"ResUnet, V7 Labs lungs": "95.04"}),
)  # fmt: skip
"""Every number, in the order of the papers and tables."""

CONFUSIONS: Final[dict[tuple[str, str], tuple[tuple[int, int], tuple[int, int]]]] = {
    (DEGERLI, "Table 4a"): ((12300, 244), (48, 2903)),
    (DEGERLI, "Table 4b"): ((12439, 105), (103, 2848)),
    (DEGERLI, "Table 7"): ((26534, 31), (44, 829)),
}
"""Printed confusion matrices, rows are the truth (control, COVID-19): U-Net and UNet++ with DenseNet-121 on
Group-I, U-Net with DenseNet-121 on Group-II."""

_SIGNIFICANCE: Final = {
    # rows tuberculosis, bacterial, viral, covid19; columns normal, tuberculosis, bacterial, viral
    "lung_mean": ("*", "- ***", "** - ***", "*** ** *** -"),
    "lung_std": ("-", "* **", "*** *** ***", "*** *** *** -"),
    "lung_std_without_ap_supine": ("-", "- -", "*** *** **", "*** *** *** -"),
    "cardiothoracic_ratio": ("*", "- -", "*** * -", "*** *** * -"),
}


def published(measure: str | None = None, paper: str | None = None, as_fractions: bool = True) -> pd.DataFrame:
    """Return the printed numbers, all or of one measure or paper.

    Parameters
    ----------
    measure
        Only this measure, such as ``lung_jaccard``.
    paper
        Only this paper, such as ``Oh 2020``.
    as_fractions
        Divide percentages by 100, so that they compare with what
        :mod:`patchcxr.measure` returns; False gives them as printed.

    Returns
    -------
    DataFrame
        Columns paper, table, setting, measure, value, spread, unit.

    Raises
    ------
    ConfigError
        If the measure or the paper does not occur.

    Examples
    --------
    >>> float(published(measure="heart_jaccard")["value"].iloc[0])
    0.889
    """
    table = pd.DataFrame([asdict(row) for row in PUBLISHED])
    table["spread"] = table["spread"].astype(float)
    for column, wanted in (("measure", measure), ("paper", paper)):
        if wanted is None:
            continue
        if wanted not in set(table[column]):
            raise ConfigError(f"got the {column} {wanted!r}; choose from {', '.join(sorted(set(table[column])))}")
        table = table[table[column] == wanted]
    if as_fractions:
        percent = table["unit"] == "percent"
        for column in ("value", "spread"):
            table[column] = (table[column] / 100.0).round(12).where(percent, table[column])
        table["unit"] = "fraction"
    return table.reset_index(drop=True)


def published_stars(measure: str) -> pd.DataFrame:
    """Return the stars of Oh 2020, Tables VI to IX: columns group_a, group_b, stars.

    Raises
    ------
    ConfigError
        If the measure is none of the four.
    """
    if measure not in _SIGNIFICANCE:
        raise ConfigError(f"got the measure {measure!r}; choose from {', '.join(_SIGNIFICANCE)}")
    rows = [
        {"group_a": _BIOMARKER_CLASSES[column], "group_b": _BIOMARKER_CLASSES[row], "stars": stars}
        for row, cells in enumerate(_SIGNIFICANCE[measure], start=1)
        for column, stars in enumerate(cells.split())
    ]
    return pd.DataFrame(rows)


def beside_published(ours: pd.DataFrame, paper: str, table: str | None = None) -> pd.DataFrame:
    """Put the paper's value next to each of ours.

    Parameters
    ----------
    ours
        Tidy: columns ``setting``, ``measure`` and ``value`` (fractions), any others
        are kept. Settings are matched by name, exactly.
    paper, table
        Where to look; all tables of the paper when ``table`` is None.

    Returns
    -------
    DataFrame
        Rows and columns of ``ours`` with ``published``, ``published_spread``
        and ``source``; NaN and an empty source where the paper has no number.

    Raises
    ------
    ConfigError
        If a column is missing, the paper is unknown, or a setting and measure
        occur in several tables (then name the table).
    """
    missing = [name for name in ("setting", "measure", "value") if name not in ours.columns]
    if missing:
        raise ConfigError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, ours.columns))}")
    theirs = published(paper=paper)
    if table is not None:
        theirs = theirs[theirs["table"] == table]
    relevant = theirs.merge(ours[["setting", "measure"]].drop_duplicates(), on=["setting", "measure"])
    twice = relevant[relevant.duplicated(["setting", "measure"], keep=False)]
    if len(twice):
        raise ConfigError(
            f"{paper} prints {twice['measure'].iloc[0]} of {twice['setting'].iloc[0]!r} in "
            f"{' and '.join(dict.fromkeys(twice['table']))}; name the table"
        )
    found = relevant.assign(source=relevant["paper"] + ", " + relevant["table"]).rename(
        columns={"value": "published", "spread": "published_spread"}
    )[["setting", "measure", "published", "published_spread", "source"]]
    merged = ours.merge(found, on=["setting", "measure"], how="left")
    merged["source"] = merged["source"].fillna("")
    return merged
