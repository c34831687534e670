"""Maps of several methods against every kind of truth: the same grid, the same films, the same scores."""

import argparse

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.cli.compare_maps import compare_maps
from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError, ConfigError, ImageError
from patchcxr.io.chexlocalize import SaliencyFile, map_name, write_saliency, write_segmentations
from patchcxr.io.masks import read_mask, write_mask
from patchcxr.io.saliency_maps import MapFolder
from patchcxr.measure.localization import localization_scores
from patchcxr.study.compare_maps import MapMethod, score_maps, summarize_maps, write_comparison
from patchcxr.study.explain_films import ExplainSettings
from patchcxr.study.map_truth import film_shape, open_lungs, open_truth
from patchcxr.study.provenance import settings_since

SIDE = 48
FILMS = 8


@pytest.fixture
def films(tmp_path, rng):
    """Eight films of four patients with a lesion that is a rectangle; the last one has none."""
    rows = []
    lungs = np.zeros((SIDE, 2 * SIDE), bool)
    lungs[4:44, 8:88] = True
    write_mask(tmp_path / "lungs.png", lungs)
    for index in range(FILMS):
        name = f"f{index}"
        film = rng.integers(0, 256, lungs.shape, dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), film)
        top, left, height, width = 8 + 2 * index, 12 + 4 * index, 12, 16 + index
        lesion = np.zeros_like(lungs)
        lesion[top : top + height, left : left + width] = index < FILMS - 1
        write_mask(tmp_path / f"{name}_lesion.png", lesion)
        row = {"study": name, "patient": f"p{index // 2}", "image": str(tmp_path / f"{name}.png"), "label": "viral"}
        row |= {"infection_mask": str(tmp_path / f"{name}_lesion.png"), "lung_mask": str(tmp_path / "lungs.png")}
        row["boxes"] = f"{top},{left},{height},{width}:Infiltrate|1,1,3,3:Mass" if index < FILMS - 1 else "(empty)"
        rows.append(row)
    table = pd.DataFrame(rows)
    table.to_csv(tmp_path / "cohort.csv", index=False)
    return table


def maps_of(films, rng, size=(SIDE, 2 * SIDE)):
    """Blurred lesions with noise, at the given size."""
    found = {}
    for row in films.itertuples():
        blurred = cv2.GaussianBlur(read_mask(row.infection_mask).astype(np.float32), (0, 0), 3)
        found[row.study] = cv2.resize(blurred, size[::-1]) + 0.2 * rng.random(size).astype(np.float32)
    return found


def loader(maps):
    def load(study):
        if study not in maps:
            raise ImageError(f"no map of {study}")
        return maps[study]

    return load


def scored(films, *methods, **kinds):
    truth = open_truth(films, **kinds)
    return score_maps(truth.rows, methods, truth.read, open_lungs(films))


def test_a_box_equal_to_the_mask_gives_the_same_scores(films, rng):
    method = MapMethod("cam", loader(maps_of(films, rng)))
    by_mask = scored(films, method)
    by_box = scored(films, method, truth="boxes", findings=["Infiltrate"])
    pd.testing.assert_frame_equal(by_mask.films, by_box.films)
    every = scored(films, method, truth="boxes")
    assert not np.allclose(every.films["value"], by_box.films["value"], equal_nan=True)


def test_scores_are_those_of_each_film_alone_and_scaling_a_map_changes_none(films, rng):
    maps = maps_of(films, rng)
    found = scored(films, MapMethod("a", loader(maps)), MapMethod("b", loader({k: 8 * v for k, v in maps.items()})))
    wide = found.films.pivot(index=["study", "measure"], columns="method", values="value")
    np.testing.assert_allclose(wide["a"], wide["b"], rtol=1e-6)
    row = films.iloc[3]
    alone = localization_scores(maps["f3"], read_mask(row["infection_mask"]), read_mask(row["lung_mask"]))
    assert wide.loc["f3", "a"].to_dict() == pytest.approx(alone)


