"""Rates by source: counted by hand, and against a mean of recalls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from patchcxr.errors import CohortError
from patchcxr.report.sources import balanced_accuracy, sensitivity_by_source


def films(rng, n=60):
    truth = rng.choice(["normal", "viral"], n)
    said = np.where(rng.random(n) < 0.7, truth, "normal")
    names = [f"s{i}" for i in range(n)]
    source = np.where(truth == "viral", "c", rng.choice(["a", "b"], n))
    return pd.DataFrame(
        {"study": names, "patient": names, "source": source, "truth": truth, "predicted": said, "method": "local"}
    )


def test_each_source_has_the_share_of_its_films_that_are_right(rng):
    table = films(rng)
    found = sensitivity_by_source(table, ["method"]).set_index(["truth", "source"])
    for (truth, source), part in table.groupby(["truth", "source"]):
        row = found.loc[(truth, source)]
        assert row["films"] == len(part)
        assert row["share"] == pytest.approx((part["predicted"] == truth).mean())
        assert row["low"] <= row["share"] <= row["high"]


def test_balanced_accuracy_is_that_of_scikit_learn(rng):
    table = films(rng)
    row = balanced_accuracy(table, ["method"], rng, 200).iloc[0]
    assert row["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(table["truth"], table["predicted"]))
    assert row["low"] < row["balanced_accuracy"] < row["high"]


def test_a_table_without_sources_is_refused_by_name(rng):
    with pytest.raises(CohortError, match="lack the columns source"):
        sensitivity_by_source(films(rng).drop(columns="source"))
