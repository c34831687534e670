"""A finished study read again, and films chosen from it by rules that can be printed below a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from patchcxr.config import load_yaml
from patchcxr.errors import ConfigError, SplitError
from patchcxr.io.radiograph import read_radiograph
from patchcxr.preprocessing.geometry import prepare
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.report.spreadsheet import read_table
from patchcxr.study.config import StudyConfig
from patchcxr.study.evaluate.classification import METHODS
from patchcxr.study.reading import as_film
from patchcxr.study.run import Study
from patchcxr.types import FloatArray

AS_READ = PreprocessConfig(equalize=False, gamma=1.0)
"""No change of intensity: the film as it was read."""


class Chosen(NamedTuple):
    """Films of a figure, and the sentence that says how they were chosen."""

    films: pd.DataFrame
    rule: str


def open_study(folder: str | Path) -> Study:
    """Open the folder of a study, to read what its steps have written; nothing is run.

    Raises
    ------
    ConfigError
        If the folder is not that of a study.
    """
    path = Path(folder) / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"{folder}: not the folder of a study (no config.yaml); give the --out of patchcxr study")
    return Study(load_yaml(StudyConfig, path), Path(folder))


def choose_films(films: pd.DataFrame, score: str, count: int, described: str) -> Chosen:
    """Films of different patients, evenly spaced in the order of a score, from its highest to its lowest value.

    Each patient has one film, the first by study id, so that no patient is
    shown twice. Equal scores are ordered by study id, and one film is the
    median (the higher of two). The choice depends on nothing else.

    Parameters
    ----------
    films
        Columns ``study``, ``patient`` and the score; films without a score
        are left out.
    score
        Column.
    count
        How many; all if there are fewer.
    described
        The score, as the rule names it.

    Raises
    ------
    SplitError
        If no film has a score.
    ConfigError
        If ``count`` is less than 1.

    Examples
    --------
    >>> films = pd.DataFrame({"study": list("abcde"), "patient": list("vwxyz"), "score": [0.1, 0.9, 0.5, 0.4, 0.7]})
    >>> chosen = choose_films(films, "score", 3, "the score")
    >>> chosen.films["study"].tolist()
    ['b', 'c', 'a']
    >>> chosen.rule
    '3 of 5 films (the first of each patient), evenly spaced in the order of the score, from highest to lowest'
    """
    if count < 1:
        raise ConfigError(f"films: got {count}; expected at least 1")
    known = films.dropna(subset=score).sort_values("study").drop_duplicates("patient")
    if known.empty:
        raise SplitError(f"no film has {described}; see the failures of the study's steps")
    ordered = known.sort_values(score, ascending=False, kind="stable").reset_index(drop=True)
    if count == 1:
        places = np.array([(len(ordered) - 1) // 2])
        rule = f"the median of {len(ordered)} films (the first of each patient) in the order of {described}"
    else:
        places = np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int))
        rule = (
            f"{len(places)} of {len(ordered)} films (the first of each patient), evenly spaced in the order of "
            f"{described}, from highest to lowest"
        )
    return Chosen(ordered.iloc[places].reset_index(drop=True), rule)


PREPARED: Final = "Films as the networks see them, equalised and gamma-corrected where the study says so."
ORIGINAL: Final = "Films as they were read."


def film_picture(study: Study, name: str, original: bool = False) -> FloatArray:
    """Film of a study for a figure, float32 in [0, 1], at the size from which patches are cut.

    Parameters
    ----------
    study, name
        The study, and the film's id.
    original
        Read the film's file again and leave its intensities as they are; by
        default the film is shown as the networks see it.
    """
    size = study.config.classification.vote.image_size
    if not original:
        return as_film(study.store(size).film(name))
    path = study.table.set_index("study").loc[name, "image"]
    return prepare(read_radiograph(path).pixels, size, AS_READ)


def said_by_classifiers(study: Study) -> pd.DataFrame:
    """What both classifiers say of the explained class, a row a film: ``p_`` and ``predicted_`` global and local."""
    table = read_table(study.out / "classification" / "predictions.csv")
    table = table.assign(p=table[f"p_{study.config.explanation.target}"])
    wide = table.pivot(index="study", columns="method", values=["p", "predicted"])
    wide.columns = [f"{value}_{method}" for value, method in wide.columns]
    for method in METHODS:
        wide[f"p_{method}"] = wide.get(f"p_{method}", pd.Series(np.nan, wide.index)).astype(float)
        wide[f"predicted_{method}"] = wide.get(f"predicted_{method}", pd.Series(pd.NA, wide.index))
    return wide.reset_index()