def test_maps_are_compared_on_the_grid_of_the_largest(films, rng):
    large, small = maps_of(films, rng), maps_of(films, rng, (6, 12))
    grids = []

    def lesion(row, grid):
        grids.append(grid)
        return open_truth(films).read(row, grid)

    methods = [MapMethod("large", loader(large)), MapMethod("small", loader(small))]
    found = score_maps(films, methods, lesion)
    assert set(grids) == {(SIDE, 2 * SIDE)}
    enlarged = {name: cv2.resize(value, (2 * SIDE, SIDE)) for name, value in small.items()}
    again = scored(films, methods[0], MapMethod("small", loader(enlarged)))
    kept = ~found.films["measure"].str.contains("lungs")
    np.testing.assert_allclose(found.films["value"][kept], again.films["value"][kept], atol=1e-6)


def test_films_without_a_usable_map_of_every_method_are_measured_but_not_compared(films, rng, tmp_path):
    whole, partial = maps_of(films, rng), maps_of(films, rng)
    del partial["f1"]
    partial["f2"] = np.full_like(partial["f2"], np.nan)
    found = scored(films, MapMethod("whole", loader(whole)), MapMethod("partial", loader(partial)))
    assert found.left_out[["study", "method"]].to_numpy().tolist() == [["f1", "partial"], ["f2", "partial"]]
    assert "NaN" in found.left_out["error"].iloc[1]
    left_out = found.films[~found.films["compared"]]
    assert set(left_out["study"]) == {"f1", "f2"}
    assert set(left_out["method"]) == {"whole"}
    summary = write_comparison(found, ["whole", "partial"], tmp_path / "o", np.random.default_rng(0), 50)
    part = summary[summary["measure"] == "auroc"]
    assert part["n"].tolist() == [5, 5]  # eight films, less two without a map and one without a lesion
    assert part["patients"].tolist() == [4, 4]
    tests = pd.read_csv(tmp_path / "o" / "tests.csv").set_index("measure")
    assert tests.loc["auroc", ["n", "films"]].tolist() == [4, 5]


def test_a_film_without_lesion_has_only_energies_of_the_lungs_and_no_severity(films, rng):
    found = scored(films, MapMethod("cam", loader(maps_of(films, rng))))
    empty = found.films[found.films["study"] == "f7"].set_index("measure")["value"]
    assert set(empty.dropna().index) == {"energy_in_lungs", "energy_outside_lungs"}
    assert found.extent.set_index("study")["lesion_share"].isna().tolist() == [False] * 7 + [True]


def test_severity_is_the_mean_of_the_map_in_the_lungs_against_the_infected_share(films, rng):
    maps = maps_of(films, rng)
    extent = scored(films, MapMethod("cam", loader(maps))).extent.set_index("study")
    lungs, lesion = read_mask(films["lung_mask"][0]), read_mask(films["infection_mask"][0])
    assert extent.loc["f0", "map_mean"] == pytest.approx(maps["f0"][lungs].mean())
    assert extent.loc["f0", "lesion_share"] == pytest.approx(lesion[lungs].mean())
    truth = open_truth(films)
    without = score_maps(truth.rows, [MapMethod("cam", loader(maps))], truth.read).extent.set_index("study")
    assert without.loc["f0", "within"] == "film"
    assert without.loc["f0", "lesion_share"] == pytest.approx(lesion.mean())


def test_the_interval_of_a_mean_is_over_patients(rng):
    values = pd.DataFrame({"patient": ["a"] * 9 + ["b"], "value": [1.0] * 9 + [5.0], "method": "m", "measure": "auroc"})
    row = summarize_maps(values, ["m"], rng, 500).iloc[0]
    assert (row["mean"], row["low"], row["high"], row["patients"]) == (1.4, 1.0, 5.0, 2)


