"""Grids of films: what is painted, where bars stand, and that nothing runs into anything else."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from patchcxr.errors import ConfigError, MaskError
from patchcxr.report.film_grid import LABEL_MM, PAGE_MM, Panel, film_grid
from patchcxr.report.map_scale import Scale, common_scale, round_up

FILM = np.full((16, 16), 0.5, dtype=np.float32)
SCALES = {"cam": Scale("Grad-CAM", 0.4), "infection": Scale("Probability", infection=True, floor=0.05)}


def painted(figure: Figure, index: int) -> np.ndarray:
    return np.asarray(figure.axes[index].images[0].get_array())


def test_a_pixel_beside_the_lesion_is_the_film_and_one_at_the_top_is_pure_jet() -> None:
    values = np.zeros((16, 16), dtype=np.float32)
    values[3, 4], values[5, 6] = 0.4, 4.0
    shown = Scale("Grad-CAM", 0.4, alpha=1.0).paint(FILM, values)
    assert shown[3, 4].tolist() == [128, 0, 0]
    assert shown[5, 6].tolist() == [128, 0, 0], "a value above the top has the last colour"
    infection = Scale("Probability", infection=True).paint(FILM, np.minimum(values, 1))
    assert infection[0, 0].tolist() == [128, 128, 128]


def test_safe_colours_leave_the_brightness_of_a_film_alone() -> None:
    values = np.linspace(0, 0.3, 256, dtype=np.float32).reshape(16, 16)  # stronger colours would clip
    shown = Scale("Grad-CAM", 0.4, colormap="viridis").paint(FILM, values) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(shown - 127.5).max() < 2


def test_values_at_the_floor_are_not_drawn_whatever_the_top() -> None:
    scale = Scale("Map", 0.5, colormap="viridis", floor=0.1)
    shown = scale.paint(FILM[:1, :2], np.array([[0.1, 0.2]], dtype=np.float32))
    assert np.ptp(shown[0, 0].astype(int)) == 0
    assert np.ptp(shown[0, 1].astype(int)) > 10


def test_one_scale_reaches_just_above_the_largest_of_all_maps() -> None:
    maps = [np.array([[0.03, 0.31]]), np.array([[0.37, 0.0]])]
    assert common_scale("Map", maps, "jet").top == 0.4
    assert common_scale("Map", maps, "jet", "minmax").top == 1.0
    assert "range" in common_scale("Map", maps, "jet", "minmax").label
    assert common_scale("Map", [np.zeros((2, 2))], "jet").top == 1.0, "maps of zeros have a scale too"


@pytest.mark.parametrize("value", [0.001, 0.0999, 0.1, 0.2, 0.55, 0.99, 1.0, 3.1, 77.0])
def test_a_rounded_top_is_not_below_the_value_and_less_than_three_times_it(value: float) -> None:
    assert value <= round_up(value) * (1 + 1e-6)
    assert round_up(value) <= 2 * value * (1 + 1e-9)
    assert float(f"{round_up(value) / 2:.2g}") == pytest.approx(round_up(value) / 2)


def test_the_bar_has_the_colours_of_the_maps_and_stands_below_their_columns() -> None:
    values = np.tile(np.linspace(0, 0.4, 16, dtype=np.float32), (16, 1))
    row = [Panel(FILM), Panel(FILM, values, "cam"), Panel(FILM, values, "infection")]
    figure = film_grid([row], ["Film", "Grad-CAM", "Infection map"], ["one"], SCALES)
    assert len(figure.axes) == 5
    for panel, bar in ((1, 3), (2, 4)):
        above, below = (figure.axes[i].get_position() for i in (panel, bar))
        assert above.x0 <= below.x0 < below.x1 <= above.x1
        assert below.y1 < above.y0
    bar = painted(figure, 3)[0]
    assert bar[0].tolist() == SCALES["cam"].paint(np.full((1, 1), 0.65), np.zeros((1, 1)))[0, 0].tolist()
    assert [tick.get_text() for tick in figure.axes[3].get_xticklabels()] == ["0", "0.2", "0.4"]


def test_panels_are_painted_with_their_own_scale_and_values() -> None:
    values = np.zeros((16, 16), dtype=np.float32)
    values[2:4, 2:4] = 0.4
    figure = film_grid([[Panel(FILM, values, "cam"), Panel(FILM)]], ["Grad-CAM", "Film"], ["one"], SCALES)
    assert np.array_equal(painted(figure, 0), SCALES["cam"].paint(FILM, values))
    assert np.array_equal(painted(figure, 1), FILM)


@pytest.mark.parametrize(("columns", "width"), [(3, 85.0), (5, 174.0)])
def test_no_text_overlaps_another_or_leaves_the_figure(columns: int, width: float) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    values = np.ones((16, 16), dtype=np.float32)
    scales = {f"s{i}": Scale("Probabilistic Grad-CAM of tuberculosis, one scale", 0.4) for i in range(columns)}
    rows = [[Panel(FILM, values, f"s{i}", text="p = 0.91") for i in range(columns)] for _ in range(2)]
    titles = ["Probabilistic Grad-CAM"] * columns
    figure = film_grid(rows, titles, ["COVID-19\ncohen-0123456789012345678901234567890"] * 2, scales, width)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [found for found in figure.findobj(Text) if found.get_text().strip() and found.get_visible()]
    boxes = [found.get_window_extent(renderer) for found in texts]
    page = figure.bbox
    for index, (found, box) in enumerate(zip(texts, boxes, strict=True)):
        assert box.x0 >= page.x0 - 1, found.get_text()
        assert box.x1 <= page.x1 + 1, found.get_text()
        assert box.y0 >= page.y0 - 1, found.get_text()
        assert box.y1 <= page.y1 + 1, found.get_text()
        for other in range(index):
            near = box.x0 < boxes[other].x1 - 1 and boxes[other].x0 < box.x1 - 1
            assert not (near and box.y0 < boxes[other].y1 - 1 and boxes[other].y0 < box.y1 - 1), (
                f"{found.get_text()!r} lies on {texts[other].get_text()!r}"
            )


def test_many_rows_shrink_to_a_page_and_films_keep_their_shape() -> None:
    tall = np.full((24, 12), 0.5, dtype=np.float32)
    figure = film_grid([[Panel(tall), Panel(tall)]] * 9, ["Film", "Film"], [""] * 9)
    width, height = (25.4 * inch for inch in figure.get_size_inches())
    assert height <= PAGE_MM
    place = figure.axes[0].get_position()
    assert place.height * height == pytest.approx(2 * place.width * width)
    assert place.x0 * width == pytest.approx(LABEL_MM)


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match="'other'"):
        film_grid([[Panel(FILM, FILM, "other")]], ["Film"], ["one"], SCALES)
    with pytest.raises(ConfigError, match="2 titles"):
        film_grid([[Panel(FILM)]], ["Film", "Map"], ["one"])
    with pytest.raises(MaskError, match=r"\(4, 4\)"):
        film_grid([[Panel(FILM, FILM[:4, :4], "cam")]], ["Film"], ["one"], SCALES)
    with pytest.raises(ConfigError, match="negative"):
        film_grid([[Panel(FILM, -FILM, "cam")]], ["Film"], ["one"], SCALES)
    with pytest.raises(ConfigError, match="rainbow"):
        Scale("Map", colormap="rainbow")
