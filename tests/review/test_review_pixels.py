from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from review_service import SHAPE, film_levels

from patchcxr.errors import ImageError
from patchcxr.review.pixels import FilmCache, display_window, film_pixels, reduce_film


def test_levels_keep_the_bits_of_the_file(tmp_path):
    for bits, dtype in ((8, np.uint8), (12, np.uint16), (16, np.uint16)):
        levels = np.linspace(0, 2**bits - 1, 64 * 48).round().astype(dtype).reshape(64, 48)
        cv2.imwrite(str(tmp_path / f"{bits}.png"), levels)
        found = film_pixels(tmp_path / f"{bits}.png")
        assert (found.bits, found.factor, found.full) == (bits, 1, (64, 48))
        np.testing.assert_array_equal(found.levels, levels)


def test_a_float_film_is_shown_at_16_bits(tmp_path):
    pixels = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(64, 48)
    np.save(tmp_path / "film.npy", pixels)
    found = film_pixels(tmp_path / "film.npy")
    assert found.bits == 16
    np.testing.assert_array_equal(found.levels, np.rint(pixels * np.float32(65535)))


def test_a_film_beyond_the_largest_side_is_reduced_by_a_whole_factor(tmp_path):
    levels = np.arange(100 * 70, dtype=np.uint16).reshape(100, 70)
    cv2.imwrite(str(tmp_path / "film.png"), levels)
    found = film_pixels(tmp_path / "film.png", largest=40)
    assert (found.factor, found.full, found.levels.shape) == (3, (100, 70), (34, 24))
    np.testing.assert_allclose(found.levels[0, 0], levels[:3, :3].mean(), atol=1)
    assert found.levels[33, 0] == pytest.approx(levels[99, :3].mean(), abs=1)  # the last row, repeated
    assert reduce_film(np.ones((4, 4)), 1).shape == (4, 4)


def test_a_film_of_another_size_than_proposed_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "film.png"), film_levels())
    with pytest.raises(ImageError, match="200 x 240 pixels but was 10 x 10"):
        film_pixels(tmp_path / "film.png", (10, 10))


def test_a_constant_window_is_never_narrower_than_one_level():
    assert display_window(np.full((4, 4), 9, np.uint16)) == (9.0, 1.0)


def test_the_cache_reads_a_film_once_for_many_and_again_when_the_file_changed(tmp_path, monkeypatch):
    reads = []

    def counted(path, shape):
        reads.append(path)
        return film_pixels(path, shape)

    monkeypatch.setattr("patchcxr.review.pixels.film_pixels", counted)
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), film_levels())
    cache, found = FilmCache(), []
    threads = [threading.Thread(target=lambda: found.append(cache.get(path, SHAPE))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1
    assert len({one.gzipped for one in found}) == 1
    cv2.imwrite(str(path), film_levels()[:, ::-1])
    assert cache.get(path, SHAPE).gzipped != found[0].gzipped
    assert len(reads) == 2


def test_the_cache_stays_below_its_limit_and_keeps_no_error(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(4)]
    rng = np.random.default_rng(0)
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 4096, SHAPE).astype(np.uint16))
    one = len(FilmCache().get(paths[0], SHAPE).gzipped)
    cache = FilmCache(limit=int(2.5 * one))
    for path in paths:
        cache.get(path, SHAPE)
        assert cache.held <= 2.5 * one
    assert cache.held == pytest.approx(2 * one, rel=0.01)
    with pytest.raises(ImageError, match="cannot be read"):
        cache.get(Path(tmp_path / "absent.png"), SHAPE)
    tiny = FilmCache(limit=10)
    assert len(tiny.get(paths[0], SHAPE).gzipped) == one
    assert tiny.held == 0
