"""The radiologists' tiles of General Blockchain: a tiny fake tree, and tiles cut from real masks."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.data.cohort import check_cohort_files
from patchcxr.data.sources.cohen_masks import LICENCE, build
from patchcxr.errors import CohortError, MaskError
from patchcxr.io.masks import read_mask

HEADER = (
    "#,Taxonomy,Class,Template Name,File Folder,Filename,Image,Tag,Mask,Resolution,Top,Left,Width,Height,Points,"
    "Text Annotation,Minimal Top,Minimal Left,Minimal Width,Minimal Height,Attributes\n"
)


def line(structure, film, tile, top, left, resolution="50x40"):
    mask = f"masks/{tile}.png" if tile else ""
    return (
        f',,"COVID-19 {structure}","{structure}",,"{film}",images/0fc7f55c.jpg,{mask.replace("masks", "tags")},{mask},'
        f'{resolution},{top},{left},9,9,,"undefined",{top},{left},9,9,\n'
    )


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.asarray(pixels, dtype=np.uint8))


def full(rows, columns):
    return np.full((rows, columns), 255)


@pytest.fixture
def published(tmp_path):
    root = tmp_path / "segmentations"
    for name in ("a.pdf-001.jpeg", "b.png", "other.png"):
        write(root / "images" / name, np.tile(np.arange(50), (40, 1)))
    (root / "images" / ".DS_Store").touch()
    for name, pixels in {
        "right": full(10, 6),
        "left": full(10, 6),
        "ground": full(3, 4),
        "solid": np.eye(4) * 255,
        "heart": full(9, 9),
        "jutting": full(20, 20),
    }.items():
        write(root / "masks" / f"{name}.png", pixels)
    (root / "structure.csv").write_text(
        HEADER
        + line("Airways", "a.pdf-001.jpeg", "missing", 0, 0)
        + line("Cardiomediastinum", "a.pdf-001.jpeg", "heart", 9, 9)
        + line("Right Lung", "a.pdf-001.jpeg", "right", 5, 2)
        + line("Left Lung", "a.pdf-001.jpeg", "left", 6, 30)
        + line("Ground Glass Opacities", "a.pdf-001.jpeg", "ground", 7, 3)
        + line("Consolidation", "a.pdf-001.jpeg", "solid", 8, 4)
        + line("Consolidation", "a.pdf-001.jpeg", "solid", 20, 40)
        + line("Monitoring Probes", "a.pdf-001.jpeg", "", 0, 0)
        + line("Right Lung", "b.png", "jutting", 30, 45)
        + line("Consolidation", "b.png", "", 0, 0)
        + line("Right Lung", "other.png", "right", 0, 0, resolution="100x80")
        + line("Right Lung", "gone.png", "right", 0, 0)
    )
    return root


def test_tiles_are_pasted_where_they_were_cut_out(published, tmp_path):
    cohort, _ = build(published, masks_dir=tmp_path / "made")
    table = cohort.set_index("study")
    assert table.index.tolist() == ["cohen_masks-a.pdf-001", "cohen_masks-b"]
    row = table.loc["cohen_masks-a.pdf-001"]
    right, left, infection = (np.zeros((40, 50), dtype=bool) for _ in range(3))
    right[5:15, 2:8] = True
    left[6:16, 30:36] = True
    infection[7:10, 3:7] = True
    infection[range(8, 12), range(4, 8)] = True
    infection[range(20, 24), range(40, 44)] = True
    for column, expected in (("right_lung", right), ("left_lung", left), ("infection", infection)):
        field = row[f"{column}_mask"]
        assert field == str(tmp_path / "made" / "cohen_masks" / column / "a.pdf-001.png")
        np.testing.assert_array_equal(read_mask(field, (40, 50)), expected)
    assert row["image"] == str(published / "images" / "a.pdf-001.jpeg")
    assert table[["heart_mask", "lung_mask"]].isna().all(axis=None)
    check_cohort_files(cohort)


def test_what_is_not_drawn_is_empty_and_what_is_missing_is_unknown(published, tmp_path):
    cohort, skipped = build(published, masks_dir=tmp_path / "made")
    row = cohort.set_index("study").loc["cohen_masks-b"]
    expected = np.zeros((40, 50), dtype=bool)
    expected[30:, 45:] = True
    np.testing.assert_array_equal(read_mask(row["right_lung_mask"], (40, 50)), expected)
    assert row["left_lung_mask"] == "(empty)"
    assert pd.isna(row["infection_mask"])
    assert skipped.to_numpy().tolist() == [
        ["b", "mask of Consolidation is missing"],
        ["other", "film is 40 x 50 pixels but its masks are 80 x 100"],
        ["gone", f"no such image in {published / 'images'}"],
    ]


def test_without_a_table_of_cases_label_and_patient_are_unknown(published, tmp_path):
    cohort = build(published, masks_dir=tmp_path / "made").cohort
    assert cohort["label"].isna().all()
    assert cohort["patient_id_known"].eq("no").all()


def test_the_table_of_cases_gives_labels_and_patients(published, tmp_path):
    (published / "metadata.csv").write_text(
        "patientid,offset,sex,age,finding,view,filename,license\n"
        "4,2,F,52,Pneumonia/Viral/SARS,AP,a.pdf-001.jpeg,CC\n4,2,F,52,Pneumonia/Viral/SARS,L,b.png,CC\n"
    )
    cohort, skipped = build(published, masks_dir=tmp_path / "made")
    facts = cohort[["study", "patient", "label", "view", "age_years", "sex", "days", "finding", "licence"]]
    assert facts.to_numpy().tolist() == [
        [
            "cohen_masks-a.pdf-001",
            "cohen_masks-4",
            "viral",
            "AP",
            52,
            "F",
            2,
            "Pneumonia/Viral/SARS",
            LICENCE,
        ]
    ]
    assert ["b", "lateral view"] in skipped.to_numpy().tolist()


def test_masks_need_a_folder_outside_of_the_data_set(published):
    before = sorted(published.rglob("*"))
    with pytest.raises(CohortError, match=r"masks are tiles .*give a folder outside .*masks_dir"):
        build(published)
    with pytest.raises(CohortError, match="never written to"):
        build(published, masks_dir=published / "new")
    assert sorted(published.rglob("*")) == before


def test_a_table_or_tile_that_cannot_be_read_is_named(published, tmp_path):
    (published / "masks" / "right.png").write_bytes(b"")
    with pytest.raises(MaskError, match=r"right\.png"):
        build(published, masks_dir=tmp_path / "made")
    text = (published / "structure.csv").read_text().replace("50x40", "50 by 40")
    (published / "structure.csv").write_text(text)
    with pytest.raises(CohortError, match=r"Resolution of a\.pdf-001 is '50 by 40'; expected width x height"):
        build(published, masks_dir=tmp_path / "made")


@pytest.mark.real
def test_tiles_cut_from_real_masks_give_these_masks_again(real_data, tmp_path):
    root = tmp_path / "segmentations"
    source = real_data / "cohen"
    (root / "masks").mkdir(parents=True)
    (root / "images").symlink_to(source / "images")
    folders = {"Right Lung": "right_lung", "Left Lung": "left_lung", "Consolidation": "consolidation"}
    lines, expected = [], {}
    for path in sorted((source / "masks" / "right_lung").iterdir())[:4]:
        film = next((source / "images").glob(f"{path.stem}.*"))
        for structure, folder in folders.items():
            if (source / "masks" / folder / path.name).is_file():
                mask = read_mask(source / "masks" / folder / path.name)
                rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
                name = f"{path.stem}_{folder}"
                write(root / "masks" / f"{name}.png", mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * 255)
                lines.append(line(structure, film.name, name, rows[0], columns[0], f"{mask.shape[1]}x{mask.shape[0]}"))
                expected[path.stem, folder.replace("consolidation", "infection")] = mask
    (root / "structure.csv").write_text(HEADER + "".join(lines))
    table = build(root, masks_dir=tmp_path / "made").cohort.set_index("study")
    assert len(table) == 4
    for (stem, column), mask in expected.items():
        np.testing.assert_array_equal(read_mask(table.loc[f"cohen_masks-{stem}", f"{column}_mask"]), mask)
