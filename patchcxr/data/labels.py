"""Label schemes: how the labels of a cohort become the classes of an experiment."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from patchcxr.config import config
from patchcxr.errors import ConfigError, LabelError
from patchcxr.types import IntArray

CANONICAL_LABELS: Final = (
    "normal",
    "bacterial",
    "tuberculosis",
    "viral",
    "covid19",
    "pneumonia",
    "nodule",
    "fungal",
    "other",
)
"""Labels of the bundled sources; ``pneumonia`` has no stated cause, ``viral`` excludes COVID-19."""


@config
class LabelScheme:
    """A mapping from labels to ordered classes.

    Attributes
    ----------
    name
        Name of the scheme.
    classes
        Classes in the order of a network's outputs.
    mapping
        Class of every label; ``None`` leaves films with that label out.
    """

    name: str
    classes: tuple[str, ...]
    mapping: dict[str, str | None]

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"label scheme {self.name!r}: classes are {self.classes}; expected different names")
        unknown = sorted({target for target in self.mapping.values() if target is not None} - set(self.classes))
        if unknown:
            raise ConfigError(
                f"label scheme {self.name!r}: mapping leads to {unknown}; expected one of {list(self.classes)} or null"
            )
        bare = [name for name in self.classes if name not in self.mapping.values()]
        if bare:
            raise ConfigError(f"label scheme {self.name!r}: no label leads to {bare}; map one or remove the class")

    def encode(self, class_names: pd.Series) -> IntArray:
        """Position of each class name in ``classes``, as int64.

        Raises
        ------
        LabelError
            If a name is not a class of this scheme.
        """
        wrong = sorted(set(class_names.fillna("(empty)")) - set(self.classes))
        if wrong:
            raise LabelError(f"classes {wrong} are not in scheme {self.name!r}; expected {list(self.classes)}")
        position = {name: index for index, name in enumerate(self.classes)}
        return np.array([position[name] for name in class_names], dtype=np.int64)


def _scheme(name: str, classes: tuple[str, ...], **mapping: str | None) -> LabelScheme:
    complete = {label: mapping.get(label, label if label in classes else None) for label in CANONICAL_LABELS}
    return LabelScheme(name=name, classes=classes, mapping=complete)


SCHEMES: Final[dict[str, LabelScheme]] = {
    "four_class": _scheme("four_class", ("normal", "bacterial", "tuberculosis", "viral"), covid19="viral"),
    "five_class": _scheme("five_class", ("normal", "bacterial", "tuberculosis", "viral", "covid19")),
    "covid_net": _scheme(
        "covid_net",
        ("normal", "pneumonia", "covid19"),
        bacterial="pneumonia",
        viral="pneumonia",
        fungal="pneumonia",
    ),
    "binary": _scheme(
        "binary",
        ("other", "covid19"),
        **dict.fromkeys([label for label in CANONICAL_LABELS if label != "covid19"], "other"),
    ),
}
"""Schemes by name.

``four_class``: Oh 2020; viral pneumonia takes in COVID-19. Left out: nodule,
fungal, other, and pneumonia of unstated cause.
``five_class``: the same with COVID-19 apart.
``covid_net``: Oh 2020, comparison with COVID-Net; pneumonia of any cause
(tuberculosis, nodule and other are left out).
``binary``: COVID-19 against everything else.
"""


def label_scheme(scheme: str | LabelScheme) -> LabelScheme:
    """Scheme of this name, or the scheme itself.

    Raises
    ------
    LabelError
        If no scheme has this name.
    """
    if isinstance(scheme, LabelScheme):
        return scheme
    if scheme not in SCHEMES:
        raise LabelError(f"label scheme is {scheme!r}; expected one of {', '.join(SCHEMES)}")
    return SCHEMES[scheme]


def relabel(table: pd.DataFrame, scheme: str | LabelScheme = "four_class") -> pd.DataFrame:
    """Give every study of a cohort its class.

    Parameters
    ----------
    table
        Cohort with a ``label`` column.
    scheme
        Name of a scheme, or a scheme.

    Returns
    -------
    Copy of the table, index reset, with the column ``class_name``. Studies
    whose label maps to ``None`` are left out.

    Raises
    ------
    LabelError
        If a label is empty or the scheme does not know it. The message names
        the first such row and how many there are.
    """
    scheme = label_scheme(scheme)
    if "label" not in table:
        raise LabelError("cohort has no column 'label'; add it, or use the films for inference only")
    known = table["label"].isin(list(scheme.mapping)).fillna(False).to_numpy(dtype=bool)
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        label = table["label"].iloc[row]
        got = "is empty" if pd.isna(label) else f"has {str(label)!r}"
        raise LabelError(
            f"row {row + 1} (study {str(table['study'].iloc[row])!r}): column 'label' {got}"
            f" ({int((~known).sum())} such rows); scheme {scheme.name!r} knows {', '.join(scheme.mapping)};"
            " correct the label, or map it to a class or to null"
        )
    classes = table["label"].map(scheme.mapping)
    kept = classes.notna().to_numpy(dtype=bool)
    relabelled = table[kept].reset_index(drop=True)
    relabelled["class_name"] = classes[kept].astype("string").to_numpy(dtype=object)
    return relabelled.astype({"class_name": "string"})
