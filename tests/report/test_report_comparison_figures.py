from __future__ import annotations

import re

import matplotlib
import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import ConfigError
from patchcxr.report.agreement import bland_altman_figure
from patchcxr.report.curves import decision_curve_figure
from patchcxr.report.forest import forest_figure
from patchcxr.report.groups import MARKERS, group_scatter, groups_figure, patch_intensity_figure
from patchcxr.report.triage import MISSED, scores_table, triage_curve_figure, triage_figure, triage_report
from patchcxr.stats.comparisons import rank_sum_pairs
from patchcxr.stats.intervals import wilson_interval
from patchcxr.stats.operating import decision_curve
from patchcxr.stats.reliability import bland_altman
from patchcxr.stats.triage import triage, triage_curve, triage_summary

CLASSES = ["normal", "bacterial", "tuberculosis", "viral"]


def texts(figure):
    return [artist.get_text() for artist in figure.findobj(matplotlib.text.Text) if artist.get_text()]


def overlaps(boxes):
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if a.overlaps(b)]


def inside(figure):
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < width + 0.02 and box.y1 < height + 0.02


@pytest.mark.parametrize("count", [3, 5, 8, 10])
def test_no_stars_of_many_groups_touch_one_another_or_another_bracket(rng, count):
    names = [f"Hospital {chr(65 + i)}" for i in range(count)]
    table = pd.DataFrame({"g": np.repeat(names, 12), "v": rng.normal(size=12 * count)})
    pairs = rank_sum_pairs(table, "v", "g", names).assign(stars="***")
    figure = group_scatter(table, "v", "g", names, pairs)
    figure.draw_without_rendering()
    right = figure.axes[1]
    # the ink of a star lies in the upper half of its line of text
    stars = [a.get_window_extent() for a in right.texts if a.get_text() == "***"]
    for box in stars:
        box.y0 = box.y0 + 0.55 * box.height
        box.y1 = box.y1 - 0.1 * box.height
    assert len(stars) == count * (count - 1) // 2
    assert not overlaps(stars)
    for line in (line for line in right.lines if line.get_gid() == "bracket"):
        assert not any(line.get_window_extent().padded(-0.3).overlaps(box) for box in stars)
    labels = [label.get_window_extent() for label in right.get_xticklabels()]
    assert all(box.width > 0 for box in labels)
    assert inside(figure)


def test_groups_differ_in_marker_as_well_as_in_colour(rng):
    table = pd.DataFrame({"label": np.repeat(CLASSES, 6), "v": rng.random(24)})
    left, right = group_scatter(table, "v", "label", CLASSES).axes
    shapes = [tuple(map(tuple, cloud.get_paths()[0].vertices.round(3))) for cloud in left.collections]
    assert len(set(shapes)) == 4
    assert [container.lines[0].get_marker() for container in right.containers] == list(MARKERS[:4])
    assert len({container.lines[0].get_color() for container in right.containers}) == 4


def test_with_patients_the_bars_are_those_of_the_patients_means(rng):
    table = pd.DataFrame(
        {"label": ["normal"] * 6, "patient": list("aabbbc"), "v": [0.0, 2.0, 4.0, 4.0, 4.0, 7.0], "w": 1.0}
    )
    table.loc[len(table)] = ["normal", "d", np.inf, 1.0]
    figure = group_scatter(table, "v", "label", ["normal"], patient="patient")
    left, right = figure.axes
    assert len(left.collections[0].get_offsets()) == 6
    (bar,) = right.containers
    assert bar.lines[0].get_ydata()[0] == pytest.approx(4.0)
    assert np.ptp(bar.lines[2][0].get_segments()[0][:, 1]) / 2 == pytest.approx(np.std([1, 4, 7], ddof=1))
    assert right.get_ylabel() == "Mean ± 1 SD of patients"
    assert {"Normal\n(n = 6)", "Normal\n(n = 3)"} <= set(texts(figure))
    with pytest.raises(ConfigError, match="no column who"):
        group_scatter(table, "v", "label", ["normal"], patient="who")


