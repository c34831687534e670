from __future__ import annotations

import json
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from scipy import stats
from sklearn import metrics

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.report import figures
from patchcxr.report.brackets import bracket_levels, brackets_from_pairs
from patchcxr.report.style import CLASS_COLOURS, FONTS, OTHER_SCRIPTS, STYLE, class_colours, jitter, save_figure

CLASSES = ["normal", "bacterial", "tuberculosis", "viral"]


def texts(figure: Figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(matplotlib.text.Text) if artist.get_text()]


def draw(figure: Figure) -> Figure:
    figure.draw_without_rendering()
    return figure


def disc(shape: tuple[int, int], row: float, column: float, radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_brackets_of_one_level_never_overlap(count):
    spans = [(a, b) for a in range(count) for b in range(a + 1, count)]
    levels = bracket_levels(spans)
    for first in range(len(spans)):
        for second in range(first + 1, len(spans)):
            (a, b), (c, d) = spans[first], spans[second]
            if levels[first] == levels[second]:
                assert b <= c or d <= a


def test_no_bracket_is_drawn_below_a_shorter_one_that_it_spans(rng):
    for _ in range(50):
        spans = [tuple(sorted(rng.choice(7, 2, replace=False).tolist())) for _ in range(8)]
        levels = bracket_levels(spans)
        for (a, b), level in zip(spans, levels, strict=True):
            for (c, d), other in zip(spans, levels, strict=True):
                if b - a < d - c and c < b and a < d:
                    assert level < other


def test_neighbouring_pairs_share_the_lowest_level():
    assert bracket_levels([(0, 1), (1, 2), (2, 3), (0, 3)]) == [0, 0, 0, 1]


def test_brackets_leave_out_what_is_not_significant_or_undefined():
    pairs = pd.DataFrame(
        {"group_a": ["a", "b", "a", "a"], "group_b": ["b", "c", "c", "d"], "stars": ["**", "-", "n/a", "*"]}
    )
    assert [(b.low, b.high, b.stars) for b in brackets_from_pairs(pairs, ["c", "b", "a"])] == [(1, 2, "**")]
    shown = brackets_from_pairs(pairs, ["c", "b", "a"], significant_only=False)
    assert [b.stars for b in shown] == ["**", "n.s."]
    assert brackets_from_pairs(None, ["a"]) == []
    with pytest.raises(ConfigError, match="no column stars"):
        brackets_from_pairs(pairs.drop(columns="stars"), ["a"])


def test_group_scatter_puts_points_at_the_means_and_bars_at_one_standard_deviation(rng):
    table = pd.DataFrame({"label": ["normal"] * 20 + ["covid19"] * 30, "ctr": rng.normal(0.5, 0.05, 50)})
    table.loc[0, "ctr"] = np.nan
    pairs = pd.DataFrame({"group_a": ["normal"], "group_b": ["covid19"], "stars": ["***"]})
    figure = draw(figures.group_scatter(table, "ctr", "label", ["normal", "covid19"], pairs, "Ratio"))
    left, right = figure.axes
    assert [container.lines[0].get_ydata()[0] for container in right.containers] == pytest.approx(
        [table.ctr[1:20].mean(), table.ctr[20:].mean()]
    )
    bars = [np.ptp(container.lines[2][0].get_segments()[0][:, 1]) / 2 for container in right.containers]
    assert bars == pytest.approx([table.ctr[1:20].std(), table.ctr[20:].std()])
    assert sorted(left.collections[0].get_offsets()[:, 1]) == pytest.approx(sorted(table.ctr[1:20]))
    assert "Normal\n(n = 19)" in texts(figure)
    assert "***" in texts(figure)
    assert left.get_ylabel() == "Ratio"


def test_brackets_of_the_scatter_lie_above_every_bar(rng):
    order = ["normal", "tuberculosis", "bacterial", "viral", "covid19"]
    table = pd.DataFrame({"label": np.repeat(order, 12), "v": rng.normal(size=60) * 3})
    pairs = pd.DataFrame(
        [{"group_a": a, "group_b": b, "stars": "*"} for i, a in enumerate(order) for b in order[i + 1 :]]
    )
    right = figures.group_scatter(table, "v", "label", order, pairs).axes[1]
    grouped = table.groupby("label")["v"]
    brackets = [line for line in right.lines if line.get_gid() == "bracket"]
    assert len(brackets) == 10
    assert min(line.get_ydata().min() for line in brackets) > (grouped.mean() + grouped.std()).max()
    assert max(line.get_ydata().max() for line in brackets) <= right.get_ylim()[1]


def test_a_group_with_one_value_or_none_is_drawn_without_a_bar():
    table = pd.DataFrame({"label": ["normal"], "v": [0.5]})
    draw(figures.group_scatter(table, "v", "label", ["normal", "viral"]))
    with pytest.raises(ConfigError, match="no row"):
        figures.group_scatter(table, "v", "label", ["viral"])
    with pytest.raises(ConfigError, match="no column w"):
        figures.group_scatter(table, "w", "label", ["normal"])


def test_the_legend_gives_the_areas_that_scikit_learn_computes(rng):
    truth = rng.integers(0, 2, 150)
    score = np.round(rng.normal(truth * 0.8, 1.0), 1)
    intervals = {"vote": {"auroc": (0.61, 0.82)}}
    figure = draw(figures.roc_pr_figure({"vote": {"truth": truth, "score": score}}, intervals, {"vote": 0.5}))
    area, precision = metrics.roc_auc_score(truth, score), metrics.average_precision_score(truth, score)
    assert f"vote: {area:.3f} (0.610 to 0.820)" in texts(figure)
    assert f"vote: {precision:.3f}" in texts(figure)
    roc, recall_axes = figure.axes
    assert np.trapezoid(roc.lines[0].get_ydata(), roc.lines[0].get_xdata()) == pytest.approx(area)
    (point,) = [line for line in roc.lines if line.get_gid() == "operating point"]
    positive = score >= 0.5
    assert point.get_ydata()[0] == pytest.approx(metrics.recall_score(truth, positive))
    assert point.get_xdata()[0] == pytest.approx(1 - metrics.recall_score(1 - truth, ~positive))
    (prevalence,) = [line for line in recall_axes.lines if line.get_label() == "Prevalence"]
    assert prevalence.get_ydata()[0] == pytest.approx(truth.mean(), abs=1e-4)


def test_a_detector_with_one_class_is_called_undefined():
    figure = draw(figures.roc_pr_figure({"vote": {"truth": np.ones(4), "score": np.arange(4.0)}}))
    assert texts(figure).count("vote: undefined (one class only)") == 2
    with pytest.raises(ConfigError, match="at least one"):
        figures.roc_pr_figure({})
    with pytest.raises(ConfigError, match="shape"):
        figures.roc_pr_figure({"vote": {"truth": np.ones(4), "score": np.ones(3)}})


def test_the_confusion_figure_writes_counts_and_shares_of_the_true_class():
    matrix = np.array([[34, 2, 1, 1], [1, 8, 1, 0], [0, 0, 0, 0], [1, 2, 0, 37]])
    figure = draw(figures.confusion_figure({"global": matrix, "local": matrix}, CLASSES))
    written = texts(figure)
    assert written.count("34") == 2
    assert written.count("89.5 %") == 2
    assert written.count("–") == 8
    limits = {image.get_clim() for axes in figure.axes for image in axes.images}
    assert limits == {(0, 100)}
    with pytest.raises(ConfigError, match=r"\(4, 4\)"):
        figures.confusion_figure({"local": matrix}, CLASSES[:3])


def test_the_localisation_figure_writes_medians_and_shares(rng):
    rows = [
        {"study": f"s{i}", "method": method, "measure": measure, "value": value}
        for i in range(21)
        for method, shift in (("Grad-CAM", 0.0), ("Infection map", 0.3))
        for measure, value in (("best_dice", rng.uniform(0, 0.6) + shift), ("pointing_hit", float(i % 3 == 0)))
    ]
    table = pd.DataFrame(rows)
    pairs = pd.DataFrame(
        {"measure": ["best_dice"], "group_a": ["Grad-CAM"], "group_b": ["Infection map"], "stars": ["**"]}
    )
    figure = draw(figures.localization_figure(table, pairs=pairs))
    medians = table[table.measure == "best_dice"].groupby("method")["value"].median()
    for median in medians:
        assert f"{median:.2f}" in texts(figure)
    assert texts(figure).count("33 %") == 2
    assert texts(figure).count("**") == 1
    assert "Best Dice (n = 21)" in texts(figure)
    with pytest.raises(ConfigError, match="no column method"):
        figures.localization_figure(table.drop(columns="method"))


def test_the_severity_figure_states_spearmans_correlation_and_the_error(rng):
    true = rng.uniform(0, 60, 30)
    predicted = true + rng.normal(0, 8, 30)
    predicted[3] = np.nan
    title = draw(figures.severity_figure(true, predicted)).axes[0].get_title(loc="left")
    kept = np.isfinite(predicted)
    rho = stats.spearmanr(true[kept], predicted[kept]).statistic
    error = np.abs(true[kept] - predicted[kept]).mean()
    assert title == f"Spearman ρ = {rho:.2f}, mean absolute error {error:.1f}, n = 29"
    assert "undefined" in figures.severity_figure(np.zeros(5), np.arange(5.0)).axes[0].get_title(loc="left")
    with pytest.raises(ConfigError, match="shape"):
        figures.severity_figure(np.zeros(5), np.zeros(4))


def test_follow_up_orders_the_days():
    axes = figures.follow_up_figure(np.array([5, 0, 2]), {"overall": [30.0, 10.0, np.nan]}).axes[0]
    assert axes.lines[0].get_xdata().tolist() == [0, 2, 5]
    assert axes.lines[0].get_ydata()[[0, 2]].tolist() == [10.0, 30.0]
    with pytest.raises(ConfigError, match="one value a day"):
        figures.follow_up_figure(np.array([5, 0]), {"overall": [30.0]})


def test_training_curves_part_losses_from_scores():
    history = {"epoch": [1, 2], "train_loss": [1.0, 0.5], "validation_f1": [0.2, 0.6], "lr": [1e-4, 1e-4]}
    figure = draw(figures.training_curves(history, best_epoch=2))
    loss, score = figure.axes
    assert [line.get_label() for line in loss.lines] == ["train loss", "best epoch (2)"]
    assert list(score.lines[0].get_ydata()) == [0.2, 0.6]
    with pytest.raises(ConfigError, match="lr"):
        figures.training_curves({"lr": [1.0]})


def test_segmentations_are_filled_blue_and_red_and_outlined_green():
    film = np.zeros((60, 60), np.float32)
    labels = np.zeros((60, 60), np.uint8)
    labels[10:30, 5:20], labels[10:30, 40:55], labels[30:40, 20:40] = 3, 2, 1
    figure = draw(figures.segmentation_examples([film, film], [labels, labels == 1], [labels, None], ["a", "b"]))
    shown = figure.axes[2].images[0].get_array()
    assert np.argmax(shown[20, 10]) == np.argmax(shown[20, 50]) == 2
    assert np.argmax(shown[35, 30]) == 0
    assert shown[50, 50].tolist() == [0, 0, 0]
    assert len(figure.axes[2].collections) == 2
    assert not figure.axes[3].collections
    with pytest.raises(MaskError, match="shape"):
        figures.segmentation_examples([film], [labels[:30]])
    with pytest.raises(MaskError, match="spine"):
        figures.segmentation_examples([film], [{"spine": labels > 0}])
    with pytest.raises(ConfigError, match="as many"):
        figures.segmentation_examples([film], [])


def test_the_contact_sheet_shows_every_film_below_its_title(rng):
    films = [rng.random((50, 40)), (rng.random((1300, 1400)) * 255).astype(np.uint8), rng.random((20, 64))]
    titles = ["one", "two", "a_very_long_file_name_that_cannot_fit_above_its_film"]
    figure = draw(figures.contact_sheet(films, titles, columns=2))
    assert [bool(axes.images) for axes in figure.axes] == [True, True, True, False]
    assert figure.axes[1].images[0].get_array().shape == (433, 466)
    assert figure.axes[1].images[0].get_array().mean() == pytest.approx(films[1].mean() / 255, abs=1e-3)
    assert figure.axes[2].get_title(loc="left").startswith("a_very_long_")
    with pytest.raises(ImageError, match="rows, columns"):
        figures.contact_sheet([np.zeros((4, 4, 3))], ["rgb"])
    with pytest.raises(ConfigError, match="titles"):
        figures.contact_sheet([], [])


MAPS = ("global_gradcam", "probabilistic_gradcam", "infection_map")


def test_maps_of_a_column_keep_their_ratios_when_drawn():
    faint, strong = np.array([[0.02, 0.0]]), np.array([[0.98, 0.49]])
    drawn = figures.draw_scale([faint, None, strong], "column")
    assert drawn[1] is None
    assert drawn[0].max() == pytest.approx(0.02 / 0.98)
    assert drawn[2].tolist() == [[1.0, 0.5]]
    assert [m.max() for m in figures.draw_scale([faint, strong], "map")] == [1.0, 1.0]
    assert figures.draw_scale([faint, strong], "none")[0].tolist() == faint.tolist()
    assert figures.draw_scale([np.zeros((2, 2))], "map")[0].max() == 0.0


@pytest.mark.parametrize(
    ("found", "scale", "words"),
    [
        (np.array([[2.0]]), "none", "needs values in"),
        (np.array([[-1.0]]), "column", "negative"),
        (np.array([[np.nan]]), "column", "undefined"),
        (np.array([[1.0]]), "row", "choose from column, map, none"),
    ],
)
def test_maps_that_cannot_be_scaled_are_refused(found, scale, words):
    with pytest.raises(ConfigError, match=words):
        figures.draw_scale([found], scale)


def test_the_saliency_panel_has_a_row_a_film_and_says_its_scale(rng):
    film, lesion = rng.random((40, 50)), disc((40, 50), 20, 15, 6)
    weights = np.array([3.0, 0.4, 0.9])[:, None, None]
    rows = [
        figures.SaliencyRow("s1", "covid19", film, lesion, dict(zip(MAPS, lesion * weights, strict=True))),
        figures.SaliencyRow("s2", "normal", film, np.zeros_like(lesion), {"global_gradcam": lesion * 1.5}),
    ]
    figure = draw(figures.saliency_panel(rows))
    written = texts(figure)
    for title in ("Film", "True lesion", "Global Grad-CAM", "Probabilistic Grad-CAM", "Infection map"):
        assert written.count(title) == 1
    assert "Activation: share of the largest value in the column" in written
    assert "Probability above 0.05" in written
    assert "COVID-19\ns1" in written
    assert written.count("not available") == 2
    assert len(figure.axes) == 2 * 5 + 2
    with pytest.raises(MaskError, match="infection_map of s1"):
        figures.saliency_panel([figures.SaliencyRow("s1", "viral", film, maps={"infection_map": np.zeros((4, 4))})])


def test_the_panel_leaves_out_columns_that_nobody_fills(rng):
    film = rng.random((40, 40))
    row = figures.SaliencyRow("s1", "viral", film, maps={"global_gradcam": film, "infection_map": None})
    figure = draw(figures.saliency_panel([row], scale="map"))
    assert [axes.get_title(loc="center") for axes in figure.axes][:2] == ["Film", "Global Grad-CAM"]
    assert len(figure.axes) == 3
    assert "Activation: share of each map's own largest value" in [text.replace("\n", " ") for text in texts(figure)]


def test_labels_and_titles_stay_inside_the_figure(rng):
    film, lesion = rng.random((300, 360)), disc((300, 360), 150, 90, 40)
    row = figures.SaliencyRow(
        "a_study_with_a_very_long_name_indeed.png", "tuberculosis", film, lesion, dict.fromkeys(MAPS, film)
    )
    table = pd.DataFrame({"label": np.repeat(CLASSES, 10), "v": rng.random(40)})
    curve = {"truth": rng.integers(0, 2, 60), "score": rng.random(60)}
    methods = ["Global Grad-CAM", "Probabilistic Grad-CAM", "Infection map"]
    scores = pd.DataFrame(
        [(f"s{i}", m, q, rng.random()) for i in range(9) for m in methods for q in ("auroc", "best_iou", "best_dice")],
        columns=["study", "method", "measure", "value"],
    )
    for figure in (
        figures.saliency_panel([row, row]),
        figures.group_scatter(table, "v", "label", CLASSES),
        figures.localization_figure(scores, methods),
        figures.roc_pr_figure({"U-Net, DenseNet-121, not frozen": curve, "Patch vote": curve}),
        figures.confusion_figure({"local": np.eye(4) * 1000}, CLASSES),
    ):
        for dots in (200, 131):
            figure.dpi = dots
            box = draw(figure).get_tightbbox()
            width, height = figure.get_size_inches()
            assert box.x0 > -0.02
            assert box.y0 > -0.02
            assert box.x1 < width + 0.02
            assert box.y1 < height + 0.02


def test_save_figure_writes_each_format_and_the_same_bytes_again(tmp_path):
    figure = figures.confusion_figure({"local": np.eye(2)}, ["normal", "covid19"])
    first = save_figure(figure, tmp_path / "plots" / "confusion.v2")
    assert [path.name for path in first] == ["confusion.v2.png", "confusion.v2.svg"]
    assert first[0].read_bytes().startswith(b"\x89PNG")
    svg = first[1].read_text(encoding="utf-8")
    assert ">COVID-19</text>" in svg
    again = save_figure(
        figures.confusion_figure({"local": np.eye(2)}, ["normal", "covid19"]), tmp_path / "again", ("svg",)
    )
    assert again[0].read_text(encoding="utf-8") == svg
    with pytest.raises(ConfigError, match="choose from png, svg, pdf"):
        save_figure(figure, tmp_path / "x", ("gif",))


def test_figures_touch_neither_pyplot_nor_the_settings():
    code = """
import json, sys
import matplotlib, numpy as np
before = dict(matplotlib.rcParams)
from patchcxr.report import figures
figure = figures.confusion_figure({"a": np.eye(2)}, ["x", "y"])
changed = [key for key, value in matplotlib.rcParams.items() if value != before[key]]
pyplot = sys.modules.get("matplotlib.pyplot")  # matplotlib may import it by itself
print(json.dumps({"open": pyplot.get_fignums() if pyplot else [], "changed": changed, "axes": len(figure.axes)}))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"open": [], "changed": [], "axes": 2}


def test_a_class_has_the_same_colour_everywhere_and_new_ones_take_free_colours():
    assert class_colours(["covid19", "normal"]) == {k: CLASS_COLOURS[k] for k in ("covid19", "normal")}
    colours = class_colours(["normal", "site A", "site B"])
    assert len(set(colours.values())) == 3
    assert jitter(5, "normal") == jitter(5, "normal")
    assert max(map(abs, jitter(500, "x", 0.2))) <= 0.2


def test_fonts_for_other_scripts_follow_where_they_are_installed():
    first, generic, *others = STYLE["font.family"]
    assert (first in FONTS, generic) == (True, "sans-serif")
    assert {first, *others} <= set(fontManager.get_font_names())
    assert set(others) <= set(OTHER_SCRIPTS)
