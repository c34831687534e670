"""V7 Darwin JSON of both versions: a tiny fake tree."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from skimage.draw import polygon2mask

from patchcxr.data.cohort import check_cohort_files
from patchcxr.data.labels import CANONICAL_LABELS
from patchcxr.data.sources.darwin import LABELS, build, draw_polygon
from patchcxr.errors import CohortError
from patchcxr.io.masks import read_mask

SHAPE = (40, 50)


def rectangle(top, left, bottom, right):
    """Corners of the pixels from (top, left) to (bottom, right), both of them within."""
    return [{"x": x, "y": y} for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]


def filled(*boxes):
    mask = np.zeros(SHAPE, dtype=bool)
    for top, left, bottom, right in boxes:
        mask[top : bottom + 1, left : right + 1] = True
    return mask


def tags(*names):
    return [{"name": name, "tag": {}} for name in names]


def version_1(name, annotations, original="original.jpeg"):
    image = {"width": SHAPE[1], "height": SHAPE[0], "filename": name, "original_filename": original, "path": "/"}
    return {"dataset": "covid-19-chest-x-ray-dataset", "image": image, "annotations": annotations}


def version_2(name, annotations):
    slot = {"type": "image", "slot_name": "0", "width": SHAPE[1], "height": SHAPE[0]}
    return {"version": "2.0", "item": {"name": name, "path": "/", "slots": [slot]}, "annotations": annotations}


def write_json(root, name, document):
    path = root / "releases" / "all-images" / "annotations" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))


@pytest.fixture
def published(tmp_path):
    root = tmp_path / "covid-19-chest-x-ray-dataset"
    for name in ("images/1.jpeg", "images/2.png", "images/3.png", "images/person1_virus_6.jpeg", "images/5.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), np.tile(np.arange(50, dtype=np.uint8), (40, 1)))
    (root / "annotations" / "all-images-semantic-masks").mkdir(parents=True)
    (root / "annotations" / "all-images-semantic-masks" / "1.png").touch()
    (root / "images" / "Thumbs.db").touch()
    lung = [
        {"name": "Lung", "polygon": {"path": rectangle(5, 5, 20, 15)}, "bounding_box": {"x": 5, "y": 5}},
        {"name": "Lung", "polygon": {"path": rectangle(5, 30, 20, 40)}},
        {"name": "Ignore", "polygon": {"path": rectangle(8, 8, 9, 9)}},
        {"name": "Clavicle", "polygon": {"path": rectangle(0, 0, 3, 40)}},
    ]
    write_json(root, "1.json", version_1("1.jpeg", [*lung, *tags("COVID-19", "Viral Pneumonia", "PA", "Age/52")]))
    holes = {"path": rectangle(2, 2, 30, 30), "additional_paths": [rectangle(10, 10, 20, 20)]}
    write_json(root, "2.json", version_1("2.png", [{"name": "Lung", "polygon": holes}, *tags("Bacterial Pneumonia")]))
    paths = {"paths": [rectangle(2, 2, 30, 30), rectangle(10, 10, 20, 20)]}
    write_json(root, "3.json", version_2("3.png", [{"name": "left lung", "polygon": paths}, *tags("No Finding")]))
    old = [{"name": "Lung", "complex_polygon": {"path": [rectangle(-9, -9, 3, 3), rectangle(30, 45, 99, 99.6)]}}]
    write_json(root, "4.json", version_1("4.jpeg", [*old, *tags("Pneumonia")], original="person1_virus_6.jpeg"))
    write_json(root, "5.json", version_2("5.png", tags("Viral Pneumonia", "Lateral")))
    return root


def test_polygons_of_both_versions_become_masks(published, tmp_path):
    cohort, _ = build(published, masks_dir=tmp_path / "made")
    table = cohort.set_index(cohort["study"].str.removeprefix("darwin-"))
    expected = {
        ("1", "lung_mask"): filled((5, 5, 20, 15), (5, 30, 20, 40)),
        ("1", "ignore_mask"): filled((8, 8, 9, 9)),
        ("4", "lung_mask"): filled((0, 0, 3, 3), (30, 45, 39, 49)),
    }
    for (study, column), mask in expected.items():
        folder = column.removesuffix("_mask")
        assert table.loc[study, column] == str(tmp_path / "made" / "darwin" / folder / f"{study}.png")
        np.testing.assert_array_equal(read_mask(table.loc[study, column], SHAPE), mask)
    for study, column in (("2", "lung_mask"), ("3", "left_lung_mask")):
        mask = read_mask(table.loc[study, column], SHAPE)
        assert mask[5, 5]
        assert not mask[15, 15]
        assert filled((2, 2, 30, 30))[mask].all()
        assert (filled((2, 2, 30, 30)) & ~filled((10, 10, 20, 20)) & ~mask).sum() == 0
    assert table[["right_lung_mask", "heart_mask", "infection_mask"]].isna().all(axis=None)
    check_cohort_files(cohort)


def test_tags_give_labels_and_views_and_are_kept(published, tmp_path):
    cohort, skipped = build(published, masks_dir=tmp_path / "made")
    table = cohort.set_index(cohort["study"].str.removeprefix("darwin-"))
    assert table["label"].to_dict() == {"1": "covid19", "2": "bacterial", "3": "normal", "4": "pneumonia"}
    assert table["view"].fillna("").to_dict() == {"1": "PA", "2": "", "3": "", "4": ""}
    assert table.loc["1", "tags"] == "COVID-19|Viral Pneumonia|PA|Age/52"
    assert table["patient_id_known"].eq("no").all()
    assert skipped.to_numpy().tolist() == [["5", "lateral view"]]


def test_a_film_is_found_by_its_own_or_its_original_name(published, tmp_path):
    cohort = build(published, masks_dir=tmp_path / "made").cohort
    assert cohort["image"].tolist() == [
        str(published / "images" / name) for name in ("1.jpeg", "2.png", "3.png", "person1_virus_6.jpeg")
    ]
    assert cohort["original_filename"].iloc[-1] == "person1_virus_6.jpeg"
    (published / "images" / "2.png").unlink()
    cohort, skipped = build(published, masks_dir=tmp_path / "again")
    assert len(cohort) == 3
    assert ["2", f"no such image in {published}"] in skipped.to_numpy().tolist()
    assert not (tmp_path / "again" / "darwin" / "lung" / "2.png").exists()


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (("Viral Pneumonia", "Bacterial Pneumonia"), None),
        (("Pneumonia", "No Finding"), None),
        (("No Pneumonia (healthy)", "No Finding"), "normal"),
        (("Viral Pneumonia", "COVID-19", "ARDS", "Pneumonia"), "covid19"),
        (("Undefined Pneumonia", "Lipoid pneumonia"), "other"),
        (("Sex/M",), None),
    ],
)
def test_the_most_specific_tag_is_the_label_and_a_contradiction_is_none(tmp_path, names, label):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros(SHAPE, dtype=np.uint8))
    write_json(tmp_path, "a.json", version_2("a.png", tags(*names)))
    found = build(tmp_path).cohort["label"].iloc[0]
    assert (None if pd.isna(found) else found) == label


def test_every_label_of_darwin_is_canonical():
    assert set(LABELS.values()) <= set(CANONICAL_LABELS)


def test_files_that_are_no_annotations_are_skipped_with_the_reason(published, tmp_path):
    slots = [{"width": 50, "height": 40}] * 2
    point = [{"name": "Lung", "polygon": {"path": [{"x": 1}]}}]
    endless = [{"name": "Lung", "polygon": {"path": [{"x": float("inf"), "y": 1.0}]}}]
    bad = {
        "a.json": ("{broken", "not a JSON file"),
        "b.json": ("[" * 100_000, "not a JSON file"),
        "c.json": ({"images": [], "annotations": []}, "not a Darwin annotation"),
        "d.json": ({"item": {"name": "1.jpeg", "slots": slots}, "annotations": []}, "does not describe one image"),
        "e.json": (
            {"image": {"filename": "x.png", "width": 10**9, "height": 10**9}, "annotations": []},
            "names ['x.png'] and 1000000000 x 1000000000 pixels are not those of an image",
        ),
        "f.json": (version_1("5.png", point), "a polygon has points without coordinates"),
        "g.json": (version_1("5.png", endless), "a polygon has points that are not finite"),
        "h.json": (version_1("1.jpeg", []), "1 is annotated by another file"),
    }
    for name, (document, _) in bad.items():
        write_json(published, name, document)
    cohort, skipped = build(published, masks_dir=tmp_path / "made")
    assert len(cohort) == 4
    reasons = {name.rsplit("/", 1)[-1]: reason for name, reason in skipped.to_numpy()}
    assert reasons == {"5": "lateral view", **{name: reason for name, (_, reason) in bad.items()}}


def test_masks_need_a_folder_outside_of_the_data_set_only_if_there_are_polygons(published, tmp_path):
    with pytest.raises(CohortError, match=r"polygons must be drawn as masks; give a folder outside .*masks_dir"):
        build(published)
    with pytest.raises(CohortError, match="never written to"):
        build(published, masks_dir=published)
    for path in (published / "releases" / "all-images" / "annotations").iterdir():
        document = json.loads(path.read_text())
        document["annotations"] = [each for each in document["annotations"] if "tag" in each]
        path.write_text(json.dumps(document))
    assert build(published).cohort["lung_mask"].isna().all()


def test_drawn_polygons_agree_with_another_library_but_for_their_edges(rng):
    for _ in range(20):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
        radii = rng.uniform(8, 18, 12)
        points = np.rint(np.stack([20 + radii * np.sin(angles), 25 + radii * np.cos(angles)], axis=1))
        drawn = draw_polygon([[{"x": x, "y": y} for y, x in points]], SHAPE)
        inner = polygon2mask(SHAPE, points)
        rim = cv2.morphologyEx(inner.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        assert not ((drawn != inner) & ~rim).any()


def test_a_folder_without_annotations_is_refused(tmp_path):
    with pytest.raises(CohortError, match="none of the 0 images of darwin is there"):
        build(tmp_path)