def test_several_values_stand_below_one_another_each_with_its_own_brackets(rng):
    table = pd.DataFrame({"label": np.repeat(CLASSES, 8), "v": rng.random(32), "w": rng.random(32)})
    pairs = {"w": pd.DataFrame({"group_a": ["normal"], "group_b": ["viral"], "stars": ["*"]})}
    figure = groups_figure(table, {"v": "First", "w": "Second"}, "label", CLASSES, pairs)
    brackets = [sum(line.get_gid() == "bracket" for line in axes.lines) for axes in figure.axes]
    assert brackets == [0, 0, 0, 1]
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["First", "Second"]
    assert [text for text in texts(figure) if text in "abcd" and len(text) == 1] == list("abcd")
    with pytest.raises(ConfigError, match="no value"):
        groups_figure(table, [], "label", CLASSES)


def test_only_correctly_classified_patches_are_drawn_and_many_are_thinned(rng):
    patches = pd.DataFrame({"class_name": np.repeat(CLASSES[:2], 5000), "mean": rng.random(10000), "std": 0.1})
    patches["correct"] = np.arange(10000) % 5 > 0
    figure = patch_intensity_figure(patches, CLASSES[:2])
    upper = figure.axes[0].collections[0]
    assert len(upper.get_offsets()) == 3000
    assert upper.get_rasterized()
    kept = patches[patches["correct"] & (patches["class_name"] == "normal")]["mean"]
    drawn = upper.get_offsets()[:, 1]
    assert (drawn.min(), drawn.max()) == (kept.min(), kept.max())
    assert figure.axes[1].containers[0].lines[0].get_ydata()[0] == pytest.approx(kept.mean())
    for axes in figure.axes:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["Normal\n(n = 4000)", "Bacterial\n(n = 4000)"]


def test_the_forest_draws_every_shift_with_its_interval(rng):
    table = pd.DataFrame({"g": np.repeat(list("abc"), 15), "v": rng.normal(np.repeat([0, 0.1, 3], 15))})
    pairs = rank_sum_pairs(table, "v", "g")
    figure = forest_figure(pairs, quantity="v")
    axes = figure.axes[0]
    points = [line for line in axes.lines if line.get_gid() == "estimate"]
    assert [line.get_xdata()[0] for line in points] == pairs["shift"].tolist()
    whiskers = [line.get_xdata().tolist() for line in axes.lines if line.get_gid() == "interval"]
    assert whiskers == pairs[["shift_low", "shift_high"]].to_numpy().tolist()
    filled = [line.get_markerfacecolor() != "white" for line in points]
    assert filled == [stars != "-" for stars in pairs["stars"]] == [False, True, True]
    assert "a − c" in texts(figure)
    assert inside(figure)


def test_the_forest_says_which_rows_are_undefined_and_refuses_what_it_cannot_draw(rng):
    table = pd.DataFrame({"g": ["a", "a", "b"], "v": [1.0, 2.0, np.nan]})
    pairs = rank_sum_pairs(table, "v", "g")
    assert "undefined" in texts(forest_figure(pairs))
    with pytest.raises(ConfigError, match="expected one of shift"):
        forest_figure(pairs, "ratio")
    with pytest.raises(ConfigError, match="empty"):
        forest_figure(pairs.iloc[:0])
    with pytest.raises(ConfigError, match="no column shift"):
        forest_figure(pairs.drop(columns="shift"))


