"""The splits of the papers, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pandas as pd

from patchcxr.config import config
from patchcxr.data.groups import Groups, patient_groups
from patchcxr.data.splits._deal import DRAWS, SPLITS, deal
from patchcxr.data.splits.balance import ALL, largest_departure, split_balance
from patchcxr.data.splits.checks import (
    check_classes,
    check_leaks,
    missing_classes,
    says_leaks_allowed,
    unknown_patients,
)
from patchcxr.data.splits.patients import as_shares, folds_by_patient, folds_by_source, split_by_patient
from patchcxr.errors import ConfigError, SplitError

Kind = Literal["hold-out", "folds", "predefined", "sources"]


@config
class SplitScheme:
    """A way to split a cohort.

    Attributes
    ----------
    kind
        ``hold-out`` by patient; ``folds`` by patient for cross-validation;
        ``predefined`` takes the column ``split`` as it is; ``sources`` leaves
        one source out at a time.
    reference
        Where the scheme comes from.
    fractions
        Hold-out: shares of the films for train, validation and test.
    parts
        Hold-out: other shares for the films of ``source`` or ``source/label``.
    n_folds
        Folds: how many.
    validation_fraction
        Folds and sources: share of the films outside the fold that is
        validation; see :func:`patchcxr.data.splits.iterate_folds`.
    complete
        Predefined: films without a split are shared out in the proportion of
        the films that have one, by patient and class.
    """

    kind: Kind
    reference: str = ""
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    parts: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    n_folds: int = 5
    validation_fraction: float = 0.0
    complete: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("hold-out", "folds", "predefined", "sources"):
            raise ConfigError(f"kind is {self.kind!r}; expected hold-out, folds, predefined or sources")
        if self.kind == "folds" and self.n_folds < 2:
            raise ConfigError(f"n_folds is {self.n_folds}; expected at least 2")
        if not 0 <= self.validation_fraction < 1:
            raise ConfigError(f"validation_fraction is {self.validation_fraction}; expected a share from 0 to below 1")
        for shares in (self.fractions, *self.parts.values()):
            as_shares(shares)


SCHEMES: Final[dict[str, SplitScheme]] = {
    "oh2020": SplitScheme(kind="hold-out", reference="Oh 2020, Table III", fractions=(0.7, 0.1, 0.2)),
    "oh2020_segmentation": SplitScheme(kind="hold-out", reference="Oh 2020, Table I", fractions=(0.8, 0.2, 0.0)),
    "degerli2021": SplitScheme(kind="folds", reference="Degerli 2021, Table 1 (Group-I)", n_folds=5),
    "degerli2021_group2": SplitScheme(kind="predefined", reference="Degerli 2021, Table 5 (Group-II)", complete=True),
    "tahir2021": SplitScheme(
        kind="folds", reference="Tahir 2021, section 3.4 and Table 1", n_folds=5, validation_fraction=0.2
    ),
    "hertel2022": SplitScheme(
        kind="hold-out",
        reference="Hertel 2022, section 3.2",
        fractions=(0.8, 0.1, 0.1),
        parts={"bimcv/covid19": (1.0, 0.0, 0.0), "covidx/covid19": (0.0, 0.5, 0.5)},
    ),
    "hertel2022_segmentation": SplitScheme(
        kind="hold-out", reference="Hertel 2022, Table 1", fractions=(0.8, 0.2, 0.0)
    ),
    "predefined": SplitScheme(kind="predefined", reference="the split that the data set was published with"),
    "leave_one_source_out": SplitScheme(
        kind="sources", reference="test on a source that training never saw", validation_fraction=0.2
    ),
}
"""Schemes by name.

