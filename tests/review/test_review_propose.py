"""A round is made of films and the masks proposed for them; what cannot be used is said, and loses nothing else."""

import numpy as np
import pandas as pd
import pytest

from patchcxr.data.cohort import complete_columns
from patchcxr.errors import ConfigError, ReviewError
from patchcxr.io.masks import write_mask
from patchcxr.io.raster import decode_raster
from patchcxr.measure.overlap import dice
from patchcxr.review.propose import (
    add_proposed,
    check_sources,
    cohort_masks,
    folder_masks,
    propose,
    random_share,
    target_field,
)
from patchcxr.review.store import ReviewStore

SHAPE = (40, 48)


def disc(row, column, radius):
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


@pytest.fixture
def cohort(tmp_path, rng):
    """Three films with an infection mask and lungs in two files."""
    rows = []
    for study in ("a", "b", "=c d/ü"):
        name = "c" if study.startswith("=") else study
        np.save(tmp_path / f"{name}.npy", rng.random(SHAPE).astype(np.float32))
        for side, column in (("right", 12), ("left", 36)):
            write_mask(tmp_path / f"{name}-{side}.png", disc(20, column, 9))
        write_mask(tmp_path / "manual" / f"{name}.png", disc(20, 12, 5))
        rows.append(
            {
                "study": study,
                "patient": f"P{name}",
                "image": str(tmp_path / f"{name}.npy"),
                "right_lung_mask": str(tmp_path / f"{name}-right.png"),
                "left_lung_mask": str(tmp_path / f"{name}-left.png"),
                "infection_mask": str(tmp_path / "manual" / f"{name}.png"),
            }
        )
    return complete_columns(pd.DataFrame(rows))


@pytest.fixture
def network(tmp_path, cohort):
    """Folder of a network's masks, named as patchcxr names the files of a study."""
    for name in ("a", "b", "_c_d__-b8a9b9e2"):
        write_mask(tmp_path / "net" / "masks" / "infection" / f"{name}.png", disc(20, 14, 5))
    from patchcxr.io.arrays import safe_name

    (tmp_path / "net" / "masks" / "infection" / "_c_d__-b8a9b9e2.png").rename(
        tmp_path / "net" / "masks" / "infection" / f"{safe_name('=c d/ü')}.png"
    )
    return tmp_path / "net"


def test_films_get_the_masks_of_every_source_and_their_disagreement(cohort, network):
    sources = {"manual": cohort_masks(cohort, "infection"), "net": folder_masks(network, "infection")}
    found = list(propose(cohort, sources, "infection"))
    assert [one.film.film.film for one in found] == ["a", "b", "=c d/ü"]
    manual, machine = disc(20, 12, 5), disc(20, 14, 5)
    for one in found:
        assert one.faults == ()
        assert (one.film.film.height, one.film.film.width) == SHAPE
        shown = {name: decode_raster(png, name).stored > 0 for name, png in one.film.candidates.items()}
        np.testing.assert_array_equal(shown["manual"], manual)
        np.testing.assert_array_equal(shown["net"], machine)
        assert one.film.disagreement == pytest.approx(1 - dice(manual, machine))
        np.testing.assert_array_equal(decode_raster(one.lungs, "lungs").stored > 0, disc(20, 12, 9) | disc(20, 36, 9))


def test_a_round_holds_lungs_and_candidates_in_the_store(cohort, network, tmp_path):
    store = ReviewStore.create(tmp_path / "review")
    sources = {"manual": cohort_masks(cohort, "infection"), "net": folder_masks(network, "infection")}
    number = add_proposed(store, "first", "choose", 1, propose(cohort, sources, "infection"))
    films = store.films(number).set_index("film")
    assert set(films.index) == set(cohort["study"])
    assert (store.mask(films.at["a", "lung_mask"]).sum()) == (disc(20, 12, 9) | disc(20, 36, 9)).sum()
    assert sorted(store.candidates(number)["source"]) == ["manual"] * 3 + ["net"] * 3


def test_one_bad_film_or_mask_costs_nothing_else(cohort, network, tmp_path):
    (tmp_path / "a.npy").write_bytes(b"no film")
    (network / "masks" / "infection" / "b.png").write_bytes(b"no mask")
    (tmp_path / "c-left.png").unlink()
    sources = {"manual": cohort_masks(cohort, "infection"), "net": folder_masks(network, "infection")}
    first, second, third = propose(cohort, sources, "infection")
    assert first.film.candidates == {}
    assert "a.npy" in first.film.problem
    assert [fault.what for fault in first.faults] == ["film"]
    assert list(second.film.candidates) == ["manual"]
    assert second.film.problem is None
    assert [(fault.study, fault.what) for fault in second.faults] == [("b", "net")]
    assert sorted(third.film.candidates) == ["manual", "net"]
    assert third.lungs is None
    assert third.faults[0].what == "lungs"