def test_bland_altman_draws_the_limits_that_it_is_given(rng):
    a, b = rng.normal(0.5, 0.1, 40), rng.normal(0.5, 0.1, 40)
    a[0] = np.nan
    given = {"bias": 0.01, "lower": -0.2, "upper": 0.22, "bias_low": 0.0, "bias_high": 0.02}
    figure = bland_altman_figure(a, b, given, ["normal"] * 20 + ["viral"] * 20, ("Network", "Reader"), "ratio")
    axes = figure.axes[0]
    lines = {line.get_gid(): line.get_ydata()[0] for line in axes.lines if line.get_gid()}
    assert lines == {"bias": 0.01, "lower": -0.2, "upper": 0.22}
    points = np.concatenate([np.asarray(cloud.get_offsets()) for cloud in axes.collections])
    assert points == pytest.approx(np.stack([(a + b)[1:] / 2, (a - b)[1:]], axis=1))
    assert "Lower limit\n−0.200" in texts(figure)
    assert axes.get_title(loc="left") == "n = 39 (1 left out: no two values)"
    assert axes.get_ylabel() == "Difference, Network − Reader"
    assert inside(figure)
    with pytest.raises(ConfigError, match="lower"):
        bland_altman_figure(a, b, {"bias": 0, "upper": 1})
    with pytest.raises(ConfigError, match="shape"):
        bland_altman_figure(a, b[:4], given)
    with pytest.raises(ConfigError, match="none of 2 pairs"):
        bland_altman_figure(np.full(2, np.nan), np.ones(2), given)


def test_decision_curves_stand_beside_all_and_none(rng):
    truth = rng.random(200) < 0.3
    curves = {name: decision_curve(truth, np.clip(truth * 0.4 + rng.random(200) * s, 0, 1)) for name, s in
              (("sharp", 0.3), ("blunt", 0.6))}  # fmt: skip
    figure = decision_curve_figure(curves, highest=0.8)
    axes = figure.axes[0]
    drawn = {line.get_gid(): line for line in axes.lines if line.get_gid()}
    shown = curves["blunt"][curves["blunt"]["threshold"] <= 0.8]
    assert drawn["curve:blunt"].get_ydata().tolist() == shown["net_benefit"].tolist()
    assert drawn["curve:sharp"].get_linestyle() != drawn["curve:blunt"].get_linestyle()
    assert {"All positive", "None positive"} <= set(texts(figure))
    assert inside(figure)
    with pytest.raises(ConfigError, match="different shares"):
        decision_curve_figure({"a": curves["sharp"], "b": decision_curve(~truth, rng.random(200))})
    with pytest.raises(ConfigError, match="at least one"):
        decision_curve_figure({})
    with pytest.raises(ConfigError, match="no column net_benefit"):
        decision_curve_figure({"a": curves["sharp"].drop(columns="net_benefit")})


def films(rng, n=80):
    truth = rng.choice(CLASSES, n)
    table = pd.DataFrame({"study": [f"s{i}" for i in range(n)], "patient": [f"p{i // 2}" for i in range(n)]})
    table["truth"], table["predicted"] = truth, np.where(rng.random(n) < 0.7, truth, rng.choice(CLASSES, n))
    return table.assign(entropy=rng.random(n))


def test_the_triage_figure_writes_how_many_films_and_patients_go_where(rng):
    table = triage(films(rng), ["viral"], "entropy", 0.8)
    summary = triage_summary(table, ["viral"])
    figure = triage_figure(summary, ["viral", "covid19"], ["normal", "bacterial", "tuberculosis"])
    for row in summary.itertuples():
        text = f"{row.n} {row.unit}{'' if row.n == 1 else 's'} ({100 * row.share:.0f} %), {row.positive} positive"
        assert text in texts(figure)
    assert "Chest radiographs: 80 films, 40 patients" in texts(figure)
    assert "Predicted viral or COVID-19" in texts(figure)
    figure.draw_without_rendering()
    boxes = [patch.get_window_extent() for patch in figure.axes[0].patches if patch.get_width() > 0.1]
    written = [a.get_window_extent() for a in figure.axes[0].texts if a.get_text()]
    assert all(any(b.x0 <= t.x0 and t.x1 <= b.x1 and b.y0 <= t.y0 and t.y1 <= b.y1 for b in boxes) for t in written)
    assert not overlaps(written)
    paper = triage_figure(triage_summary(triage(films(rng), ["viral"]), ["viral"]), ["viral"])
    assert "Read by a radiologist" not in texts(paper)
    with pytest.raises(ConfigError, match="no film"):
        triage_figure(summary.assign(n=0), ["viral"])


