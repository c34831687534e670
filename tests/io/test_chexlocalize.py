"""Files of CheXlocalize: as its own scripts read them, and never as a hostile pickle wants them read."""

import io
import json
import pickle
import pickletools
import struct

import numpy as np
import pytest
import torch

from patchcxr.errors import ImageError, MaskError
from patchcxr.io.chexlocalize import (
    FINDINGS,
    SaliencyFile,
    draw_outlines,
    map_name,
    parse_map_name,
    read_saliency,
    read_segmentations,
    write_saliency,
    write_segmentations,
)
from patchcxr.io.rle import decode_rle

IMAGE = "patient1_study1_view1_frontal"


def entry(**changes):
    held = {
        "map": torch.arange(6.0).reshape(1, 1, 2, 3),
        "prob": 0.25,
        "task": "Edema",
        "gt": 1,
        "cxr_img": torch.ones(3, 2, 3),
        "cxr_dims": (30, 20),
    }
    return held | changes


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("saliency", ["tensor", "half", "parameter", "slice", "array"])
def test_maps_of_every_protocol_and_kind_are_read(tmp_path, protocol, saliency):
    values = torch.arange(6.0).reshape(1, 1, 2, 3)
    kinds = {
        "tensor": values,
        "half": values.half(),
        "parameter": torch.nn.Parameter(values),
        "slice": torch.arange(24.0).reshape(2, 3, 4).permute(1, 0, 2)[None, :1, :, :3],
        "array": np.asfortranarray(values.numpy()),
    }
    held = entry(map=kinds[saliency], prob=np.float32(0.25), gt=np.int64(1))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(held, protocol=protocol))
    found = read_saliency(tmp_path / "a.pkl")
    expected = kinds[saliency][0, 0]
    np.testing.assert_array_equal(found.saliency, expected.detach().numpy() if torch.is_tensor(expected) else expected)
    assert (found.finding, found.probability, found.present, found.film_shape) == ("Edema", 0.25, True, (20, 30))
    assert found.film.shape == (3, 2, 3)


def test_a_written_map_is_what_the_benchmarks_scripts_expect(tmp_path, rng):
    path = tmp_path / map_name(IMAGE, "Lung Lesion")
    saliency = rng.random((5, 7)).astype(np.float32)
    write_saliency(path, SaliencyFile(saliency, "Lung Lesion", (50, 70), 0.5, False))
    info = pickle.loads(path.read_bytes())
    assert list(info) == ["map", "prob", "task", "gt", "cxr_img", "cxr_dims"]
    columns, rows = info["cxr_dims"]
    enlarged = torch.nn.functional.interpolate(info["map"], size=(rows, columns), mode="bilinear", align_corners=False)
    assert enlarged.shape == (1, 1, 50, 70)
    assert parse_map_name(path.name) == (IMAGE, "Lung Lesion")
    again = read_saliency(path)
    np.testing.assert_array_equal(again.saliency, saliency)
    assert (again.present, again.probability) == (False, 0.5)
    for present in (True, None):
        write_saliency(path, SaliencyFile(saliency, "Lung Lesion", (50, 70), 0.5, present))
        assert read_saliency(path).present is present


class Runs:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(tmp_path):
    mark = tmp_path / "was_run"
    inner = pickle.dumps(Runs(open, str(mark), "w"))
    load = torch.storage._load_from_bytes
    return {
        "a call": entry(map=Runs(open, str(mark), "w")),
        "a call in the values of a tensor": entry(map=Runs(load, inner)),
        "an attribute": entry(prob=Runs(getattr, "a", "upper")),
    }


@pytest.mark.parametrize("kind", ["a call", "a call in the values of a tensor", "an attribute"])
def test_nothing_that_a_pickle_asks_for_is_run(tmp_path, kind):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(hostile(tmp_path)[kind]))
    with pytest.raises(ImageError, match="pickle"):
        read_saliency(tmp_path / "a.pkl")
    assert not (tmp_path / "was_run").exists()


def storage(count):
    """Values of a tensor whose header claims ``count`` numbers, with only one there."""
    pickled = pickletools.genops(pickle.dumps(torch.ones(1), protocol=3))
    data = next(held for _, held, _ in pickled if isinstance(held, bytes))
    return data[:-12] + struct.pack("<q", count) + data[-4:]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "damaged"),
        (pickle.dumps(entry())[:-60], "damaged"),
        (pickle.dumps([1, 2]), "expected a dictionary"),
        (pickle.dumps({"prob": 1}), "expected a dictionary"),
        (pickle.dumps(entry(map="text")), "expected a tensor"),
        (pickle.dumps(entry(map=torch.zeros(2, 2, 3, 3))), "expected one map"),
        (pickle.dumps(entry(map=torch.zeros(1).expand(1, 1, 10**5, 10**5))), "more than the limit"),
        (pickle.dumps(entry(cxr_dims=(10**6, 10**6))), "more than the limit"),
        (pickle.dumps(entry(gt="yes", prob="much")), "no numbers"),
        (b"\x80\x02r\xff\xff\xff\x7f.", "pickle"),
    ],
)
def test_damaged_and_monstrous_maps_are_refused(tmp_path, data, words):
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(ImageError, match=words):
        read_saliency(tmp_path / "a.pkl")