def test_nothing_to_compare_is_an_error_that_names_the_first_fault(films, rng):
    with pytest.raises(CohortError, match="the first fault: f0, cam: no map of f0"):
        scored(films, MapMethod("cam", loader({})))


def test_a_lesion_that_vanishes_on_the_grid_is_told(films, rng):
    lone = np.zeros((SIDE, 2 * SIDE), bool)
    lone[0, 0] = True
    write_mask(films["infection_mask"][0], lone)
    found = scored(films, MapMethod("cam", loader(maps_of(films, rng, (4, 8)))))
    assert found.left_out["study"].tolist() == ["f0"]
    assert "--size" in found.left_out["error"][0]


def test_film_shapes_come_from_headers(films, tmp_path):
    assert film_shape(films["image"][0]) == (SIDE, 2 * SIDE)
    np.save(tmp_path / "film.npy", np.linspace(0, 1, 40 * 33).reshape(40, 33))
    assert film_shape(tmp_path / "film.npy") == (40, 33)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError):
        film_shape(tmp_path / "bad.png")


@pytest.mark.parametrize(
    ("truth", "findings", "words"),
    [
        ("masks", ["Mass"], "name no findings"),
        ("boxes", ["Effusion"], "expected some of Infiltrate, Mass"),
        ("circles", [], "expected masks, boxes, or a JSON file"),
    ],
)
def test_truths_that_do_not_fit_are_refused(films, truth, findings, words):
    with pytest.raises(ConfigError, match=words):
        open_truth(films, truth, findings)


def test_folders_of_maps_are_read_whatever_their_kind(tmp_path, rng):
    values = (rng.random((5, 7)) * 65535).astype(np.uint16)
    for kind in ("png", "npy", "pkl"):
        (tmp_path / kind).mkdir()
    cv2.imwrite(str(tmp_path / "png" / "f0.png"), values)
    np.save(tmp_path / "npy" / "f0.npy", values / 65535)
    for finding in ("Edema", "Mass"):
        write_saliency(tmp_path / "pkl" / map_name("f0", finding), SaliencyFile(values / 65535, finding, (50, 70)))
    for kind, finding in (("png", None), ("npy", None), ("pkl", "Edema")):
        folder = MapFolder(tmp_path / kind, finding)
        np.testing.assert_allclose(folder.load("f0"), values / 65535, atol=1e-6)
        assert "f0" in folder
        with pytest.raises(ImageError, match="no map of 'f1'"):
            folder.load("f1")
    with pytest.raises(ConfigError, match="maps of Edema, Mass"):
        MapFolder(tmp_path / "pkl")
    with pytest.raises(ConfigError, match=r"\.npy, \.pkl, \.png"):
        MapFolder(tmp_path)
    cv2.imwrite(str(tmp_path / "png" / "f0.png"), np.dstack([values] * 3))
    with pytest.raises(ImageError, match="a drawing in colours is no map"):
        MapFolder(tmp_path / "png").load("f0")


def options(tmp_path, **changed):
    given = {"cohort": str(tmp_path / "cohort.csv"), "out": str(tmp_path / "out"), "maps": [], "probability": []}
    given |= {
        "truth": "masks",
        "finding": [],
        "lungs": None,
        "size": None,
        "with_lungs": False,
        "examples": 2,
        "seed": 0,
    }
    return argparse.Namespace(**given | changed)


def test_the_lung_mask_is_measured_as_if_it_were_a_map(films, rng):
    maps = maps_of(films, rng)
    truth = open_truth(films)
    found = score_maps(truth.rows, [MapMethod("cam", loader(maps))], truth.read, open_lungs(films), with_lungs=True)
    lungs = read_mask(films.loc[0, "lung_mask"])
    expected = localization_scores(lungs.astype(np.float32), read_mask(films.loc[0, "infection_mask"]), lungs)
    of_film = found.films[(found.films["study"] == "f0") & (found.films["method"] == "lungs")]
    measured = of_film.set_index("measure")["value"]
    for measure in ("energy_in_lesion", "energy_outside_lungs", "best_dice", "auroc"):
        assert measured[measure] == pytest.approx(expected[measure])
    assert measured["energy_in_lesion"] == pytest.approx(12 * 16 / lungs.sum())


