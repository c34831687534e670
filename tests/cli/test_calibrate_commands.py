from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import pytest

from patchcxr.cli.calibrate import calibrate, ensemble, patches_needed
from patchcxr.errors import CohortError, ConfigError, SplitError
from patchcxr.io.arrays import ArrayFolder


def options(**values) -> argparse.Namespace:
    return argparse.Namespace(
        **({"validation": None, "seed": 0, "resamples": 20, "bins": 10, "rule": "majority", "level": 0.95} | values)
    )


def films(rng, count, start=0, skill=1.0):
    """Predictions of a classifier that knows more the larger ``skill`` is; three times too sure."""
    truth = rng.integers(2, size=count)
    logit = skill * (2 * truth - 1) + rng.normal(0, 1, count)
    p = 1 / (1 + np.exp(-6 * logit))
    return pd.DataFrame(
        {
            "study": [f"s{start + i}" for i in range(count)],
            "patient": [f"p{start + i // 2}" for i in range(count)],
            "truth": np.array(["normal", "viral"])[truth],
            "predicted": np.where(p > 0.5, "viral", "normal"),
            "p_normal": 1 - p,
            "p_viral": p,
        }
    )


def written(table, path):
    table.to_csv(path, index=False)
    return str(path)


def test_calibrate_writes_the_scaled_predictions_of_every_film(tmp_path, rng, capsys):
    test = films(rng, 80)
    test.loc[0, "truth"] = None
    paths = written(test, tmp_path / "test.csv"), written(films(rng, 200, 1000), tmp_path / "val.csv")
    assert calibrate(options(predictions=paths[0], validation=paths[1], out=tmp_path / "out")) == 0
    table = pd.read_csv(tmp_path / "out" / "calibration.csv").set_index("probabilities")
    assert table.loc["temperature", "temperature"] > 1.5
    assert table.loc["temperature", "ece"] < table.loc["as given", "ece"]
    assert table["n"].tolist() == [79, 79]
    scaled = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert scaled["study"].tolist() == test["study"].tolist()
    assert scaled["predicted"].tolist() == test["predicted"].tolist()
    given = np.log(test["p_viral"] / test["p_normal"])
    now = np.log(scaled["p_viral"] / scaled["p_normal"])
    np.testing.assert_allclose(given / now, table.loc["temperature", "temperature"], rtol=1e-6)
    assert (tmp_path / "out" / "reliability.png").is_file()
    assert (tmp_path / "out" / "selective.svg").is_file()
    said = capsys.readouterr().out
    assert "1 predictions have no truth" in said
    with pytest.raises(SplitError, match="same study"):
        calibrate(options(predictions=paths[0], validation=paths[0], out=tmp_path / "out"))


def test_ensemble_of_two_tables_scores_all_on_the_films_they_share(tmp_path, rng, capsys):
    truth = films(rng, 40, skill=1.5)
    other = films(rng, 40, skill=0.5).assign(truth=truth["truth"])
    a, b = written(truth, tmp_path / "a.csv"), written(other.iloc[5:], tmp_path / "b.csv")
    assert ensemble(options(predictions=[a, b], out=tmp_path / "majority", rule="majority")) == 0
    assert "5 films left out" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "majority" / "predictions.csv")
    assert len(table) == 35
    assert (table["predicted"] == np.where(table["p_viral"] > 0.5, "viral", "normal"))[table["margin"] == 0].all()
    scores = pd.read_csv(tmp_path / "majority" / "scores.csv")
    assert scores["method"].tolist() == ["a", "b", "majority"]
    assert scores["n"].tolist() == [35, 35, 35]
    assert pd.read_csv(tmp_path / "majority" / "missing.csv")["classifier"].tolist() == ["b"] * 5


