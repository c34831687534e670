"""JSRT in its published layout and re-encoded: tiny fake trees, and the real re-encoded folder."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from patchcxr.data.boxes import parse_boxes
from patchcxr.data.cohort import MASK_COLUMNS, check_cohort_files
from patchcxr.data.sources import build_source
from patchcxr.data.sources.jsrt import build
from patchcxr.errors import CohortError
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph

NODULES = (
    "JPCLN001.IMG\t5\t15\t53\tmale\t1634\t692\tmalignant\tl.upper(S1+2)\tlung cancer\t\t\r\n"
    "JPCLN002.IMG\t5\t30\t?\tfemale\t1614\t1090\tbenign\tl.lower(S6)\tpulmonary he\rmatoma"
    "JPCLN003.IMG\t5\t30\t63\tfemale\t1303\t447\tmalignant\tl.upper(S1+2)\tlung cancer\r\n"
)
OTHERS = "JPCNN001.IMG     30    female   non-nodule\r\nJPCNN002.IMG     0     male     non-nodule\r\n"


def picture(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def square(side, rows, columns):
    pixels = np.zeros((side, side), dtype=np.uint8)
    pixels[rows, columns] = 255
    return pixels


@pytest.fixture
def published(tmp_path):
    """Three nodule films (one of them missing) and two without, 64 x 64, outlines of one film a fold."""
    root = tmp_path / "JSRT"
    (root / "Clinical_Information").mkdir(parents=True)
    (root / "Clinical_Information" / "CLNDAT_EN.txt").write_bytes(NODULES.encode())
    (root / "Clinical_Information" / "CNNDAT_EN.TXT").write_bytes(OTHERS.encode())
    for stem in ("JPCLN001", "JPCLN002", "JPCNN001", "JPCNN002"):
        picture(root / "All247images" / f"{stem}.png", square(64, slice(8, 40), slice(8, 40)))
    for fold, stem in (("fold1", "JPCLN001"), ("fold2", "JPCLN002")):
        for number, organ in enumerate(("left lung", "right lung", "heart", "left clavicle")):
            mask = square(64, slice(10, 20), slice(10 * number, 10 * number + 5))
            picture(root / "scratch" / fold / "masks" / organ / f"{stem}.gif", mask)
    (root / "All247images" / "Thumbs.db").touch()
    (root / "All247images" / "JPCLN001.txt").touch()
    return root


def test_published_jsrt_gives_every_film_its_facts(published):
    cohort, skipped = build(published)
    table = cohort.set_index("study")
    assert table.index.tolist() == ["jsrt-JPCLN001", "jsrt-JPCLN002", "jsrt-JPCNN001", "jsrt-JPCNN002"]
    assert table["patient"].tolist() == table.index.tolist()
    assert table["label"].tolist() == ["nodule", "nodule", "normal", "normal"]
    assert table["age_years"].fillna(-1).tolist() == [53, -1, 30, -1]
    assert table["sex"].tolist() == ["M", "F", "F", "M"]
    assert table["view"].eq("PA").all()
    assert table["condition"].tolist() == ["nodule lung cancer", "nodule pulmonary he matoma", *["non-nodule"] * 2]
    assert table["malignancy"].fillna("").tolist() == ["malignant", "benign", "", ""]
    assert skipped.to_numpy().tolist() == [["JPCLN003", f"no such image in {published}"]]
    check_cohort_files(cohort)


def test_published_jsrt_takes_outlines_and_folds_from_their_folders(published):
    table = build(published)[0].set_index("study")
    scratch = published / "scratch"
    assert table["fold"].fillna(-1).tolist() == [0, 1, -1, -1]
    assert table.loc["jsrt-JPCLN001", "left_lung_mask"] == str(scratch / "fold1/masks/left lung/JPCLN001.gif")
    assert table.loc["jsrt-JPCLN002", "right_lung_mask"] == str(scratch / "fold2/masks/right lung/JPCLN002.gif")
    assert table["heart_mask"].notna().tolist() == [True, True, False, False]
    assert table["lung_mask"].isna().all()
    assert not table.astype("string").apply(lambda column: column.str.contains("clavicle")).any(axis=None)


def test_a_nodule_is_boxed_by_its_size_in_pixels_of_the_film(published):
    table = build(published)[0].set_index("study")
    (box,) = parse_boxes(table.loc["jsrt-JPCLN001", "boxes"])
    scale = 64 / 2048
    side = 15 / 0.175 * scale
    assert box.finding == "Nodule"
    assert [box.height, box.width] == pytest.approx([side, side], abs=0.01)
    assert [box.top, box.left] == pytest.approx([692 * scale - side / 2, 1634 * scale - side / 2], abs=0.01)
    assert table.loc["jsrt-JPCNN001", "boxes"] == "(empty)"


def test_outlines_of_another_size_are_resized_outside_of_the_data_set(published, tmp_path):
    picture(published / "All247images" / "JPCLN001.png", square(128, slice(8, 40), slice(8, 40)))
    before = {path for path in published.rglob("*") if path.is_file()}
    with pytest.raises(CohortError, match=r"outlines are 64 x 64 pixels but films are 128 x 128; .*masks_dir"):
        build(published)
    with pytest.raises(CohortError, match="lies within the folder of the data set"):
        build(published, masks_dir=published / "masks")
    table = build(published, masks_dir=tmp_path / "made")[0].set_index("study")
    field = table.loc["jsrt-JPCLN001", "right_lung_mask"]
    assert field == str(tmp_path / "made" / "jsrt" / "right_lung" / "JPCLN001.png")
    expected = square(128, slice(20, 40), slice(20, 30)) > 0
    np.testing.assert_array_equal(read_mask(field, (128, 128)), expected)
    assert table.loc["jsrt-JPCLN002", "right_lung_mask"].endswith("fold2/masks/right lung/JPCLN002.gif")
    assert {path for path in published.rglob("*") if path.is_file()} == before


def test_raw_films_are_2048_pixels_wide_and_so_need_resized_outlines(published, tmp_path):
    (published / "All247images" / "JPCLN001.png").unlink()
    (published / "All247images" / "JPCLN001.IMG").touch()
    with pytest.raises(CohortError, match="films are 2048 x 2048"):
        build(published)
    table = build(published, masks_dir=tmp_path / "made")[0].set_index("study")
    assert table.loc["jsrt-JPCLN001", "image"].endswith("JPCLN001.IMG")
    assert read_mask(table.loc["jsrt-JPCLN001", "heart_mask"], (2048, 2048)).mean() == 50 / 64**2
    (box,) = parse_boxes(table.loc["jsrt-JPCLN001", "boxes"])
    assert box.top + box.height / 2 == pytest.approx(692, abs=0.01)


def test_a_malformed_record_of_jsrt_is_named(published):
    (published / "Clinical_Information" / "CLNDAT_EN.txt").write_text("JPCLN001.IMG\tfive\t15\t53\tmale\n")
    with pytest.raises(CohortError, match=r"record of JPCLN001 is 'five 15 53 male'; expected subtlety"):
        build(published)


def test_films_without_tables_or_outlines_are_still_a_cohort(tmp_path):
    picture(tmp_path / "jpcln007.PNG", square(64, slice(8, 40), slice(8, 40)))
    table = build(tmp_path).cohort
    assert table[["study", "label"]].to_numpy().tolist() == [["jsrt-JPCLN007", "nodule"]]
    assert table[["age_years", "sex", "fold", "heart_mask"]].isna().all(axis=None)
    assert pd.isna(table["boxes"].iloc[0])


def test_reencoded_jsrt_maps_conditions_and_leaves_unknown_ages_empty(tmp_path):
    (tmp_path / "clinical.csv").write_text(
        "File,Sex,Age,Condition\nJPCLN001.png,M,53,nodule lung cancer \nJPCNN002.png,F,0,non-nodule\n"
    )
    for name in ("images/JPCLN001.jpg", "images/JPCNN002.jpg", "masks/heart/JPCLN001.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    table = build_source("jsrt", tmp_path).cohort
    assert table["study"].tolist() == ["jsrt-JPCLN001", "jsrt-JPCNN002"]
    assert table["label"].tolist() == ["nodule", "normal"]
    assert table["age_years"].isna().tolist() == [False, True]
    assert table["heart_mask"].tolist() == [str(tmp_path / "masks/heart/JPCLN001.png"), pd.NA]
    assert table["condition"][0] == "nodule lung cancer"


@pytest.mark.real
def test_the_real_jsrt_folder_has_its_films_and_masks_that_fit(real_data):
    table = build_source("jsrt", real_data / "jsrt").cohort
    assert (len(table), table["patient"].nunique()) == (197, 197)
    assert table[list(MASK_COLUMNS)].notna().sum().tolist() == [197, 197, 197, 0, 0]
    assert table["label"].value_counts().to_dict() == {"nodule": 117, "normal": 80}
    check_cohort_files(table)
    for row in table.iloc[::40].to_dict("records"):
        shape = read_radiograph(row["image"]).pixels.shape
        columns = [
            np.flatnonzero(read_mask(row[f"{side}_lung_mask"], shape).any(axis=0)).mean() for side in ("right", "left")
        ]
        assert columns[0] < columns[1]


@pytest.mark.real
def test_the_real_films_in_the_published_layout_give_the_same_table(real_data, tmp_path):
    own = build_source("jsrt", real_data / "jsrt").cohort.set_index("study")
    root = tmp_path / "JSRT"
    (root / "scratch" / "fold1" / "masks").mkdir(parents=True)
    (root / "All247images").symlink_to(real_data / "jsrt" / "images")
    for organ in ("right_lung", "left_lung", "heart"):
        target = real_data / "jsrt" / "masks" / organ
        (root / "scratch" / "fold1" / "masks" / organ.replace("_", " ")).symlink_to(target)
    table = build(root).cohort.set_index("study")
    assert table["label"].to_dict() == own["label"].to_dict()
    assert table["fold"].eq(0).all()
    name = "left_lung_mask"
    assert table[name].str[-12:].to_dict() == own[name].str[-12:].to_dict()