def test_without_a_lung_mask_the_film_lacks_one_method(films, rng):
    films.loc[2, "lung_mask"] = pd.NA
    truth = open_truth(films)
    method = MapMethod("cam", loader(maps_of(films, rng)))
    found = score_maps(truth.rows, [method], truth.read, open_lungs(films), with_lungs=True)
    assert not found.films.loc[found.films["study"] == "f2", "compared"].any()
    assert found.left_out[["study", "method"]].to_numpy().tolist() == [["f2", "lungs"]]


@pytest.mark.parametrize("target", ["predicted", 1, "all"])
def test_maps_of_the_predicted_class_are_refused(films, rng, tmp_path, target):
    folder = tmp_path / "npy"
    folder.mkdir()
    for study, found in maps_of(films, rng).items():
        np.save(folder / f"{study}.npy", found)
    settings_since(folder / "settings.json", {"settings": ExplainSettings(target=target)})
    chosen = options(tmp_path, maps=[f"cam={folder}"], examples=0)
    if target == "predicted":
        with pytest.raises(ConfigError, match="--target CLASS"):
            compare_maps(chosen)
    else:
        assert compare_maps(chosen) == 0


@pytest.mark.slow
def test_the_command_writes_tables_and_pictures_from_every_kind_of_map_and_truth(films, rng, tmp_path, capsys):
    for study, found in maps_of(films, rng).items():
        (tmp_path / "npy").mkdir(exist_ok=True)
        np.save(tmp_path / "npy" / f"{study}.npy", found)
        write_saliency(tmp_path / "pkl" / map_name(study, "Edema"), SaliencyFile(found / 2, "Edema", (SIDE, 2 * SIDE)))
    masks = {row.study: {"Edema": read_mask(row.infection_mask)} for row in films.itertuples()}
    write_segmentations(tmp_path / "gt.json", masks)
    maps = [f"cam={tmp_path / 'npy'}", f"map={tmp_path / 'pkl'}"]
    assert compare_maps(options(tmp_path, maps=maps, probability=["map"])) == 0
    printed = capsys.readouterr().out
    assert "8 of 8 films with a truth compared" in printed
    assert "average_precision" in printed
    for name in ("films.csv", "summary.csv", "tests.csv", "severity.csv", "left_out.csv", "measures.png", "maps.png"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    by_json = options(tmp_path, maps=maps, probability=["map"], truth=str(tmp_path / "gt.json"), finding=["Edema"])
    by_json.out, by_json.examples = str(tmp_path / "json"), 0
    assert compare_maps(by_json) == 0
    tables = [pd.read_csv(tmp_path / folder / "films.csv") for folder in ("out", "json")]
    pd.testing.assert_frame_equal(*tables)
    with pytest.raises(ConfigError, match="no --maps has this name"):
        compare_maps(options(tmp_path, maps=maps, probability=["cat"]))


@pytest.mark.real
def test_boxes_of_real_films_are_where_a_map_of_them_points(real_data):
    table = build_source("nih", real_data / "nih").cohort
    truth = open_truth(table, "boxes")
    assert len(truth.rows) > 20
    rows = truth.rows.head(12)
    own = {row["study"]: truth.read(row, (64, 64)).astype(np.float32) for row in rows.to_dict("records")}
    found = score_maps(rows, [MapMethod("own", loader(own))], truth.read)
    perfect = found.films.dropna()
    assert found.left_out.empty
    assert (perfect["value"] == 1).all()
    assert all(0 < mask.mean() < 0.6 for mask in own.values())
