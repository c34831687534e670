"""The follow-up figure: what is drawn, in which order, and what is refused or noted."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import ConfigError, MaskError
from patchcxr.report.followup import FollowUpFilm, followup_figure


def visits(**changes):
    table = pd.DataFrame(
        {
            "patient": "p1",
            "study": ["c", "a", "b"],
            "days": [9.0, 2.0, 5.0],
            "overall_percent": [30.0, 10.0, 20.0],
            "right_lung_percent": [40.0, 15.0, 25.0],
            "left_lung_percent": [20.0, 5.0, 15.0],
        }
    )
    return table.assign(**changes)


def line(figure, name):
    found = [one for axes in figure.axes for one in axes.lines if one.get_gid() == name]
    assert len(found) == 1
    return found[0].get_xydata()


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.images]


def notes(figure):
    return figure.get_supxlabel()


def films(names="abc"):
    return {name: FollowUpFilm(np.full((20, 24), 0.5)) for name in names}


def test_curves_run_through_the_shares_in_the_order_of_the_days():
    figure = followup_figure(visits(), films())
    assert line(figure, "overall_percent").tolist() == [[2, 10], [5, 20], [9, 30]]
    assert line(figure, "right_lung_percent").tolist() == [[2, 15], [5, 25], [9, 40]]
    assert line(figure, "left_lung_percent")[:, 1].tolist() == [5, 15, 20]
    assert titles(figure) == ["Day 2", "Day 5", "Day 9"]
    assert notes(figure) == ""
    assert figure.get_suptitle() == "Patient p1"


def test_infection_is_tinted_on_its_pixels_alone():
    infection = np.zeros((20, 24), bool)
    infection[5:9, 6:12] = True
    figure = followup_figure(visits().iloc[:1], {"c": FollowUpFilm(np.full((20, 24), 0.5), infection)})
    shown = np.asarray(figure.axes[0].images[-1].get_array())
    np.testing.assert_array_equal((shown.max(axis=2) > shown.min(axis=2) + 1e-6), infection)
    hue = matplotlib.colors.rgb_to_hsv(shown[6, 7])[0] * 360
    assert 15 < hue < 40


def test_a_film_without_a_day_is_shown_last_and_kept_off_the_curve():
    figure = followup_figure(visits(days=[9.0, np.nan, 5.0]), films())
    assert titles(figure) == ["Day 5", "Day 9", "Day unknown"]
    assert line(figure, "overall_percent").tolist() == [[5, 20], [9, 30]]
    assert notes(figure) == "1 film without a day, shown last and not on the curve."


def test_a_film_without_a_share_leaves_a_gap_and_a_note():
    nan = float("nan")
    table = visits(overall_percent=[30, 10, nan], right_lung_percent=[40, 15, nan], left_lung_percent=[20, nan, nan])
    figure = followup_figure(table, films())
    assert np.isnan(line(figure, "overall_percent")[1, 1])
    assert "1 film without an infected share; the curve has a gap there." in notes(figure)
    assert "1 film with one lung only." in notes(figure)
    labels = [axes.get_xlabel() for axes in figure.axes if axes.images]
    assert labels == ["10 % infected", "not measured", "30 % infected"]


def test_films_that_are_not_there_and_a_single_day_are_noted():
    figure = followup_figure(visits(), films("ab"))
    assert notes(figure) == "1 film could not be shown."
    single = followup_figure(visits().iloc[:1])
    assert notes(single) == "Films of one day only: no course can be told."
    assert line(single, "overall_percent").tolist() == [[9, 30]]


def test_readers_shares_and_scores_are_drawn_where_they_are_known():
    table = visits(readers_percent=[28.0, 12.0, np.nan], extent=[4.0, 1.0, 2.0], opacity=np.nan)
    figure = followup_figure(table)
    assert line(figure, "readers_percent")[[0, 2]].tolist() == [[2, 12], [9, 28]]
    assert line(figure, "extent").tolist() == [[2, 1], [5, 2], [9, 4]]
    assert not any(one.get_gid() == "opacity" for axes in figure.axes for one in axes.lines)
    assert figure.axes[-1].get_ylim() == (0, 8)


def test_many_films_go_into_several_rows():
    days = np.arange(8.0)
    table = pd.DataFrame({"study": [str(i) for i in range(8)], "days": days, "overall_percent": 5.0,
                          "right_lung_percent": 5.0, "left_lung_percent": 5.0})  # fmt: skip
    figure = followup_figure(table, films("01234567"))
    tops = {round(axes.get_position().y1, 2) for axes in figure.axes if axes.images}
    assert len(tops) == 2
    assert titles(figure) == [f"Day {day:g}" for day in days]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"days": np.nan}, "no film of the follow-up has a day"),
        ({"patient": ["p1", "p2", "p1"]}, "2 patients; draw one patient"),
        ({"overall_percent": [30, 10, 120.0]}, r"from 5 to 120; expected percent"),
    ],
)
def test_what_cannot_be_a_course_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        followup_figure(visits(**changes))


def test_missing_columns_and_films_and_masks_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="no column overall_percent"):
        followup_figure(visits().drop(columns="overall_percent"))
    with pytest.raises(ConfigError, match="has no film"):
        followup_figure(visits().iloc[:0])
    with pytest.raises(MaskError, match="c, infection has shape"):
        followup_figure(visits(), {"c": FollowUpFilm(np.zeros((9, 9)), np.zeros((8, 9), bool))})
