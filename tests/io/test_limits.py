"""Limits on files and images, and how they are changed."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.io.limits import MAX_FILE_BYTES, MAX_PIXELS, check_pixels, max_file_bytes, max_pixels, read_file
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph


def test_the_largest_digitised_film_passes_and_more_than_the_limit_does_not():
    check_pixels(8600, 8600, "film")  # 43 cm at 50 micrometres
    check_pixels(10_000, 10_000, "film")
    with pytest.raises(ImageError, match=r"10000 x 10001.*PATCHCXR_MAX_PIXELS"):
        check_pixels(10_000, 10_001, "film")
    with pytest.raises(ImageError, match="0 x 5"):
        check_pixels(0, 5, "film")


def test_limits_come_from_the_environment_and_hold_for_films_and_masks(tmp_path, monkeypatch):
    assert (max_pixels(), max_file_bytes()) == (MAX_PIXELS, MAX_FILE_BYTES)
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), np.arange(40 * 48, dtype=np.uint16).reshape(40, 48))
    monkeypatch.setenv("PATCHCXR_MAX_PIXELS", str(40 * 48))
    assert read_radiograph(path).pixels.shape == (40, 48)
    monkeypatch.setenv("PATCHCXR_MAX_PIXELS", str(40 * 48 - 1))
    for read, error in ((read_radiograph, ImageError), (read_mask, MaskError)):
        with pytest.raises(error, match="limit of 1919"):
            read(path)
    monkeypatch.setenv("PATCHCXR_MAX_FILE_BYTES", "100")
    with pytest.raises(ImageError, match="limit of 100"):
        read_radiograph(path)


@pytest.mark.parametrize("text", ["0", "-5", "1e8", "many"])
def test_a_limit_that_is_no_number_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("PATCHCXR_MAX_PIXELS", text)
    with pytest.raises(ConfigError, match=f"PATCHCXR_MAX_PIXELS is '{text}'"):
        max_pixels()


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")  # reading it would wait for ever
    for path, reason in (
        (tmp_path / "pipe.png", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "absent.png", "no such image file"),
        (tmp_path / ("a" * 300), "cannot be read"),
        (Path("a\0b"), "no possible file name"),
    ):
        with pytest.raises(ImageError, match=reason):
            read_file(path)