def test_a_tensor_that_claims_more_than_is_there_is_refused(tmp_path):
    load, rebuild = torch.storage._load_from_bytes, torch._utils._rebuild_tensor_v2
    for count, size in ((10**12, (1,)), (1, (2,))):
        held = entry(map=Runs(rebuild, Runs(load, storage(count)), 0, (1, 1, 1, *size), (1, 1, 1, 1), False, {}))
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(held))
        with pytest.raises(ImageError, match="damaged pickle"):
            read_saliency(tmp_path / "a.pkl")


def test_a_missing_map_and_a_strange_name_are_told():
    with pytest.raises(ImageError, match="no such map file"):
        read_saliency("nowhere_Edema_map.pkl")
    with pytest.raises(ImageError, match="IMAGE_FINDING"):
        parse_map_name("edema.pkl")


def test_segmentations_are_written_for_every_finding_and_read_back(tmp_path, rng):
    mask = rng.random((6, 9)) < 0.5
    write_segmentations(tmp_path / "s.json", {IMAGE: {"Edema": mask}})
    written = json.loads((tmp_path / "s.json").read_text())
    assert set(written[IMAGE]) == set(FINDINGS)
    assert not decode_rle(written[IMAGE]["Pneumothorax"]).any()
    found = read_segmentations(tmp_path / "s.json")
    np.testing.assert_array_equal(found.mask(IMAGE, ["Edema", "Lung Lesion"]), mask)
    with pytest.raises(MaskError, match="no segmentation of 'x'"):
        found.mask("x", ["Edema"])
    with pytest.raises(MaskError, match="no entry"):
        found.mask(IMAGE, ["Fracture"])
    with pytest.raises(MaskError, match="shapes"):
        write_segmentations(tmp_path / "s.json", {IMAGE: {"Edema": mask, "Lung Lesion": mask[1:]}})


def test_annotations_are_drawn_with_their_lines(tmp_path):
    square = [[1.0, 1.0], [3.0, 1.0], [3.0, 2.0], [1.0, 2.0]]
    (tmp_path / "a.json").write_text(json.dumps({IMAGE: {"img_size": [4, 5], "Edema": [square, [[0, 3], [0, 3]]]}}))
    found = read_segmentations(tmp_path / "a.json")
    assert found.findings == ["Edema"]
    expected = np.zeros((4, 5), bool)
    expected[1:3, 1:4] = expected[3, 0] = True
    np.testing.assert_array_equal(found.mask(IMAGE, ["Edema"]), expected)
    assert not found.mask(IMAGE, ["Cardiomegaly"]).any()


@pytest.mark.parametrize(
    ("outlines", "size", "words"),
    [
        ([[[0, 0]]], [4, 4], "two or more"),
        ([[[0, 0], [1e9, 3]]], [4, 4], "pixels of the film"),
        ([[[0, 0], [float("nan"), 3]]], [4, 4], "pixels of the film"),
        ([["a", "b"]], [4, 4], "no numbers"),
        ([], [10**6, 10**6], "more than the limit"),
        ([], None, "no numbers"),
    ],
)
def test_outlines_that_cannot_be_drawn_are_refused(outlines, size, words):
    with pytest.raises(MaskError, match=words):
        draw_outlines(outlines, size)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"a": 1}', "[" * 100_000])
def test_json_that_is_no_table_of_images_is_refused(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(MaskError, match=r"damaged JSON|an object for every image"):
        read_segmentations(tmp_path / "s.json")


def test_a_tensor_of_a_tensor_reads_nothing_that_is_not_there(tmp_path):
    """The inner one claims a thousand million values over one; what it says of its size must not be believed."""
    buffer = io.BytesIO()
    torch.save(torch.zeros(1)._typed_storage(), buffer, _use_new_zipfile_serialization=False)
    one = Runs(torch.storage._load_from_bytes, buffer.getvalue())
    inner = Runs(torch._utils._rebuild_tensor_v2, one, 0, (10**9,), (0,), False, None)
    outer = Runs(torch._utils._rebuild_tensor_v2, inner, 0, (1, 1, 64, 64), (0, 0, 64, 1), False, None)
    (tmp_path / "x_Edema_map.pkl").write_bytes(pickle.dumps(entry(map=outer), protocol=4))
    with pytest.raises(ImageError, match="holds no values"):
        read_saliency(tmp_path / "x_Edema_map.pkl")
    (tmp_path / "y_Edema_map.pkl").write_bytes(pickle.dumps(entry(map=Runs(np.ndarray, (64, 64))), protocol=4))
    with pytest.raises(ImageError, match="made of nothing"):
        read_saliency(tmp_path / "y_Edema_map.pkl")