``degerli2021_group2``: ChestX-ray14 keeps its own split; the classes added to
it are divided in the same proportion.
``hertel2022``: COVID-19 films of BIMCV train only, those of COVIDx are halved
between validation and test, and all others are divided 0.8 / 0.1 / 0.1; the
paper does not state the proportion for RICORD, which gets the same.
The papers count films, and only Hertel 2022 says that patients are kept
apart; here they always are.
"""


@dataclass(frozen=True)
class SplitResult:
    """A split and how even it is.

    Attributes
    ----------
    table
        Copy of the cohort with ``split`` (hold-out, predefined) or ``fold``
        (folds, sources) filled, and the other of the two empty.
    balance
        See :func:`patchcxr.data.splits.split_balance`.
    folds
        Name of each fold; empty without folds.
    notes
        What a reader of the scores must know, in words.
    """

    table: pd.DataFrame
    balance: pd.DataFrame
    folds: tuple[str, ...]
    notes: tuple[str, ...]


def make_split(
    table: pd.DataFrame,
    scheme: str | SplitScheme,
    seed: int = 0,
    groups: Groups | None = None,
    allow_leaks: bool | str = False,
    stratify: str | None = "label",
) -> SplitResult:
    """Split a cohort by one of :data:`SCHEMES`, or by a scheme of one's own.

    Parameters
    ----------
    table
        Cohort.
    scheme
        Name of a scheme, or a scheme.
    seed
        Another seed gives another split; the order of the rows has no influence.
    groups
        Duplicate group of each film, so that copies stay on one side even
        where patients are not known (see
        :func:`patchcxr.data.groups.patient_groups`).
    allow_leaks
        ``"patients may be on both sides"`` accepts a predefined split, or
        sources, that share patients or copies.
    stratify
        Column of the classes; ``None`` for films without classes.

    Raises
    ------
    SplitError
        If the scheme is unknown, the split would leak, or a class has too few
        patients for it.
    """
    scheme = split_scheme(scheme)
    says_leaks_allowed(allow_leaks)
    names: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    if scheme.kind == "hold-out":
        made = _hold_out(table, scheme, seed, groups, stratify)
    elif scheme.kind == "folds":
        made = folds_by_patient(table, scheme.n_folds, stratify, seed, groups)
        names = tuple(f"fold {number}" for number in range(scheme.n_folds))
    elif scheme.kind == "sources":
        made, names = folds_by_source(table)
        leaks = check_leaks(made, "source", groups, allow_leaks, where="leaving one source out")
    else:
        made, leaks = _predefined(table, scheme, seed, groups, allow_leaks, stratify)
    column = "fold" if names else "split"
    other, dtype = ("split", "string") if names else ("fold", "Int64")
    made[other] = pd.Series(pd.NA, index=made.index, dtype=dtype)
    balance = split_balance(made, column, stratify)
    notes = [
        *leaks,
        *_notes(made, column, names, stratify),
        *_patient_notes(made, groups),
        _departure(balance, column, names),
    ]
    return SplitResult(made, balance, names, tuple(notes))


def split_scheme(scheme: str | SplitScheme) -> SplitScheme:
    """Scheme of this name, or the scheme itself.

    Raises
    ------
    SplitError
        If no scheme has this name.
    """
    if isinstance(scheme, SplitScheme):
        return scheme
    if scheme not in SCHEMES:
        raise SplitError(f"split scheme is {scheme!r}; expected one of {', '.join(SCHEMES)}")
    return SCHEMES[scheme]


def _hold_out(
    table: pd.DataFrame, scheme: SplitScheme, seed: int, groups: Groups | None, stratify: str | None
) -> pd.DataFrame:
    part = _parts(table, scheme, groups)
    if (part == "").all():
        return split_by_patient(table, scheme.fractions, stratify, seed, groups, DRAWS)
    keys = patient_groups(table, groups)
    made = table.copy()
    split = np.empty(len(table), dtype=object)
    for name in sorted(set(part)):
        rows = (part == name).to_numpy()
        shares = as_shares(scheme.parts.get(name, scheme.fractions))
        split[rows] = deal(table[rows], shares, stratify, seed, keys[rows], DRAWS).map(dict(enumerate(SPLITS)))
    made["split"] = pd.array(split, dtype="string")
    if stratify is not None:
        check_classes(made, stratify)
    return made


def _parts(table: pd.DataFrame, scheme: SplitScheme, groups: Groups | None) -> pd.Series:
    """Name of the part of ``scheme.parts`` that each film's group belongs to; empty for most."""
    source = table["source"].fillna("") if "source" in table else pd.Series("", index=table.index)
    label = table["label"].fillna("") if "label" in table else pd.Series("", index=table.index)
    full = source.astype(str) + "/" + label.astype(str)
    part = full.where(full.isin(list(scheme.parts)), source.where(source.isin(list(scheme.parts)), "")).astype(str)
    # A group with films in several parts, or in one and none, goes with the last in the alphabet.
    return part.groupby(patient_groups(table, groups)).transform("max")


