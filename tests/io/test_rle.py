"""COCO run lengths: strings of the benchmark itself, by hand, there and back, and damaged."""

import numpy as np
import pytest

from patchcxr.errors import MaskError
from patchcxr.io.rle import decode_rle, encode_rle


@pytest.mark.parametrize(("size", "counts"), [((2022, 2021), "nefl3"), ((2320, 2828), "PVWX6")])
def test_empty_masks_are_written_as_chexlocalize_has_them(size, counts):
    assert encode_rle(np.zeros(size, bool)) == {"size": list(size), "counts": counts}
    assert not decode_rle({"size": size, "counts": counts}).any()


def test_runs_go_down_the_columns_and_begin_with_background():
    mask = np.array([[1, 0, 0], [1, 0, 1]], bool)
    assert decode_rle({"size": [2, 3], "counts": [0, 2, 3, 1]}).tolist() == mask.tolist()
    # 0, 2, 3, then 1 - 2 = -1: five bits of -1 are 11111, and the sign bit ends the number.
    assert encode_rle(mask)["counts"] == "023" + chr(48 + 0b11111)


def test_a_count_above_fifteen_takes_two_characters():
    # 40 = 1 * 32 + 8: lowest five bits 8 with the mark that more follow, then 1.
    assert encode_rle(np.zeros((40, 1), bool))["counts"] == chr(48 + 32 + 8) + "1"


def test_masks_survive_there_and_back(rng):
    for _ in range(100):
        mask = rng.random(rng.integers(1, 60, 2)) < rng.random()
        encoded = encode_rle(mask)
        np.testing.assert_array_equal(decode_rle(encoded), mask)
        np.testing.assert_array_equal(decode_rle(encoded | {"counts": encoded["counts"].encode()}), mask)


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        ({"size": [2, 3]}, "expected COCO run lengths"),
        ("123", "expected COCO run lengths"),
        ({"size": [2, 3], "counts": ""}, "empty, cut off"),
        ({"size": [2, 3], "counts": "12é"}, "characters outside"),
        ({"size": [2, 3], "counts": "12" + chr(48 + 32)}, "cut off"),
        ({"size": [2, 3], "counts": "1" + "o" * 9 + "0"}, "more than 35 bits"),
        ({"size": [2, 4], "counts": "123"}, "add up to 6"),
        ({"size": [2, 3], "counts": [7, -1]}, "counts from 0"),
        ({"size": [2, 3], "counts": [0.5, 5.5]}, "whole numbers"),
        ({"size": [10**6, 10**6], "counts": [10**12]}, "more than the limit"),
        ({"size": [0, 3], "counts": [0]}, "0 x 3"),
    ],
)
def test_damaged_runs_and_bombs_are_refused(encoded, words):
    with pytest.raises(MaskError, match=words):
        decode_rle(encoded)
