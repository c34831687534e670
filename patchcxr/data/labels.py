"""Label schemes: how the labels of a cohort become the classes of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import yaml

from patchcxr.config import YAML_FAULTS, config, from_dict, to_dict, whole_number
from patchcxr.errors import ConfigError, LabelError
from patchcxr.io.atomic import write_bytes_atomically
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

_YAML: Final = (".yaml", ".yml")
_LARGEST_FILE: Final = 100_000
_MOST_BRACKETS: Final = 200


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


def _three(name: str) -> LabelScheme:
    return _scheme(
        name,
        ("normal", "pneumonia", "covid19"),
        bacterial="pneumonia",
        viral="pneumonia",
        fungal="pneumonia",
    )


SCHEMES: Final[dict[str, LabelScheme]] = {
    "four_class": _scheme("four_class", ("normal", "bacterial", "tuberculosis", "viral"), covid19="viral"),
    "five_class": _scheme("five_class", ("normal", "bacterial", "tuberculosis", "viral", "covid19")),
    "three_class": _three("three_class"),
    "covid_net": _three("covid_net"),
    "normal_abnormal": _scheme(
        "normal_abnormal",
        ("normal", "abnormal"),
        **dict.fromkeys([label for label in CANONICAL_LABELS if label != "normal"], "abnormal"),
    ),
    "normal_viral": _scheme("normal_viral", ("normal", "viral"), covid19="viral"),
    "binary": _scheme(
        "binary",
        ("other", "covid19"),
        **dict.fromkeys([label for label in CANONICAL_LABELS if label != "covid19"], "other"),
    ),
}
"""Schemes by name.