def _predefined(
    table: pd.DataFrame,
    scheme: SplitScheme,
    seed: int,
    groups: Groups | None,
    allow_leaks: bool | str,
    stratify: str | None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    split = table["split"].astype("string") if "split" in table else pd.Series(pd.NA, index=table.index, dtype="string")
    wrong = sorted(set(split.dropna()) - set(SPLITS))
    if wrong:
        raise SplitError(f"column 'split' holds {', '.join(wrong)}; expected {', '.join(SPLITS)} or an empty cell")
    if not (split.eq("train").any() and split.eq("test").any()):
        raise SplitError(
            f"column 'split' holds {', '.join(sorted(set(split.dropna()))) or 'nothing'}; a predefined split needs"
            " films in train and in test, so fill in the split that the data set was published with"
        )
    made = table.assign(split=split)
    leaks = check_leaks(made, "split", groups, allow_leaks, where="predefined split")
    if not scheme.complete or split.notna().all():
        return made, leaks
    keys = patient_groups(table, groups)
    # Films of a group that has a split already follow it.
    given = pd.DataFrame({"group": keys, "split": split}).dropna().sort_values(["group", "split"])
    made["split"] = split.fillna(keys.map(given.drop_duplicates("group").set_index("group")["split"]))
    rest = made["split"].isna()
    if rest.any():
        shares = split.value_counts(normalize=True).reindex(list(SPLITS), fill_value=0).to_numpy(dtype=float)
        side = deal(table[rest], shares, stratify, seed, keys[rest], DRAWS)
        made.loc[rest, "split"] = side.map(dict(enumerate(SPLITS))).to_numpy(dtype=object)
    return made, leaks


def _notes(table: pd.DataFrame, column: str, names: tuple[str, ...], stratify: str | None) -> list[str]:
    unused = int(table[column].isna().sum())
    notes = [f"{unused} films have no {column} and are not used"] if unused else []
    if stratify is None:
        return notes
    if column == "split":
        notes += [
            f"split {split!r} has no film of class {', '.join(map(str, absent))}"
            for split, absent, _ in missing_classes(table, stratify)
        ]
    else:
        folds_of = table.groupby(stratify)["fold"].agg(["nunique", "first"])
        notes += [
            f"class {name!r} occurs in {names[int(fold)]} alone, so no network is trained on it when that is the test"
            for name, count, fold in folds_of.itertuples()
            if count == 1
        ]
    return notes


def _patient_notes(table: pd.DataFrame, groups: Groups | None) -> list[str]:
    if groups is None:
        remedy = "give the duplicate groups of the films (patchcxr.data.duplicates), or fill in the column 'patient'"
    else:
        remedy = "copies are kept together, but other films of one person are not found that way"
    return [
        f"source {source!r}: the patients of {films} films are not known, so films of one person may be on both sides;"
        f" {remedy}"
        for source, films in unknown_patients(table).items()
    ]


def _departure(balance: pd.DataFrame, column: str, names: tuple[str, ...]) -> str:
    row = largest_departure(balance)
    what = f"class {row['label']!r}" if row["label"] != ALL else f"source {row['source']!r}"
    side = names[int(row[column])] if names else f"{column} {row[column]!r}"
    return (
        f"largest departure: {what} is {100 * row['share']:.1f} % of the films in {side}"
        f" and {100 * row['share_of_all']:.1f} % of all"
    )
