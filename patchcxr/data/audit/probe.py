"""How well the background alone, the lungs alone and the whole film tell where a film comes from.

If films without their lungs still tell the source, a network can learn the
source in place of the disease. That has been shown for public chest films:
Maguolo and Nanni (Information Fusion 76:1-7, 2021) blackened the middle of the
films and still told the data sets apart, DeGrave, Janizek and Lee (Nature
Machine Intelligence 3:610-619, 2021) found detectors of COVID-19 to rest on
such shortcuts, and Zech et al. (PLOS Medicine 15:e1002683, 2018) told
hospitals from films; Torralba and Efros (CVPR 2011) put the question of naming
the data set first.

The probe is weak on purpose: multinomial logistic regression on the principal
components of 32 x 32 pixels. What it can tell, a network can tell; what it
cannot tell, a network still may.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from patchcxr.config import config
from patchcxr.data.audit.confounding import patient_names
from patchcxr.data.audit.copies import find_copies
from patchcxr.data.audit.findings import column_text
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.groups import patient_groups
from patchcxr.errors import ConfigError
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray

OF_ALL: Final = ("whole film", "frame only")
"""What the probe is shown of every film; the frame is the outer sixteenth on each side, mostly free of lung."""

OF_MASKED: Final = ("whole film", "background only", "lungs only", "lung outline only")
"""What it is shown of films with lung masks. The outline is the mask itself, which shows through in the two before."""

FILL: Final = 128
"""Grey level that stands in for what is hidden."""

_FRAME: Final = 16
_BLOCK: Final = 2

COLUMNS: Final = (
    *("target", "input", "films_with", "films", "drawn_from", "patients", "classes", "left_out"),
    *("balanced_accuracy", "low", "high", "chance", "shuffled", "shuffled_highest"),
)


@config
class ProbeConfig:
    """How the probe is run.

    Attributes
    ----------
    maximum_films
        Films drawn at random for one question (target), evenly from the classes.
    minimum_patients
        A class with fewer patients is left out.
    folds
        Of the cross-validation.
    components
        Principal components that the regression sees.
    permutations
        Fits with shuffled labels.
    resamples
        Bootstrap resamples of the interval.
    seed
        Of the drawing, the folds, the shuffling and the bootstrap.
    """

    maximum_films: int = 2000
    minimum_patients: int = 10
    folds: int = 5
    components: int = 48
    permutations: int = 10
    resamples: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            *(("maximum_films", 20), ("folds", 2), ("components", 1)),
            *(("permutations", 1), ("resamples", 1), ("seed", 0)),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected {least} or more")
        if self.minimum_patients < self.folds:
            raise ConfigError(
                f"minimum_patients is {self.minimum_patients}; expected at least one for each of {self.folds} folds"
            )


class Question(NamedTuple):
    """What is to be told: a name for readers, the kind of question, and the class of each film (empty: not asked)."""

    target: str
    check: str
    classes: pd.Series


@dataclass(frozen=True, eq=False)
class _Films:
    """Films of one question.

    Positions in the cohort and how many they were drawn from, codes and names
    of their classes, and the groups that stay together.
    """

    rows: IntArray
    drawn_from: int
    classes: IntArray
    names: tuple[str, ...]
    groups: IntArray


def questions(table: pd.DataFrame) -> Iterator[Question]:
    """The source among all films, the source among films of one label, and the label within one source.

    Among films of one label, disease cannot be what tells the sources apart;
    within a source, a background that tells the label is a shortcut or a
    device, or disease outside the lungs.
    """
    label, source = column_text(table, "label"), column_text(table, "source")
    if source.nunique() > 1:
        yield Question("source", "probe-source", source)
    for name, group in source.groupby(label):
        if group.nunique() > 1 and label.nunique() > 1:
            yield Question(f"source among {name}", "probe-source-within-label", source.where(label == name))
    for name, group in label.groupby(source):
        if group.nunique() > 1:
            yield Question(f"label within {name}", "probe-label-within-source", label.where(source == name))


def probe(
    table: pd.DataFrame,
    scan: FilmScan,
    question: Question,
    config: ProbeConfig | None = None,
    copies: IntArray | None = None,
) -> pd.DataFrame:
    """How well each part of the films tells the classes of one question.

    Cross-validated by groups of films that share a patient or are copies;
    every film is classified once, by a model that saw none
    of its group. The inputs of :data:`OF_ALL` come from all readable films;
    those of :data:`OF_MASKED`, with the whole film once more, from the films
    with a lung mask, so that they can be compared.

    Parameters
    ----------
    table
        Cohort.
    scan
        Aligned with it.
    question
        From :func:`questions`.
    config
        How to run it.
    copies
        Duplicate group of each film (n,); by default that of :func:`patchcxr.data.audit.copies.find_copies`.

    Returns
    -------
    Columns :data:`COLUMNS`; one row an input. ``films_with`` says which films
    were used (``readable`` or ``lung mask``), ``drawn_from`` how many there
    are of the classes used, of which ``films`` were drawn; ``classes`` and ``left_out``
    name the classes used and those with too few patients; ``low`` and
    ``high`` are a 95 % bootstrap interval over groups; ``chance`` is one over
    the number of classes; ``shuffled`` and ``shuffled_highest`` are the mean
    and highest balanced accuracy of models that learned from classes shuffled
    among groups. With fewer than two classes left, the numbers are NaN.
    """
    config = config or ProbeConfig()
    copies = find_copies(scan).group if copies is None else copies
    rng = np.random.default_rng(config.seed)
    asked = (question.classes.notna() & scan.readable).to_numpy(dtype=bool)
    parts = [("readable", asked, OF_ALL), ("lung mask", asked & scan.has_lungs, OF_MASKED)]
    rows = []
    for films_with, usable, inputs in parts:
        films, left_out = _draw(table, copies, question, usable, config, rng)
        shared: dict[str, object] = {
            "target": question.target,
            "films_with": films_with,
            "left_out": ", ".join(left_out),
        }
        shared |= {"films": len(films.rows), "drawn_from": films.drawn_from, "patients": len(np.unique(films.groups))}
        shared["classes"] = ", ".join(films.names)
        if len(films.names) < 2:
            rows += [{**shared, "input": name} for name in inputs if films_with == "readable"]
            continue
        splits = _splits(films, config)
        for name in inputs:
            pixels = show(scan.thumbnails[films.rows], scan.lungs[films.rows], name)
            rows.append({**shared, "input": name, **_answer(pixels, films, splits, config, rng)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def show(thumbnails: AnyArray, lungs: BoolArray, what: str) -> FloatArray:
    """What the probe sees: thumbnails with all but a part of them hidden, at half their resolution.

    Parameters
    ----------
    thumbnails
        uint8, shape (n, H, W) with even sides.
    lungs
        bool, of the same shape.
    what
        One of :data:`OF_ALL` or :data:`OF_MASKED`; hidden pixels are
        :data:`FILL`, and the outline is 255 in the lungs and 0 elsewhere.

    Returns
    -------
    float32, shape (n, H / 2, W / 2): means of 2 x 2 pixels, 0 to 255.
    """
    count, rows, columns = thumbnails.shape
    frame = np.ones((rows, columns), dtype=bool)
    frame[rows // _FRAME : rows - rows // _FRAME, columns // _FRAME : columns - columns // _FRAME] = False
    if what == "lung outline only":
        shown = lungs * np.uint8(255)
    else:
        everything = np.ones((rows, columns), dtype=bool)
        visible = {"whole film": everything, "frame only": frame, "background only": ~lungs, "lungs only": lungs}
        if what not in visible:
            raise ConfigError(f"the probe's input is {what!r}; expected one of {', '.join({*OF_ALL, *OF_MASKED})}")
        shown = np.where(visible[what], thumbnails, np.uint8(FILL))
    blocks = shown.reshape(count, rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def balanced_accuracy(truth: IntArray, told: IntArray) -> float:
    """Mean over the true classes of the share told rightly; NaN if a class from 0 to the highest has no film."""
    count = int(truth.max()) + 1
    films = np.bincount(truth, minlength=count)
    if (films == 0).any():
        return float("nan")
    return float((np.bincount(truth[truth == told], minlength=count) / films).mean())


def _draw(
    table: pd.DataFrame,
    copies: IntArray,
    question: Question,
    usable: BoolArray,
    config: ProbeConfig,
    rng: np.random.Generator,
) -> tuple[_Films, list[str]]:
    """Films of the classes with enough patients, at most ``maximum_films``, and the names of the other classes."""
    codes, names = pd.factorize(question.classes, sort=True)
    patients = patient_names(table).to_numpy(dtype=object)
    counts = pd.Series(patients[usable]).groupby(codes[usable]).nunique()
    enough = counts.index[counts >= config.minimum_patients]
    each = max(1, config.maximum_films // max(1, len(enough)))
    drawn = [rng.permutation(np.flatnonzero(usable & (codes == code)))[:each] for code in enough]
    rows = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *drawn]))
    films = table.iloc[rows].assign(patient=patients[rows])
    groups = pd.factorize(patient_groups(films, pd.Series(copies[rows], index=films.index)))[0] if len(rows) else rows
    kept = tuple(str(names[code]) for code in enough)
    left_out = [str(name) for name in names if str(name) not in kept]
    drawn_from = int(np.isin(codes[usable], enough).sum())
    return _Films(rows, drawn_from, np.searchsorted(enough.to_numpy(), codes[rows]), kept, groups), left_out


def _splits(films: _Films, config: ProbeConfig) -> list[tuple[IntArray, IntArray]]:
    """Rows to learn from and to classify, fold by fold."""
    splitter = StratifiedGroupKFold(config.folds, shuffle=True, random_state=config.seed)
    return list(splitter.split(films.classes, films.classes, films.groups))


def _answer(
    pixels: FloatArray,
    films: _Films,
    splits: list[tuple[IntArray, IntArray]],
    config: ProbeConfig,
    rng: np.random.Generator,
) -> dict[str, float]:
    flat = pixels.reshape(len(pixels), -1)
    folds = [_components(flat, train, test, config) for train, test in splits]
    told = _told(folds, films.classes)
    measured = cluster_bootstrap(
        balanced_accuracy, films.classes, told, rng=rng, groups=films.groups, resamples=config.resamples
    )
    shuffled = []
    for _ in range(config.permutations):
        other = _shuffle(films.classes, films.groups, rng)
        shuffled.append(balanced_accuracy(other, _told(folds, other)))
    return {
        "balanced_accuracy": measured.estimate,
        "low": measured.low,
        "high": measured.high,
        "chance": 1 / len(films.names),
        "shuffled": float(np.mean(shuffled)),
        "shuffled_highest": float(np.max(shuffled)),
    }


class _Fold(NamedTuple):
    """Rows to learn from and to classify, with their principal components."""

    train: IntArray
    test: IntArray
    learned: FloatArray
    asked: FloatArray


def _components(flat: FloatArray, train: IntArray, test: IntArray, config: ProbeConfig) -> _Fold:
    """Principal components of a fold; scaling and directions come from its training part, without the classes."""
    varying = np.ptp(flat[train], axis=0) > 0
    if not varying.any():  # every film shows the same, such as one outline for all: nothing can be told
        return _Fold(train, test, np.zeros((len(train), 1)), np.zeros((len(test), 1)))
    flat = flat[:, varying]
    scaler = StandardScaler().fit(flat[train])
    count = min(config.components, len(train) - 1, flat.shape[1])
    pca = PCA(count, whiten=True, svd_solver="randomized", random_state=config.seed)
    learned = pca.fit_transform(scaler.transform(flat[train]))
    return _Fold(train, test, learned, pca.transform(scaler.transform(flat[test])))


def _told(folds: list[_Fold], truth: IntArray) -> IntArray:
    """Class that each film is given by the model of its fold."""
    told = np.full(len(truth), -1, dtype=np.int64)
    for fold in folds:
        known = truth[fold.train]
        if len(np.unique(known)) == 1:
            told[fold.test] = known[0]
            continue
        model = LogisticRegression(class_weight="balanced", max_iter=1000, tol=1e-3)
        with config_context(assume_finite=True, skip_parameter_validation=True):
            told[fold.test] = model.fit(fold.learned, known).predict(fold.asked)
    return told


def _shuffle(truth: IntArray, groups: IntArray, rng: np.random.Generator) -> IntArray:
    """Give each group the class of another group's first film, so that films of a patient stay together."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return rng.permutation(truth[first])[inverse]
