"""Paired tests between the variants of an ablation, on the same test films."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.stats.corrections import adjust
from patchcxr.stats.detectors import delong_test, mcnemar
from patchcxr.types import BoolArray

METHODS: Final = ("global", "local")
WITHIN: Final = "global against local"
"""Family of the tests between both classifiers of one variant."""


def paired_tests(
    predictions: Mapping[str, pd.DataFrame], target: str, rng: np.random.Generator, resamples: int = 1000
) -> pd.DataFrame:
    """Test every two variants of each classifier, and both classifiers of each variant.

    McNemar's exact test of right and wrong films, and DeLong's of the AUROC of
    one class, both with Holm's correction over the pairs of a family; and the
    difference of the accuracies with an interval over resampled patients.
    Both tests take films as independent, the interval does not.

    Parameters
    ----------
    predictions
        By variant, a row a film and method: study, patient, method, truth,
        predicted, and ``p_<target>`` (``classification/predictions.csv`` of a study).
    target
        Class of the AUROC, against all others.
    rng, resamples
        Of the patients.

    Returns
    -------
    DataFrame
        family (``global``, ``local`` or :data:`WITHIN`), a, b; n and patients
        of the films that both classified, and unpaired, the films that one of
        them lacks; accuracy_a, accuracy_b, accuracy_difference (a - b) with
        accuracy_low and accuracy_high; only_a_right, only_b_right, p_mcnemar,
        p_mcnemar_holm; auroc_a, auroc_b, auroc_difference with auroc_low and
        auroc_high, p_delong, p_delong_holm. DeLong's columns are NaN where the
        films are all of the class, or none.

    Raises
    ------
    CohortError
        If two variants have no film in common, or differ in a film's truth.
    ConfigError
        If a table lacks a column.
    """
    needed = {"study", "patient", "method", "truth", "predicted", f"p_{target}"}
    for variant, table in predictions.items():
        if missing := sorted(needed - set(table.columns)):
            raise ConfigError(
                f"the predictions of {variant!r} have no column {', '.join(missing)}; expected those of a study with "
                f"the class {target!r} (explanation.target)"
            )
    parts = {
        (variant, str(method)): part.set_index("study")
        for variant, table in predictions.items()
        for method, part in table.groupby("method")
    }
    families = {method: [key for key in parts if key[1] == method] for method in METHODS}
    pairs = [(method, a, b) for method, keys in families.items() for a, b in combinations(keys, 2)]
    pairs += [
        (WITHIN, (variant, METHODS[0]), (variant, METHODS[1]))
        for variant in predictions
        if all((variant, method) in parts for method in METHODS)
    ]
    rows = []
    for family, a, b in pairs:
        names = [f"{a[0]}, {a[1]}", f"{b[0]}, {b[1]}"] if family == WITHIN else [a[0], b[0]]
        found = _pair(parts[a], parts[b], names, target, rng, resamples)
        rows.append({"family": family, "a": names[0], "b": names[1]} | found)
    tests = pd.DataFrame(rows)
    for test in ("mcnemar", "delong"):
        if len(tests):
            at = list(tests.columns).index(f"p_{test}") + 1
            holm = tests.groupby("family")[f"p_{test}"].transform(lambda p: adjust(p.to_numpy(dtype=float), "holm"))
            tests.insert(at, f"p_{test}_holm", holm)
    return tests


def _pair(
    a: pd.DataFrame, b: pd.DataFrame, names: list[str], target: str, rng: np.random.Generator, resamples: int
) -> dict[str, Any]:
    common = a.index.intersection(b.index)
    if common.empty:
        raise CohortError(f"{names[0]} and {names[1]} have no test film in common; compare studies of the same films")
    left, right = a.loc[common], b.loc[common]
    truth = left["truth"].to_numpy()
    other = common[truth != right["truth"].to_numpy()]
    if len(other):
        raise CohortError(
            f"{names[0]} and {names[1]} give {len(other)} films different classes, the first is {other[0]!r}; compare "
            "studies of the same labels"
        )
    said = [part["predicted"].to_numpy() for part in (left, right)]
    right_films: list[BoolArray] = [values == truth for values in said]
    groups = left["patient"].to_numpy()
    errors = mcnemar(truth, *said)
    areas = delong_test(truth == target, *(part[f"p_{target}"].to_numpy(dtype=float) for part in (left, right)))
    low, high = cluster_bootstrap(
        lambda one, two: float(one.mean() - two.mean()), *right_films, rng=rng, groups=groups, resamples=resamples
    )
    shares = [float(films.mean()) for films in right_films]
    return {
        "n": len(common),
        "patients": int(pd.unique(groups).size),
        "unpaired": len(a.index.union(b.index)) - len(common),
        "accuracy_a": shares[0],
        "accuracy_b": shares[1],
        "accuracy_difference": shares[0] - shares[1],
        "accuracy_low": low,
        "accuracy_high": high,
        "only_a_right": errors.only_a_right,
        "only_b_right": errors.only_b_right,
        "p_mcnemar": errors.p,
        "auroc_a": areas.auroc_a,
        "auroc_b": areas.auroc_b,
        "auroc_difference": areas.difference,
        "auroc_low": areas.low,
        "auroc_high": areas.high,
        "p_delong": areas.p,
    }