def test_a_mask_of_another_size_is_refused_with_film_sizes_and_remedy(cohort, tmp_path):
    write_mask(tmp_path / "small" / "a.png", np.ones((20, 24), dtype=bool))
    found = next(propose(cohort, {"small": folder_masks(tmp_path / "small", "infection")}, "infection"))
    assert found.film.candidates == {}
    for words in ("a.png", "(20, 24)", "(40, 48)", "resize"):
        assert words in found.film.problem
    assert found.faults[0].study == "a"


def test_a_film_without_any_mask_is_in_the_round_with_the_reason(cohort, tmp_path):
    write_mask(tmp_path / "one" / "a.png", disc(20, 12, 5))
    fields = folder_masks(tmp_path / "one", "infection")
    found = list(propose(cohort, {"one": fields}, "infection", absent={"one": {"b": "no lung was found"}}))
    assert [one.film.problem for one in found] == [
        None,
        "no mask can be shown: one: no lung was found",
        "no mask can be shown: one: there is no mask of this film",
    ]
    scratch = list(propose(cohort, {}, "infection"))
    assert [(one.film.problem, dict(one.film.candidates)) for one in scratch] == [(None, {})] * 3


def test_an_id_with_a_line_end_is_left_out_and_the_others_go_on(cohort):
    table = cohort.assign(study=["a\n=1+1", "b", "=c d/ü"])
    broken, *rest = propose(table, {}, "infection")
    assert broken.film is None
    assert "printable" in broken.faults[0].error
    assert [one.film.film.film for one in rest] == ["b", "=c d/ü"]


def test_lungs_are_both_sides_and_none_where_one_is_missing(tmp_path, cohort):
    row = cohort.iloc[0].to_dict()
    assert target_field(row, "lung") == f"{row['right_lung_mask']}|{row['left_lung_mask']}"
    assert target_field({**row, "left_lung_mask": pd.NA}, "lung") is None
    assert target_field({**row, "lung_mask": "whole.png"}, "lung") == "whole.png"
    assert target_field({**row, "right_lung_mask": "(empty)", "left_lung_mask": "(empty)"}, "lung") == "(empty)"
    for side, column in (("right_lung", 12), ("left_lung", 36)):
        write_mask(tmp_path / "seg" / "masks" / side / "a.png", disc(20, column, 9))
    found = next(propose(cohort[:1], {"seg": folder_masks(tmp_path / "seg", "lung")}, "lung"))
    shown = decode_raster(found.film.candidates["seg"], "seg").stored > 0
    np.testing.assert_array_equal(shown, disc(20, 12, 9) | disc(20, 36, 9))
    assert found.lungs is None


def test_folders_that_cannot_be_meant_are_refused(tmp_path, network, cohort):
    with pytest.raises(ReviewError, match=r"holds masks of infection; expected some of the target 'lung'"):
        folder_masks(network, "lung")
    with pytest.raises(ReviewError, match="no such folder"):
        folder_masks(tmp_path / "nothing", "infection")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReviewError, match="no mask in this folder"):
        folder_masks(tmp_path / "empty", "infection")
    write_mask(tmp_path / "twice" / "x" / "a.png", disc(20, 12, 5))
    write_mask(tmp_path / "twice" / "y" / "a.png", disc(20, 12, 5))
    with pytest.raises(ReviewError, match="masks of one film"):
        folder_masks(tmp_path / "twice", "infection")
    with pytest.raises(ConfigError, match="target is 'heart'"):
        next(propose(cohort, {}, "heart"))
    for name in ("manual", "reader:ann", "settled"):
        with pytest.raises(ConfigError, match="another name"):
            check_sources([name])


def test_a_class_too_rare_for_its_share_gives_a_film():
    labels = ["covid19"] * 20 + ["rare"] * 2
    table = pd.DataFrame({"study": [f"{n:03}" for n in range(22)], "label": labels})
    assert table.loc[random_share(table, share=0.2, seed=0), "label"].value_counts().to_dict() == {
        "covid19": 3,
        "rare": 1,
    }
    assert len(random_share(table, count=1)) == 1


def test_a_random_share_is_of_every_class_and_the_same_again_in_any_order():
    table = pd.DataFrame({"study": [f"{n:03}" for n in range(100)], "label": ["normal"] * 50 + ["covid19"] * 50})
    table.loc[[0, 99], "label"] = pd.NA
    chosen = table.loc[random_share(table, share=0.2, seed=3)]
    assert len(chosen) == 20
    assert chosen["label"].value_counts().to_dict() == {"normal": 10, "covid19": 10}
    again = table.sample(frac=1, random_state=1)
    assert set(again.loc[random_share(again, share=0.2, seed=3)]["study"]) == set(chosen["study"])
    assert set(table.loc[random_share(table, share=0.2, seed=4)]["study"]) != set(chosen["study"])
    assert len(random_share(table, count=7)) == 7
    assert len(random_share(table, count=1000)) == 100
    assert len(random_share(table[:2], share=0.2)) == 1
    for wrong in ({"share": 0.0}, {"share": 1.5}, {"count": 0}, {}, {"share": 0.5, "count": 3}):
        with pytest.raises(ConfigError):
            random_share(table, **wrong)