def test_ensemble_fits_weights_on_validation_and_takes_methods_of_one_table(tmp_path, rng):
    def both(count, start):
        good = films(rng, count, start, skill=2.0)
        return pd.concat(
            [good.assign(method="good"), films(rng, count, start, 0).assign(truth=good["truth"], method="bad")]
        )

    test, validation = written(both(40, 0), tmp_path / "t.csv"), written(both(100, 500), tmp_path / "v.csv")
    found = options(predictions=[test], validation=[validation], out=tmp_path / "out", rule="weighted")
    assert ensemble(found) == 0
    weights = pd.read_csv(tmp_path / "out" / "weights.csv").set_index("classifier")["weight"]
    assert weights["t-good"] > 0.7
    assert weights.sum() == pytest.approx(1)
    with pytest.raises(ConfigError, match="--validation A"):
        ensemble(options(predictions=[test], out=tmp_path, rule="weighted"))
    with pytest.raises(ConfigError, match="no weights"):
        ensemble(options(predictions=[test], validation=[validation], out=tmp_path))
    with pytest.raises(SplitError, match="same study"):
        ensemble(options(predictions=[test], validation=[test], out=tmp_path, rule="weighted"))
    with pytest.raises(ConfigError, match="file names that differ"):
        ensemble(options(predictions=[test, test], out=tmp_path))


def classified(folder, votes, extra=False):
    """A folder as ``patchcxr classify`` writes it, with so many votes for each of two classes a film."""
    rng, rows = np.random.default_rng(0), []
    for number, (normal, viral) in enumerate(votes):
        said = np.repeat([0, 1], [normal, viral])
        seen = np.column_stack([rng.integers(1000, size=(len(said), 2)), said, np.ones(len(said)), np.ones(len(said))])
        if extra:
            seen = np.column_stack([seen, np.where(said, 0.3, 0.8), np.where(said, 0.7, 0.2)])
        ArrayFolder(folder / "patches").save(f"s{number}", seen.astype(np.float32))
        row = {"study": f"s{number}", "patient": f"p{number}", "predicted": "viral" if viral >= normal else "normal"}
        rows.append(row | {"p_normal": 0.45, "p_viral": 0.55})
    pd.DataFrame(rows).to_csv(folder / "predictions.csv", index=False)


def test_patches_needed_reads_what_classify_recorded(tmp_path, capsys):
    classified(tmp_path, [(50, 0), (5, 45), (25, 25), (27, 23)])
    (tmp_path / "patches" / "s0.npy").write_bytes(b"broken")
    assert patches_needed(options(folder=tmp_path, out=None, resamples=500)) == 0
    out = tmp_path / "patches_needed"
    table = pd.read_csv(out / "films.csv").set_index("study")
    assert table["predicted"].tolist() == ["viral", "viral", "normal"]
    assert table.loc["s1", "needed"] <= 10
    assert table.loc["s2", "redraw"] == pytest.approx(0.44, abs=0.12)
    cohort = pd.read_csv(out / "stability.csv").set_index("patches")
    assert cohort.loc[50, "stable"] == 1
    assert pd.read_csv(out / "failures.csv")["study"].tolist() == ["s0"]
    assert (out / "stability.png").is_file()
    assert "1 of 3 films settled" in capsys.readouterr().out


def test_patches_needed_by_mean_probability_uses_the_patches_own_probabilities(tmp_path):
    # 12 x 0.8 + 18 x 0.3 = 15.0 against 12 x 0.2 + 18 x 0.7 = 15.0 would tie; 13 normal tip the mean
    classified(tmp_path, [(13, 17)], extra=True)
    table = pd.read_csv(tmp_path / "predictions.csv").assign(predicted="normal")
    table.to_csv(tmp_path / "predictions.csv", index=False)
    with pytest.raises(ConfigError, match="--rule"):
        patches_needed(options(folder=tmp_path, out=tmp_path / "o"))
    assert patches_needed(options(folder=tmp_path, out=tmp_path / "o", rule="mean_probability")) == 0
    assert pd.read_csv(tmp_path / "o" / "films.csv")["predicted"].tolist() == ["normal"]


def test_dense_windows_and_whole_films_have_no_number_of_patches(tmp_path):
    classified(tmp_path, [(10, 6)])
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "predictions.csv").write_bytes((tmp_path / "predictions.csv").read_bytes())
    with pytest.raises(CohortError, match="no such folder"):
        patches_needed(options(folder=tmp_path / "whole", out=None))
    stored = ArrayFolder(tmp_path / "patches")
    seen = stored.load("s0")
    seen[:, 0], seen[:, 1] = 16 + 32 * (np.arange(16) // 4), 16 + 32 * (np.arange(16) % 4)
    stored.save("s0", seen)
    with pytest.raises(ConfigError, match="dense voting"):
        patches_needed(options(folder=tmp_path, out=None))