``four_class``: Oh 2020, Table III; viral pneumonia takes in COVID-19. Left out: nodule,
fungal, other, and pneumonia of unstated cause.
``five_class``: the same with COVID-19 apart.
``three_class``, or ``covid_net``: Oh 2020, Table IV, comparison with
COVID-Net; pneumonia of any cause (tuberculosis, nodule and other are left
out).
``normal_viral``: viral pneumonia with COVID-19 against normal, the two classes that several public sources have, for
tests across sources; the rest is left out.
``normal_abnormal``: any disease against none, as from the lung mask alone (Oh
2020, section V-F).
``binary``: COVID-19 against everything else.
"""


def label_scheme(scheme: str | Path | LabelScheme) -> LabelScheme:
    """Scheme of this name, or from this ``.yaml`` file (see :func:`read_scheme`), or the scheme itself.

    Raises
    ------
    LabelError
        If no scheme has this name.
    ConfigError
        If the file does not hold a scheme.
    """
    if isinstance(scheme, LabelScheme):
        return scheme
    if str(scheme) in SCHEMES:
        return SCHEMES[str(scheme)]
    if Path(scheme).suffix.lower() in _YAML:
        return read_scheme(scheme)
    raise LabelError(f"label scheme is {str(scheme)!r}; expected one of {', '.join(SCHEMES)}, or a .yaml file")


def read_scheme(path: str | Path) -> LabelScheme:
    """Read a scheme from a YAML file with the keys ``name``, ``classes`` and ``mapping``.

    .. code-block:: yaml

        name: sick
        classes: [well, ill]
        mapping: {normal: well, viral: ill, covid19: ill, other: null}

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, repeats a key, or does not hold a
        scheme.
    """
    return from_dict(LabelScheme, _read_yaml(path), where=str(path))


def write_scheme(scheme: str | LabelScheme, path: str | Path) -> None:
    """Write a scheme as :func:`read_scheme` reads it, atomically."""
    text = yaml.safe_dump(to_dict(label_scheme(scheme)), sort_keys=False, allow_unicode=True)
    write_bytes_atomically(path, text.encode("utf-8"))


def read_mapping(path: str | Path) -> dict[str, str | None]:
    """Read a YAML file ``{old: new}``, or a scheme (see :func:`read_scheme`); ``null`` leaves films out.

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, repeats a key, or holds anything
        but text and null.
    """
    values = _read_yaml(path)
    if set(values) == {"name", "classes", "mapping"}:
        return from_dict(LabelScheme, values, where=str(path)).mapping
    for old, new in values.items():
        if not isinstance(old, str) or not (new is None or (isinstance(new, str) and new.strip())):
            raise ConfigError(
                f"{path}: {old!r} leads to {new!r}; expected text that leads to text or null,"
                " so put words such as yes, no and numbers in quotation marks"
            )
    return values


def rewrite_labels(
    table: pd.DataFrame, by: str | Path | LabelScheme | Mapping[str, str | None]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rewrite the column ``label`` itself.

    Parameters
    ----------
    table
        Cohort; an empty label stays empty.
    by
        New label of every old one, where ``None`` leaves films out: a
        mapping, a scheme, the name of a scheme, or a YAML file (see
        :func:`read_mapping`).

    Returns
    -------
    table : pandas.DataFrame
        Copy of the table, index reset, without the films that were left out.
    counts : pandas.DataFrame
        Columns ``before``, ``after``, ``films`` and ``patients``, one row an
        old label; ``(left out)`` and ``(empty)`` where there is no label.

    Raises
    ------
    LabelError
        If the mapping does not cover a label.
    """
    if not isinstance(by, Mapping):
        is_file = isinstance(by, str | Path) and str(by) not in SCHEMES and Path(by).suffix.lower() in _YAML
        by = read_mapping(by) if is_file and isinstance(by, str | Path) else label_scheme(by).mapping
    if "label" not in table:
        raise LabelError(f"cohort has no column 'label'; got {', '.join(map(str, table.columns))}")
    old = table["label"].astype("string")
    unknown = sorted(set(old.dropna()) - set(by))
    if unknown:
        films = int(old.isin(unknown).sum())
        raise LabelError(
            f"labels {', '.join(map(repr, unknown))} of {films} films are not in the mapping, which has"
            f" {', '.join(by)}; add them, with null to leave films out"
        )
    new = old.map(dict(by)).astype("string")
    kept = (new.notna() | old.isna()).to_numpy(dtype=bool)
    after = new.where(kept, "(left out)").fillna("(empty)")
    counts = pd.DataFrame({"before": old.fillna("(empty)"), "after": after, "patient": table["patient"]})
    counts = counts.groupby(["before", "after"])["patient"].agg(films="size", patients="nunique").reset_index()
    return table.assign(label=new)[kept].reset_index(drop=True), counts


class _Loader(yaml.SafeLoader):
    """A loader that refuses a key that occurs twice, where YAML would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} occurs twice", node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:int", whole_number)


def _read_yaml(path: str | Path) -> dict[Any, Any]:
    try:
        data = Path(path).read_bytes()
        if len(data) > _LARGEST_FILE:
            raise ConfigError(f"{path}: has {len(data)} bytes; expected a mapping of up to {_LARGEST_FILE}")
        text = data.decode("utf-8-sig")
        if text.count("[") + text.count("{") > _MOST_BRACKETS:  # nested ones take a time that grows with their square
            raise ConfigError(f"{path}: holds more than {_MOST_BRACKETS} opening brackets; expected one flat mapping")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ConfigError(f"{path}: holds an alias (*name); write the value in full")
        values = yaml.load(text, Loader=_Loader)
    except ConfigError:
        raise
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such mapping file; give the path of a YAML file") from None
    except (OSError, yaml.YAMLError, *YAML_FAULTS) as error:
        raise ConfigError(f"{path}: not readable as YAML ({' '.join(str(error).split())}); correct the file") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: got a {type(values).__name__} at the top level; expected labels and classes")
    return values


def relabel(table: pd.DataFrame, scheme: str | Path | LabelScheme = "four_class") -> pd.DataFrame:
    """Give every study of a cohort its class.

    Parameters
    ----------
    table
        Cohort with a ``label`` column.
    scheme
        Name of a scheme, a ``.yaml`` file, or a scheme.

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
