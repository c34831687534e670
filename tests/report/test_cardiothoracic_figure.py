"""The cardiothoracic figure draws what was measured."""

import numpy as np
import pytest

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.report.cardiothoracic import cardiothoracic_figure
from patchcxr.report.style import ORGAN_COLOURS, save_figure

FILM = np.linspace(0, 1, 60 * 80, dtype=np.float32).reshape(60, 80)
LUNGS = np.zeros((60, 80), bool)
LUNGS[10:40, 8:30] = LUNGS[10:48, 50:72] = True
HEART = np.zeros((60, 80), bool)
HEART[30:46, 28:52] = HEART[44:46, 28:56] = True


def labels(figure):
    return {text.get_gid(): text for text in figure.axes[0].texts if text.get_gid()}


def arrows(figure):
    return [text for text in figure.axes[0].texts if text.arrow_patch is not None]


def test_the_arrows_span_the_diameters_in_the_colours_of_the_paper():
    heart, thorax = arrows(cardiothoracic_figure(FILM, HEART, LUNGS))[::-1]
    assert (heart.xyann[0], heart.xy[0]) == (27.5, 55.5)
    assert (thorax.xyann[0], thorax.xy[0]) == (7.5, 71.5)
    assert heart.xy[1] == 45
    assert 10 <= thorax.xy[1] < 40
    edges = [arrow.arrowprops["color"] for arrow in (heart, thorax)]
    assert edges == [ORGAN_COLOURS["heart"], ORGAN_COLOURS["lungs"]]


def test_lengths_are_in_pixels_until_the_spacing_is_known():
    figure = cardiothoracic_figure(FILM, HEART, LUNGS, title="film 7")
    assert labels(figure)["label:Heart"].get_text() == "Heart 28 pixels"
    assert labels(figure)["label:Thorax"].get_text() == "Thorax 64 pixels"
    assert figure.axes[0].get_title("left") == "film 7: cardiothoracic ratio 0.44"
    known = cardiothoracic_figure(FILM, HEART, LUNGS, pixel_spacing_mm=(4, 5))
    assert labels(known)["label:Heart"].get_text() == "Heart 140 mm"
    assert labels(known)["label:Thorax"].get_text() == "Thorax 320 mm"
    assert known.axes[0].get_title("left") == "cardiothoracic ratio 0.44"


def test_the_film_has_its_true_proportions_where_the_spacing_is_known():
    figure = cardiothoracic_figure(FILM, HEART, LUNGS, pixel_spacing_mm=(4, 2))
    assert figure.axes[0].get_aspect() == 2
    width, height = figure.get_size_inches()
    assert height > 1.4 * width
    assert cardiothoracic_figure(FILM, HEART, LUNGS).axes[0].get_aspect() == 1


def test_labels_keep_apart_however_close_the_arrows_are():
    close = np.zeros_like(LUNGS)
    close[24:27, 30:50] = True
    figure = cardiothoracic_figure(FILM, close, LUNGS)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in labels(figure).values()]
    assert len(boxes) == 2
    assert not boxes[0].overlaps(boxes[1])


def test_a_large_film_is_measured_as_it_is_and_drawn_smaller():
    many = np.ones((25, 25), bool)
    figure = cardiothoracic_figure(np.kron(FILM, many), np.kron(HEART, many), np.kron(LUNGS, many))
    assert labels(figure)["label:Heart"].get_text() == "Heart 700 pixels"
    assert figure.axes[0].images[0].get_array().shape == (750, 1000)
    heart = arrows(figure)[-1]
    assert (heart.xyann[0], heart.xy[0]) == (350 - 0.5, 700 - 0.5)


@pytest.mark.parametrize(
    ("heart", "lungs", "reason", "drawn"),
    [
        (np.zeros_like(HEART), LUNGS, "(no heart)", 1),
        (HEART, np.zeros_like(LUNGS), "(no lungs)", 1),
        (np.zeros_like(HEART), np.zeros_like(LUNGS), "(no heart, no lungs)", 0),
    ],
)
def test_a_missing_organ_gives_a_dash_and_the_reason(heart, lungs, reason, drawn):
    figure = cardiothoracic_figure(FILM, heart, lungs)
    assert figure.axes[0].get_title("left") == f"cardiothoracic ratio – {reason}"
    assert len(labels(figure)) == drawn


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first, second = (
        save_figure(cardiothoracic_figure(FILM, HEART, LUNGS), tmp_path / name, ("png", "svg", "pdf"))
        for name in ("a", "b")
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ImageError, match="expected \\(rows, columns\\)"):
        cardiothoracic_figure(FILM[None], HEART, LUNGS)
    with pytest.raises(MaskError, match="heart has shape"):
        cardiothoracic_figure(FILM, HEART[:5], LUNGS)
    with pytest.raises(ConfigError, match="pixel_spacing_mm"):
        cardiothoracic_figure(FILM, HEART, LUNGS, pixel_spacing_mm=(1, 0))
