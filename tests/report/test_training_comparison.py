"""Training against validation: what is drawn of a history, and the gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import ConfigError
from patchcxr.report.paired_figure import paired_figure
from patchcxr.report.training_comparison import overfitting, training_comparison, training_values

GLOBAL = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [1.0, 0.5, 0.1],
        "val_loss": [1.1, 0.9, 1.4],
        "train_macro_f1": [0.4, 0.7, 0.95],
        "macro_f1": [0.3, 0.5, 0.45],
        "lr": [1e-3] * 3,
        "seconds": [1.0, 2.0, 3.0],
    }
)
LOCAL = GLOBAL[["epoch", "train_loss", "val_loss", "macro_f1"]].iloc[:2]
KEPT = {"Global": 2, "Local": 2}


def values() -> pd.DataFrame:
    return training_values({"Global": GLOBAL, "Local": LOCAL})


def test_gaps_tell_how_much_worse_validation_fares_at_the_kept_and_the_last_epoch() -> None:
    gaps = overfitting(values(), KEPT).set_index(["training_of", "quantity", "which"])["gap"]
    assert gaps["Global", "Loss", "kept"] == pytest.approx(0.4)
    assert gaps["Global", "Loss", "last"] == pytest.approx(1.3)
    assert gaps["Global", "Macro-F1", "kept"] == pytest.approx(0.2)
    assert gaps["Global", "Macro-F1", "last"] == pytest.approx(0.5)
    assert np.isnan(gaps["Local", "Macro-F1", "last"]), "this history has no score of the training films"


def test_rates_and_times_are_not_drawn_and_lines_hold_the_history() -> None:
    assert set(values()["quantity"]) == {"Loss", "Macro-F1"}
    figure = training_comparison(values(), KEPT)
    assert [axes.get_ylabel() for axes in figure.axes] == ["Loss", "", "Macro-F1", ""]
    lines = {line.get_gid(): line for line in figure.axes[2].lines}
    assert lines["training"].get_ydata().tolist() == [0.4, 0.7, 0.95]
    assert lines["validation"].get_ydata().tolist() == [0.3, 0.5, 0.45]
    assert "training" not in {line.get_gid() for line in figure.axes[3].lines}
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim(), "both approaches share a scale"


def test_a_history_without_known_columns_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected some of train_loss"):
        training_values({"Global": pd.DataFrame({"epoch": [1], "lr": [0.1]})})


def test_pairs_are_joined_film_by_film_and_medians_are_of_all_films() -> None:
    table = pd.DataFrame({"a": [0.9, 0.5, 0.7, np.nan], "b": [0.1, 0.4, 0.8, 0.2]})
    figure = paired_figure(table, {"a": "Without", "b": "With"}, "Share", reference=(0.6, "even map"))
    axes = figure.axes[0]
    joined = [tuple(line.get_ydata()) for line in axes.lines if len(line.get_ydata()) == 2 and line.get_alpha()]
    assert sorted(joined) == [(0.5, 0.4), (0.7, 0.8), (0.9, 0.1)]
    assert {"0.70", "0.40", "even map"} <= {text.get_text() for text in axes.texts}
    with pytest.raises(ConfigError, match="0 films"):
        paired_figure(table.iloc[3:], {"a": "Without", "b": "With"}, "Share")
