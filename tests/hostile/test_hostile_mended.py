"""Faults that damaged and malicious files have shown, each with the file that showed it."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hostile_bombs import BOMBS, aliases, described, description
from hostile_readers import dicom
from pydicom.uid import RLELossless

from patchcxr.cli import main
from patchcxr.cli.study import read_overrides
from patchcxr.config import load_yaml
from patchcxr.data.labels import label_scheme
from patchcxr.data.sources._nlm import parse_reading
from patchcxr.data.sources.darwin import draw_polygon
from patchcxr.errors import CheckpointError, ConfigError, ImageError, MaskError, PatchCXRError
from patchcxr.inference.voting import VoteConfig
from patchcxr.io.arrays import ArrayFolder
from patchcxr.io.checkpoint import load_weights
from patchcxr.io.chexlocalize import draw_outlines
from patchcxr.io.dicom_file import DICOM_FAULTS
from patchcxr.io.radiograph import read_radiograph
from patchcxr.io.rle import decode_rle
from patchcxr.models.trained import load_model


@pytest.mark.parametrize(
    "text", ["2001-99-99", "!!timestamp x", "!!bool x", "!!int ''", "!!float x", "9" * 5000, "[" * 20_000]
)
def test_a_value_that_is_not_what_it_claims_makes_a_configuration_unreadable_by_name(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(f"seed: {text}")
    for read in (lambda: load_yaml(VoteConfig, path), lambda: label_scheme(path)):
        with pytest.raises(ConfigError, match=r"c\.yaml"):
            read()


@pytest.mark.parametrize("bomb", ["aliases of a known key", "merged aliases", "endless alias", "alias of the whole"])
def test_aliases_that_stand_for_billions_of_values_are_refused_before_they_are_unfolded(tmp_path, bomb):
    (tmp_path / "c.yaml").write_bytes(BOMBS[".yaml"][bomb]())
    start = time.process_time()
    with pytest.raises(ConfigError, match="aliases"):
        load_yaml(VoteConfig, tmp_path / "c.yaml")
    assert time.process_time() - start < 3


def test_aliases_that_stand_for_little_are_read(tmp_path):
    (tmp_path / "c.yaml").write_text("patches: &n 25\nseed: *n\n")
    assert load_yaml(VoteConfig, tmp_path / "c.yaml") == VoteConfig(patches=25, seed=25)
    (tmp_path / "c.yaml").write_bytes(aliases(3))
    with pytest.raises(ConfigError, match="unknown key"):
        load_yaml(VoteConfig, tmp_path / "c.yaml")


def test_a_configuration_of_many_unknown_keys_is_refused_in_few_words(tmp_path):
    (tmp_path / "c.yaml").write_text("".join(f"k{number}: 1\n" for number in range(2000)))
    with pytest.raises(ConfigError, match="and 1980 more") as refused:
        load_yaml(VoteConfig, tmp_path / "c.yaml")
    assert len(str(refused.value)) < 10_000


@pytest.mark.parametrize("name", [name for name in BOMBS[".npy"] if name not in ("none", "product of 0", "names")])
def test_a_stored_array_is_damaged_whatever_its_header_claims(tmp_path, name):
    (tmp_path / "s.npy").write_bytes(BOMBS[".npy"][name]())
    with pytest.raises(ImageError, match="not a readable array"):
        ArrayFolder(tmp_path).load("s")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format_version": ' + "9" * 5000 + "}"])
def test_a_description_that_json_cannot_hold_makes_no_network(tmp_path, text):
    (tmp_path / "m.safetensors").write_bytes(described(text)())
    with pytest.raises(CheckpointError, match="no patchcxr description"):
        load_weights(tmp_path / "m.safetensors")


def test_sides_and_counts_that_are_no_numbers_make_no_mask():
    for encoded in ({"size": [float("inf"), 1], "counts": "1"}, {"size": [2, 3], "counts": [[1], [2, 3]]}):
        with pytest.raises(MaskError):
            decode_rle(encoded)
    with pytest.raises(MaskError, match="no numbers"):
        draw_outlines([], [float("inf"), 3])
    with pytest.raises(ValueError, match="without coordinates"):
        draw_polygon([[{"x": 10**400, "y": 1}]], (4, 4))


def test_a_reading_with_a_long_number_is_read_at_once():
    start = time.process_time()
    assert parse_reading("Patient's Age: " + "9" * 200_000).age_years is None
    assert time.process_time() - start < 2
    assert parse_reading("female, 16months\nPTB").age_years == pytest.approx(4 / 3)


def test_a_number_in_a_dicom_header_of_the_wrong_length_makes_a_damaged_film(tmp_path):
    dicom(syntax=RLELossless)(tmp_path / "f.dcm")
    sound = (tmp_path / "f.dcm").read_bytes()
    assert issubclass(__import__("pydicom").errors.BytesLengthException, DICOM_FAULTS)
    for length in range(1, 16):
        # Rows, an element of two bytes, claims other lengths.
        place = sound.index(b"\x28\x00\x10\x00US")
        (tmp_path / "f.dcm").write_bytes(sound[: place + 6] + bytes([length, 0]) + sound[place + 8 :])
        if length != 2:
            with pytest.raises(PatchCXRError):
                read_radiograph(tmp_path / "f.dcm")
    (tmp_path / "f.dcm").write_bytes(sound)
    assert np.ptp(read_radiograph(tmp_path / "f.dcm").pixels) > 0


def test_a_file_name_sends_no_command_to_the_terminal(tmp_path, capsys):
    assert main(["cohort", "show", str(tmp_path / "\x1b[31mred.csv")]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert r"\x1b[31mred.csv" in said


@pytest.mark.parametrize("value", ["!!int x", "[" * 3000, "2020-99-99"])
def test_odd_values_on_the_command_line_are_refused_in_words(value):
    with pytest.raises(ConfigError, match="--set") as refused:
        read_overrides([f"seed={value}"])
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "changed",
    [{"image_size": "many"}, {"image_size": None}, {"classes": 5}, {"preprocessing": [1]}],
)
def test_a_network_whose_description_cannot_be_used_is_refused_in_words(tmp_path, changed):
    path = tmp_path / "model.safetensors"
    path.write_bytes(description(**changed)())
    with pytest.raises(CheckpointError, match="description cannot be used"):
        load_model(path)
