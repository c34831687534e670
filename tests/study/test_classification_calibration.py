from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.inference.temperature import fit_temperature
from patchcxr.study.evaluate.classification import score_calibration


def predictions(rng, start):
    """Two methods of the same films, both twice as sure as right."""
    truth, rows = rng.integers(2, size=40), []
    for method in ("global", "local"):
        logit = 2 * truth - 1 + rng.normal(0, 1, 40)
        p = 1 / (1 + np.exp(-4 * logit))
        rows.append(
            pd.DataFrame(
                {
                    "study": [f"s{start + i}" for i in range(40)],
                    "patient": [f"p{start + i}" for i in range(40)],
                    "method": method,
                    "truth": np.array(["normal", "viral"])[truth],
                    "predicted": np.where(p > 0.5, "viral", "normal"),
                    "p_normal": 1 - p,
                    "p_viral": p,
                    "margin": np.nan if method == "global" else np.abs(2 * p - 1),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def test_calibration_of_both_methods_is_written_with_and_without_validation_films(tmp_path, rng):
    classes, test = ("normal", "viral"), predictions(rng, 0)
    score_calibration(test, classes, tmp_path / "plain", rng, 20)
    plain = pd.read_csv(tmp_path / "plain" / "calibration.csv")
    assert plain["method"].tolist() == ["global", "local"]
    assert plain["temperature"].isna().all()
    selective = pd.read_csv(tmp_path / "plain" / "selective.csv")
    assert selective["confidence"].tolist() == ["probability", "probability", "margin"]
    validation = predictions(rng, 1000)
    score_calibration(test, classes, tmp_path / "fitted", rng, 20, validation)
    fitted = pd.read_csv(tmp_path / "fitted" / "calibration.csv").set_index(["method", "probabilities"])
    for method, part in validation.groupby("method"):
        p, truth = part[["p_normal", "p_viral"]].to_numpy(), (part["truth"] == "viral").astype(int).to_numpy()
        assert fitted.loc[(method, "temperature"), "temperature"] == pytest.approx(fit_temperature(p, truth).value)
    assert fitted.loc[("global", "as given"), "ece"] == pytest.approx(plain["ece"][0])
