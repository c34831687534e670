"""Masks of two cohorts, drawn by hand, against counts by hand."""

import numpy as np
import pandas as pd
import pytest

from patchcxr.cli import main
from patchcxr.errors import CohortError
from patchcxr.io.masks import write_mask
from patchcxr.study.compare_masks import compare_masks, read_masks, summarize, summarize_infection


def block(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((8, 10), dtype=bool)
    mask[rows, columns] = True
    return mask


EMPTY = block(slice(0, 0), slice(0, 0))
LEFT_HALF, RIGHT_HALF = block(slice(0, 8), slice(0, 5)), block(slice(0, 8), slice(5, 10))


@pytest.fixture
def cohort(tmp_path):
    """Writes a table of masks: study to structure to mask, with patient and source of each study."""

    def write(name: str, masks: dict, people: dict | None = None, **columns) -> pd.DataFrame:
        rows = []
        for study, of_study in masks.items():
            row = {"study": study, "patient": (people or {}).get(study, study), "source": "one", **columns}
            for structure, mask in of_study.items():
                path = tmp_path / name / structure / f"{study}.png"
                write_mask(path, mask)
                row[f"{structure}_mask"] = str(path)
            rows.append(row)
        return pd.DataFrame(rows)

    return write


def test_scores_of_a_film_are_those_counted_by_hand(cohort):
    predicted = cohort("p", {"a": {"heart": block(slice(0, 4), slice(0, 4))}})
    truth = cohort("t", {"a": {"heart": block(slice(0, 4), slice(2, 6))}})
    row = compare_masks(predicted, truth).films.iloc[0]
    assert (row["tp"], row["fp"], row["fn"], row["tn"]) == (8, 8, 8, 56)
    assert row["dice"] == 0.5
    assert row["jaccard"] == pytest.approx(1 / 3)
    assert row["hausdorff"] == 2
    assert not row["failed"]
    assert "hd95_mm" not in row


def test_millimetres_come_from_the_spacing_of_the_truth(cohort):
    mask, moved = block(slice(0, 4), slice(0, 4)), block(slice(0, 4), slice(2, 6))
    truth = cohort("t", {"a": {"heart": mask}}, row_spacing_mm=9.0, column_spacing_mm=0.5)
    row = compare_masks(cohort("p", {"a": {"heart": moved}}), truth).films.iloc[0]
    assert (row["hausdorff"], row["hausdorff_mm"]) == (2, 1)


def test_a_missed_structure_counts_as_0_and_two_empty_masks_count_apart(cohort, rng):
    some = block(slice(0, 4), slice(0, 4))
    truth = cohort("t", {"a": {"heart": some}, "b": {"heart": some}, "c": {"heart": EMPTY}})
    predicted = cohort("p", {"a": {"heart": some}, "b": {"heart": EMPTY}, "c": {"heart": EMPTY}})
    summary = summarize(compare_masks(predicted, truth).films, rng, resamples=200).set_index("measure")
    row = summary.loc["dice"]
    assert (row["n"], row["failed"], row["both_empty"], row["source"]) == (2, 1, 1, "(all)")
    assert (row["mean"], row["median"], row["low"], row["high"]) == (0.5, 0.5, 0, 1)
    assert row["std"] == pytest.approx(np.sqrt(0.5))
    assert summary.loc["hausdorff", "mean"] == pytest.approx(np.hypot(7, 9) / 2)


def test_intervals_go_by_patient_and_sources_are_summed_up_apart(cohort, rng):
    some = block(slice(0, 4), slice(0, 4))
    masks = {name: {"heart": some} for name in "abcd"}
    truth = cohort("t", masks, {"a": "p", "b": "p", "c": "p", "d": "q"})
    truth["source"] = ["one", "one", "two", "two"]
    predicted = cohort("p", {**masks, "d": {"heart": EMPTY}})
    summary = summarize(compare_masks(predicted, truth).films, rng, resamples=300)
    dice = summary[summary["measure"] == "dice"].set_index("source")
    assert dice["mean"].to_dict() == {"(all)": 0.75, "one": 1.0, "two": 0.5}
    assert dice.loc["(all)", ["low", "high"]].tolist() == [0, 1]  # two patients, one of them always right
    assert dice.loc["one", ["low", "high"]].tolist() == [1, 1]


def test_both_lungs_are_joined_where_a_table_has_them_apart(cohort):
    predicted = cohort("p", {"a": {"right_lung": LEFT_HALF, "left_lung": RIGHT_HALF}})
    truth = cohort("t", {"a": {"lung": LEFT_HALF}})
    films = compare_masks(predicted, truth).films
    assert list(films["structure"]) == ["lung"]
    assert films["dice"].iloc[0] == pytest.approx(2 * 40 / (80 + 40))


def test_films_of_one_side_and_masks_that_do_not_fit_are_listed(cohort, tmp_path):
    truth = cohort("t", {name: {"heart": LEFT_HALF} for name in ("a", "b", "c")})
    predicted = cohort("p", {name: {"heart": LEFT_HALF} for name in ("b", "c", "d")})
    write_mask(tmp_path / "p" / "heart" / "b.png", np.ones((4, 5), bool))
    found = compare_masks(predicted, truth)
    assert list(found.films["study"]) == ["c"]
    assert found.unmatched.values.tolist() == [["d", "predicted"], ["a", "truth"]]
    assert found.failures[["study", "stage"]].values.tolist() == [["b", "heart"]]
    assert "(4, 5)" in found.failures["error"].iloc[0]


def test_infection_is_summed_over_pixels_and_its_share_over_films(cohort, rng):
    """Right half is the lungs; true shares are 10, 30 and 50 % of it, predicted ones 20, 40 and 60 %."""
    lungs = {"lung": RIGHT_HALF}
    parts = []
    for pixels in (4, 12, 20, 8, 16, 24):
        part = EMPTY.copy()
        part[:, 5:] = (np.arange(40) < pixels).reshape(8, 5)
        parts.append(part)
    truth = cohort("t", {name: {"infection": part, **lungs} for name, part in zip("abc", parts[:3], strict=True)})
    predicted = cohort("p", {name: {"infection": part} for name, part in zip("abc", parts[3:], strict=True)})
    films = compare_masks(predicted, truth).films
    infected = films[films["structure"] == "infection"]
    assert infected["true_percent"].tolist() == [10, 30, 50]
    assert infected["predicted_percent"].tolist() == [20, 40, 60]
    assert set(infected["percent_of"]) == {"lungs"}
    row = summarize_infection(films, rng, resamples=50).iloc[0]
    tp, fp, fn, tn = 36, 12, 0, 3 * 80 - 48
    assert (row["tp"], row["fp"], row["fn"], row["tn"]) == (tp, fp, fn, tn)
    assert row["sensitivity"] == 1
    assert row["specificity"] == pytest.approx(tn / (tn + fp))
    assert row["f1"] == pytest.approx(2 * tp / (2 * tp + fp))
    assert row["f2"] == pytest.approx(5 * tp / (5 * tp + fp))
    assert row["iou"] == pytest.approx(tp / (tp + fp))
    assert (row["rho"], row["rho_films"]) == (pytest.approx(1), 3)


def test_without_lungs_the_share_is_of_the_film_and_without_infection_there_is_none(cohort, rng):
    some = {"a": {"infection": LEFT_HALF}}
    films = compare_masks(cohort("p", some), cohort("t", some)).films
    assert films[["true_percent", "percent_of"]].values.tolist() == [[50, "film"]]
    heart = {"a": {"heart": LEFT_HALF}}
    assert summarize_infection(compare_masks(cohort("p2", heart), cohort("t2", heart)).films, rng).empty


def test_two_empty_infections_are_compared_within_lungs_of_any_size(cohort):
    masks = cohort("t", {"a": {"lung": LEFT_HALF}}).assign(infection_mask="(empty)")
    films = compare_masks(masks.assign(lung_mask=cohort("p", {"a": {"lung": LEFT_HALF}})["lung_mask"]), masks)
    assert not len(films.failures)
    row = films.films.set_index("structure").loc["infection"]
    assert (row["predicted_percent"], row["true_percent"], row["tn"]) == (0, 0, LEFT_HALF.size)


def test_a_mask_that_was_only_handed_on_is_no_prediction(cohort):
    truth = cohort("t", {"a": {"heart": LEFT_HALF, "infection": RIGHT_HALF}})
    predicted = cohort("p", {"a": {"heart": LEFT_HALF}}).assign(infection_mask=truth["infection_mask"])
    assert list(compare_masks(predicted, truth).films["structure"]) == ["heart"]


def test_folders_of_masks_are_matched_by_name(tmp_path):
    for study in ("film 1", "b"):
        write_mask(tmp_path / "flat" / f"{study}.png", LEFT_HALF)
        write_mask(tmp_path / "by_structure" / "lung" / f"{study}.png", LEFT_HALF)
        write_mask(tmp_path / "by_structure" / "heart" / f"{study}.png", RIGHT_HALF)
    flat, folders = read_masks(tmp_path / "flat"), read_masks(tmp_path / "by_structure")
    assert {"lung_mask", "heart_mask"} <= set(folders)
    films = compare_masks(flat, folders).films
    assert films[["study", "structure", "dice"]].values.tolist() == [["b", "lung", 1], ["film 1", "lung", 1]]
    hearts = compare_masks(read_masks(tmp_path / "flat", "heart"), folders).films
    assert set(hearts["structure"]) == {"heart"}
    assert set(hearts["dice"]) == {0}


def test_what_cannot_be_compared_is_said(cohort, tmp_path, capsys):
    one, two = cohort("p", {"a": {"heart": LEFT_HALF}}), cohort("t", {"b": {"heart": LEFT_HALF}})
    with pytest.raises(CohortError, match="no film is in both tables"):
        compare_masks(one, two)
    with pytest.raises(CohortError, match="no film has masks of one structure"):
        compare_masks(one, cohort("t", {"a": {"infection": LEFT_HALF}}))
    (tmp_path / "none").mkdir()
    with pytest.raises(CohortError, match="no mask in this folder"):
        read_masks(tmp_path / "none")
    with pytest.raises(CohortError, match="'liver': expected one of lung"):
        read_masks(tmp_path / "none", "liver")
    assert main(["evaluate", str(tmp_path / "none"), str(tmp_path / "gone"), "--out", str(tmp_path / "e")]) == 2
    assert "no mask in this folder" in capsys.readouterr().err