def test_the_triage_curve_draws_missed_over_read(rng):
    curve = triage_curve(films(rng), ["viral"])
    axes = triage_curve_figure({"Vote": curve}).axes[0]
    (line,) = [line for line in axes.lines if line.get_gid() == "curve:Vote"]
    assert line.get_xdata().tolist() == curve["read_share"].tolist()
    assert line.get_ydata().tolist() == curve["missed_share"].tolist()
    with pytest.raises(ConfigError, match="at least one"):
        triage_curve_figure({})


def test_the_triage_report_writes_tables_and_figures(rng, tmp_path):
    found = triage_report(films(rng), ["viral"], tmp_path, "entropy", 0.9)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"groups.tex", "scores.html", "curve.csv", "films.csv", "triage.pdf", "triage_curve.svg"} <= names
    groups = pd.read_csv(tmp_path / "groups.csv")
    assert groups[groups["unit"] == "film"].set_index("group")["n"].to_dict() == {
        name: int((found["group"] == name).sum()) for name in groups["group"].unique()
    }
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('<figure class="figure"') == page.count('<figure class="table"') == 2
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    triage_report(films(rng).drop(columns=["truth", "entropy"]), ["viral"], tmp_path / "bare")
    assert not (tmp_path / "bare" / "scores.csv").exists()
    assert (tmp_path / "bare" / "report.html").read_text(encoding="utf-8").count('<figure class="table"') == 1


def test_the_scores_of_the_triage_are_in_words_and_the_missed_stand_once_a_unit(rng, tmp_path):
    table = films(rng)
    table.loc[0, "truth"] = None
    triage_report(table, ["viral"], tmp_path, "entropy", 0.9)
    raw = pd.read_csv(tmp_path / "scores.csv")
    assert {"npv_of_exclusion", "readings"} <= set(raw["measure"])
    for name in ("groups.md", "scores.md", "scores.tex", "scores.html", "report.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not re.search("npv_of|npv\\\\_of|readings|p_entropy", text)
    missed = int(raw.loc[raw["unit"] == "film", "missed"].iloc[0])
    found = scores_table(raw.fillna({"note": ""}))
    rows = found.readable[found.readable["Measure"] == MISSED]
    sensitivity = raw[raw["measure"] == "sensitivity"]
    assert rows["Unit"].tolist() == ["Films", "Patients"]
    assert rows["Count"].tolist() == (sensitivity["n"] - sensitivity["count"]).tolist()
    low, high = wilson_interval(missed, int(sensitivity["n"].iloc[0]))
    assert f"({low:.3f} to {high:.3f})" in rows["Share (95 % CI)"].iloc[0]
    assert "Films without truth, left out: 1." in found.note
    assert found.note.count("taken as independent") == 1


def test_bland_altman_takes_a_row_of_the_statistics(rng):
    table = pd.DataFrame({"study": range(30), "a": rng.normal(size=30), "b": rng.normal(size=30)})
    found = bland_altman(table, "a", "b").iloc[0].to_dict()
    axes = bland_altman_figure(table["a"].to_numpy(), table["b"].to_numpy(), found).axes[0]
    lines = {line.get_gid(): line.get_ydata()[0] for line in axes.lines if line.get_gid()}
    difference = table["a"] - table["b"]
    assert lines["bias"] == pytest.approx(difference.mean())
    assert lines["upper"] == pytest.approx(difference.mean() + 1.96 * difference.std(), rel=1e-3)
