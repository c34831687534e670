"""Splits and folds by patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.data.groups import patient_groups
from patchcxr.data.sources import build_source
from patchcxr.data.splits import (
    LEAKS_ALLOWED,
    SCHEMES,
    SPLITS,
    SplitScheme,
    check_classes,
    check_patients,
    find_leaks,
    fold_split,
    folds_by_patient,
    folds_by_source,
    iterate_folds,
    largest_departure,
    make_split,
    reduce_training,
    split_balance,
    split_by_patient,
    unknown_patients,
)
from patchcxr.errors import ConfigError, SplitError


def cohort(rng, patients=None, mixed=0):
    """One to four films a patient; the first ``mixed`` patients have films of two classes."""
    rows = []
    for name, count in (patients or {"normal": 60, "viral": 20, "bacterial": 4}).items():
        for index in range(count):
            rows += [(f"{name}-{index}", name)] * int(rng.integers(1, 5))
    rows += [(f"normal-{index}", "viral") for index in range(mixed)]
    table = pd.DataFrame(rows, columns=["patient", "label"])
    return table.assign(study=[f"s{index}" for index in range(len(table))], image="x.png")


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_in_two_splits_and_every_class_is_in_all(rng, seed):
    made = split_by_patient(cohort(rng, mixed=10), seed=seed)
    assert made.groupby("patient")["split"].nunique().max() == 1
    assert made.groupby("label")["split"].nunique().min() == 3
    assert made["split"].notna().all()
    check_patients(made)
    check_classes(made)


def test_patients_are_shared_out_by_the_fractions_class_by_class(rng):
    made = split_by_patient(cohort(rng, {"normal": 60, "viral": 20, "bacterial": 10})).drop_duplicates("patient")
    counts = pd.crosstab(made["label"], made["split"])[["train", "validation", "test"]]
    assert counts.loc["normal"].tolist() == [42, 6, 12]
    assert counts.loc["viral"].tolist() == [14, 2, 4]
    assert counts.loc["bacterial"].tolist() == [7, 1, 2]


@pytest.mark.parametrize(
    ("total", "expected"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [3, 1, 1]), (7, [5, 1, 1]), (9, [6, 1, 2])]
)
def test_small_classes_give_one_patient_to_each_split_first(rng, total, expected):
    made = split_by_patient(cohort(rng, {"normal": 30, "rare": total})).drop_duplicates("patient")
    counts = made[made["label"] == "rare"]["split"].value_counts()
    assert [counts[name] for name in ("train", "validation", "test")] == expected


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does(rng):
    table = cohort(rng, mixed=5)
    shuffled = table.sample(frac=1, random_state=3)
    first = split_by_patient(table).set_index("study")["split"]
    again = split_by_patient(shuffled).set_index("study")["split"]
    other = split_by_patient(table, seed=1).set_index("study")["split"]
    assert first.sort_index().equals(again.sort_index())
    assert (first != other).any()


def test_a_patient_of_two_classes_counts_for_the_rarer(rng):
    table = cohort(rng, {"normal": 40, "viral": 2}, mixed=1)  # viral: two patients of its own and normal-0
    made = split_by_patient(table)
    assert set(made[made["label"] == "viral"]["split"]) == {"train", "validation", "test"}


def test_a_share_of_nothing_leaves_a_split_out(rng):
    made = split_by_patient(cohort(rng), fractions=(0.8, 0, 0.2))
    assert set(made["split"]) == {"train", "test"}


def test_without_classes_all_patients_are_alike(rng):
    table = cohort(rng, {"normal": 50})
    assert set(split_by_patient(table, stratify=None)["split"]) == {"train", "validation", "test"}
    with pytest.raises(SplitError, match=r"only the class 'normal'.*stratify=None"):
        split_by_patient(table)


def test_a_class_with_too_few_patients_is_named_with_its_count(rng):
    with pytest.raises(SplitError, match=r"class 'rare'.*2 patients.*3 splits.*merge classes"):
        split_by_patient(cohort(rng, {"normal": 30, "rare": 2}))
    with pytest.raises(SplitError, match="cohort has 2 patients"):
        split_by_patient(cohort(rng, {"normal": 2}), stratify=None)


@pytest.mark.parametrize(
    "fractions", [(0.7, 0.3), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1), (0, 0.5, 0.5), (float("nan"), 0.5, 0.5)]
)
def test_fractions_must_be_three_shares_of_one(rng, fractions):
    with pytest.raises(SplitError, match="fractions"):
        split_by_patient(cohort(rng), fractions=fractions)


def test_empty_cells_and_tables_are_refused(rng):
    table = cohort(rng)
    table.loc[4, "label"] = None
    with pytest.raises(SplitError, match=r"row 5: column 'label' is empty \(1 such rows\).*stratify=None"):
        split_by_patient(table)
    table.loc[4, "patient"] = np.nan
    with pytest.raises(SplitError, match="column 'patient' is empty"):
        split_by_patient(table, stratify=None)
    with pytest.raises(SplitError, match="no column 'class_name'"):
        split_by_patient(cohort(rng), stratify="class_name")
    with pytest.raises(SplitError, match="no rows"):
        split_by_patient(table.iloc[:0])


def test_folds_keep_patients_together_and_classes_balanced(rng):
    made = folds_by_patient(cohort(rng, {"normal": 53, "viral": 22, "bacterial": 11}, mixed=4), n_folds=5)
    assert made.groupby("patient")["fold"].nunique().max() == 1
    films = pd.crosstab(made["fold"], made["label"])
    assert (films.max() - films.min() <= 2).all()
    assert films.sum(axis=1).max() - films.sum(axis=1).min() <= 3
    assert set(made["fold"]) == set(range(5))
    assert made.groupby("label")["fold"].nunique().min() == 5
    check_patients(made, "fold")


def test_folds_that_cannot_be_filled_are_refused(rng):
    with pytest.raises(SplitError, match=r"class 'bacterial'.*4 patients.*5 folds"):
        folds_by_patient(cohort(rng))
    with pytest.raises(SplitError, match="at least 2"):
        folds_by_patient(cohort(rng), n_folds=1)


def test_a_patient_in_two_given_splits_is_named():
    table = pd.DataFrame({"patient": ["a", "a", "b", "c"], "split": ["train", "test", "train", None]})
    with pytest.raises(SplitError, match=r"1 patients.*a \(test and train\)"):
        check_patients(table)
    check_patients(table.iloc[1:])
    check_patients(table.assign(split=None))


def test_a_given_split_of_one_class_is_refused():
    table = pd.DataFrame({"label": ["x", "y", "x", "y", "x"], "split": ["train"] * 4 + ["test"]})
    with pytest.raises(SplitError, match=r"split 'test' has no film of class 'y' .it holds x."):
        check_classes(table)
    with pytest.raises(SplitError, match="no class"):
        check_classes(table.assign(label=None))


def random_cohort(seed):
    """Films of several classes and sources, most patients with few and some with many; some films are copies."""
    rng = np.random.default_rng(seed)
    patients = int(rng.integers(60, 140))
    films = rng.geometric(0.5, patients)
    label = rng.choice(["normal", "viral", "bacterial"], patients, p=[0.6, 0.3, 0.1])
    label[:18] = np.repeat(["normal", "viral", "bacterial"], 6)
    table = pd.DataFrame({"patient": np.repeat([f"p{index}" for index in range(patients)], films)})
    table["label"] = np.repeat(label, films)
    other = rng.random(len(table)) < 0.05
    table.loc[other, "label"] = rng.choice(["normal", "viral"], other.sum())
    table["source"] = np.where(table["patient"].str[-1] > "5", "x", "y")
    table["study"] = [f"s{index}" for index in range(len(table))]
    table["image"] = table["study"] + ".png"
    copies = pd.Series(np.where(rng.random(len(table)) < 0.04, rng.integers(0, 4, len(table)), np.nan))
    return table, copies


MADE_BY_PATIENT = ["oh2020", "oh2020_segmentation", "degerli2021", "tahir2021", "hertel2022", "hertel2022_segmentation"]


@pytest.mark.parametrize("scheme", MADE_BY_PATIENT)
@pytest.mark.parametrize("seed", range(6))
def test_no_patient_and_no_copy_is_ever_on_two_sides_and_the_order_of_rows_does_not_matter(scheme, seed):
    table, copies = random_cohort(seed)
    made = make_split(table, scheme, seed, copies).table
    column = "fold" if SCHEMES[scheme].kind == "folds" else "split"
    sides = made.groupby(patient_groups(table, copies))[column]
    assert sides.nunique().max() == 1
    assert made[column].notna().all()
    assert made.groupby(column)["label"].nunique().min() == 3
    order = np.random.default_rng(seed).permutation(len(table))
    again = make_split(table.iloc[order], scheme, seed, copies.iloc[order]).table
    assert again[column].sort_index().equals(made[column])
    assert not make_split(table, scheme, seed + 1, copies).table[column].equals(made[column])


@pytest.mark.parametrize("seed", range(6))
def test_every_fold_is_tested_once_and_validation_is_a_fifth_of_the_rest(seed):
    table, copies = random_cohort(seed)
    made = make_split(table, "tahir2021", seed, copies).table
    keys = patient_groups(table, copies)
    tested = []
    validated = []
    for fold, split in iterate_folds(made, 0.2, seed, groups=copies):
        assert split.groupby(keys)["split"].nunique().max() == 1
        assert split["split"].notna().all()
        assert (split["split"].eq("test") == made["fold"].eq(fold)).all()
        assert split.groupby("split")["label"].nunique().min() == 3
        rest = split[split["split"] != "test"]
        assert (rest["split"] == "validation").mean() == pytest.approx(0.2, abs=0.05)
        tested += split.loc[split["split"] == "test", "study"].tolist()
        validated.append(frozenset(split.loc[split["split"] == "validation", "study"]))
    assert sorted(tested) == sorted(table["study"])
    assert len(set(validated)) == 5
    assert fold_split(made, 1, 0.2, seed, groups=copies)["split"].eq("validation").sum() == len(validated[1])


@pytest.mark.parametrize("seed", range(10))
def test_sizes_are_within_one_patient_of_the_ideal(seed):
    table, _ = random_cohort(seed)
    once = table.groupby("patient").agg(classes=("label", "nunique"), label=("label", "first"))
    pure = table[table["patient"].isin(once.index[once["classes"] == 1])]
    for draws in (1, 20):
        made = split_by_patient(pure, (0.7, 0.1, 0.2), seed=seed, draws=draws).drop_duplicates("patient")
        counts = pd.crosstab(made["label"], made["split"]).reindex(columns=SPLITS)
        ideal = np.outer(counts.sum(axis=1), (0.7, 0.1, 0.2))
        assert (np.abs(counts - ideal) <= 1).all(axis=None)
    largest = table["patient"].value_counts().max()
    films = pd.crosstab(folds_by_patient(table, seed=seed)["fold"], table["label"])
    assert (np.abs(films - films.sum() / 5) <= largest).all(axis=None)


def departure(made, column):
    return abs(largest_departure(split_balance(made, column))["departure"])


def test_more_draws_and_balanced_folds_are_more_even_in_films():
    seeds = range(8)
    tables = [random_cohort(seed)[0] for seed in seeds]
    pairs = list(zip(seeds, tables, strict=True))
    one = [departure(split_by_patient(table, seed=seed), "split") for seed, table in pairs]
    many = [departure(make_split(table, "oh2020", seed).table, "split") for seed, table in pairs]
    assert all(after <= before for before, after in zip(one, many, strict=True))
    assert np.mean(many) < 0.5 * np.mean(one)
    folds = [departure(folds_by_patient(table, seed=seed), "fold") for seed, table in pairs]
    assert np.mean(folds) < 0.02


def test_balanced_folds_are_as_even_as_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.model_selection")
    ours, theirs = [], []
    for seed in range(8):
        table, _ = random_cohort(seed)
        splitter = sklearn.StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        other = table.assign(fold=-1)
        for fold, (_, test) in enumerate(splitter.split(table, table["label"], table["patient"])):
            other.loc[test, "fold"] = fold
        ours.append(departure(folds_by_patient(table, seed=seed), "fold"))
        theirs.append(departure(other, "fold"))
    assert np.mean(ours) <= np.mean(theirs) + 0.005


def test_the_split_of_a_seed_stays_the_same():
    table = pd.DataFrame({"patient": [f"p{index // 2}" for index in range(60)], "label": ["a", "a", "b", "b"] * 15})
    made = split_by_patient(table, seed=3).drop_duplicates("patient").set_index("patient")["split"]
    assert sorted(made.index[made == "validation"]) == ["p6", "p9"]
    assert sorted(made.index[made == "test"]) == ["p10", "p11", "p23", "p26", "p4", "p5"]


def test_a_rare_class_reaches_every_side_or_is_refused():
    rare = pd.DataFrame({"patient": [f"r{index}" for index in range(5)], "label": "rare"})
    common = pd.DataFrame({"patient": [f"c{index // 3}" for index in range(120)], "label": "common"})
    table = pd.concat([common, rare], ignore_index=True).assign(study=lambda made: made.index.astype(str))
    assert folds_by_patient(table).groupby("fold")["label"].nunique().min() == 2
    assert make_split(table, "oh2020").table.groupby("split")["label"].nunique().min() == 2
    with pytest.raises(SplitError, match=r"class 'rare' of column 'label' has 4 patients.*5 folds.*merge classes"):
        make_split(table.iloc[:-1], "degerli2021")
    with pytest.raises(SplitError, match=r"class 'rare'.* 2 patients.*3 splits"):
        make_split(table.iloc[:-3], "oh2020")
    made = folds_by_patient(table.iloc[:-3], n_folds=2)
    with pytest.raises(SplitError, match=r"class 'rare'.* 1 patients.*2 splits"):
        next(iterate_folds(made, 0.2))


def test_copies_count_as_one_patient_of_a_rare_class():
    table = pd.DataFrame(
        {"patient": ["a", "b", "c", *[f"n{i}" for i in range(9)]], "label": ["rare"] * 3 + ["normal"] * 9}
    )
    assert set(split_by_patient(table)["split"]) == set(SPLITS)
    with pytest.raises(SplitError, match=r"class 'rare'.* 2 patients"):
        split_by_patient(table, groups=[0, 0, *range(1, 11)])


def predefined():
    table, _ = random_cohort(0)
    return split_by_patient(table, (0.6, 0.1, 0.3))


def test_a_predefined_split_is_taken_as_it_is():
    table = predefined()
    made = make_split(table.assign(fold=1), "predefined")
    assert made.table["split"].equals(table["split"])
    assert made.table["fold"].isna().all()
    table.loc[:4, "split"] = None
    made = make_split(table, "predefined")
    assert made.table["split"].isna().sum() == 5
    assert "5 films have no split and are not used" in made.notes


def test_a_predefined_split_that_leaks_is_refused_unless_told_so_in_so_many_words():
    table = predefined()
    first = table.index[table["split"] == "train"][0]
    table.loc[len(table)] = table.loc[first].replace({"train": "test"})
    patient = table.loc[first, "patient"]
    with pytest.raises(
        SplitError, match=rf"1 patients.*{patient} \(test and train\).*say allow_leaks='{LEAKS_ALLOWED}'"
    ):
        make_split(table, "predefined")
    for words in (True, "yes", "", None):
        with pytest.raises(SplitError, match="in so many words"):
            make_split(table, "predefined", allow_leaks=words)
    made = make_split(table, "predefined", allow_leaks=LEAKS_ALLOWED)
    assert made.notes[0].startswith(f"leaking, as allowed: 1 patients have films in two values of 'split': {patient}")
    leaks = find_leaks(made.table)
    assert leaks["group"].tolist() == [patient]
    assert leaks["films"].tolist() == [(table["patient"] == patient).sum()]


def test_a_predefined_split_with_copies_on_both_sides_is_refused():
    table = predefined()
    copies = pd.Series(range(len(table)))
    train, test = (table.index[table["split"] == name][0] for name in ("train", "test"))
    copies[train] = copies[test]
    make_split(table, "predefined")
    with pytest.raises(SplitError, match=r"2 patients with copies of a film.*leave the copies out"):
        make_split(table, "predefined", groups=copies)
    check_patients(table)
    with pytest.raises(SplitError, match="copies"):
        check_patients(table, groups=copies)


def test_predefined_splits_must_name_train_and_test():
    table = predefined()
    for wrong, said in [("training", "holds training"), (None, "holds nothing"), ("train", "holds train;")]:
        with pytest.raises(SplitError, match=said):
            make_split(table.assign(split=wrong), "predefined")
    with pytest.raises(SplitError, match="holds nothing"):
        make_split(table.drop(columns="split"), "predefined")


def test_films_added_to_a_predefined_split_are_divided_in_its_proportion():
    # Degerli 2021, Table 5: bacterial pneumonia 2130 / 630 as ChestX-ray14 86,524 / 25,596.
    given = [("train", 77), ("test", 23)]
    table = pd.DataFrame({"split": np.repeat([name for name, _ in given], [count for _, count in given])})
    table["label"] = "other"
    more = pd.DataFrame({"split": None, "label": ["bacterial"] * 100 + ["viral"] * 200})
    table = pd.concat([table, more], ignore_index=True)
    table["patient"] = [f"p{index}" for index in range(400)]
    table.loc[399, "patient"] = "p99"  # a viral film of a patient in the test part
    table["study"] = table["patient"]
    made = make_split(table, "degerli2021_group2")
    counts = pd.crosstab(made.table["label"], made.table["split"])
    assert counts.loc["bacterial"].tolist() == [23, 77]
    assert counts.loc["other"].tolist() == [23, 77]
    assert counts.loc["viral", "test"] == 46 + 1
    assert made.table.loc[399, "split"] == "test"
    assert not any("validation" in note for note in made.notes)


def sourced(source, label, patients):
    name = [f"{source}-{label}-{index}" for index in range(patients)]
    return pd.DataFrame({"study": name, "patient": name, "source": source, "label": label, "patient_id_known": "yes"})


def test_films_of_the_pipeline_paper_go_where_it_put_them():
    parts = [("bimcv", "covid19", 40), ("covidx", "covid19", 20), ("ricord", "covid19", 20)]
    parts += [("covidx", "normal", 100), ("covidx", "pneumonia", 60)]
    made = make_split(pd.concat([sourced(*part) for part in parts], ignore_index=True), "hertel2022").table
    counts = pd.crosstab([made["source"], made["label"]], made["split"]).reindex(columns=SPLITS)
    assert counts.loc[("bimcv", "covid19")].tolist() == [40, 0, 0]
    assert counts.loc[("covidx", "covid19")].tolist() == [0, 10, 10]
    assert counts.loc[("ricord", "covid19")].tolist() == [16, 2, 2]
    assert counts.loc[("covidx", "normal")].tolist() == [80, 10, 10]
    assert counts.loc[("covidx", "pneumonia")].tolist() == [48, 6, 6]


def test_one_source_is_left_out_at_a_time():
    parts = [sourced("b", "normal", 20), sourced("b", "viral", 20), sourced("a", "normal", 10), sourced("a", "tb", 5)]
    made = make_split(pd.concat(parts, ignore_index=True), "leave_one_source_out")
    assert made.folds == ("a", "b")
    assert made.table["fold"].eq(made.table["source"].eq("b").astype(int)).all()
    assert made.table["split"].isna().all()
    assert any("class 'tb' occurs in a alone" in note for note in made.notes)
    splits = dict(iterate_folds(made.table, SCHEMES["leave_one_source_out"].validation_fraction))
    assert pd.crosstab(splits[0]["source"], splits[0]["split"]).reindex(columns=SPLITS).to_numpy().tolist() == [
        [0, 0, 15],
        [32, 8, 0],
    ]


def test_sources_that_share_a_copy_are_refused():
    table = pd.concat([sourced("a", "normal", 5), sourced("b", "normal", 5)], ignore_index=True)
    copies = [0, 1, 2, 3, 4, 0, 6, 7, 8, 9]
    with pytest.raises(
        SplitError, match=r"leaving one source out: 1 patients or duplicate groups.*leave the copies out"
    ):
        make_split(table, "leave_one_source_out", groups=copies)
    made = make_split(table, "leave_one_source_out", groups=copies, allow_leaks=LEAKS_ALLOWED)
    assert made.notes[0].startswith("leaking, as allowed")
    with pytest.raises(SplitError, match="copies"):
        next(iterate_folds(made.table, groups=copies))
    _, split = next(iterate_folds(made.table, 0.2, groups=copies, allow_leaks=LEAKS_ALLOWED))
    assert split["split"].value_counts().to_dict() == {"test": 5, "train": 4, "validation": 1}


def test_sources_must_be_named_and_more_than_one():
    with pytest.raises(SplitError, match="3 films have no source"):
        folds_by_source(sourced(None, "normal", 3))
    with pytest.raises(SplitError, match="all films are of the source 'a'"):
        folds_by_source(sourced("a", "normal", 3))


def test_the_balance_is_counted_by_hand():
    table = pd.DataFrame(
        {
            "patient": ["a", "a", "b", "c", "d", "e"],
            "label": ["n", "n", "v", "n", "v", "n"],
            "source": ["x", "x", "y", "y", "y", "y"],
            "split": ["train", "train", "train", "test", "test", None],
        }
    )
    made = split_balance(table).set_index(["split", "source", "label"])
    assert made.loc[("train", "(all)", "(all)"), ["films", "patients"]].tolist() == [3, 2]
    row = made.loc[("train", "(all)", "n")]
    assert row[["films", "patients"]].tolist() == [2, 1]
    assert row["share"] == pytest.approx(2 / 3)
    assert row["share_of_all"] == pytest.approx(3 / 5)
    assert row["departure"] == pytest.approx(2 / 3 - 3 / 5)
    assert made.loc[("test", "x", "n")].tolist()[:3] == [0, 0, 0]
    assert made.loc[("test", "y", "(all)"), "share"] == 1
    largest = largest_departure(split_balance(table))
    assert (largest["split"], largest["departure"]) == ("test", pytest.approx(-0.1))
    assert list(dict.fromkeys(split_balance(table)["split"])) == ["train", "test"]
    for _, side in split_balance(table).groupby("split"):
        inner = side[(side["source"] != "(all)") & (side["label"] != "(all)")]
        assert inner["share"].sum() == pytest.approx(1)
    with pytest.raises(SplitError, match="no film with a fold"):
        split_balance(table, "fold")


def test_a_balance_without_classes_counts_sources():
    table = pd.DataFrame({"patient": list("abcd"), "source": ["x", "x", "y", None], "fold": [0, 1, 0, 1]})
    made = split_balance(table, "fold", stratify=None)
    assert made.loc[made["fold"] == 0, ["source", "films"]].to_numpy().tolist() == [
        ["(all)", 2],
        ["(none)", 0],
        ["x", 1],
        ["y", 1],
    ]
    assert largest_departure(made)["source"] in ("(none)", "y")


def test_unknown_patients_are_counted_by_source():
    known = sourced("a", "normal", 3).assign(patient_id_known=["yes", "no", "no"])
    stands_in = sourced("b", "normal", 4).drop(columns="patient_id_known")
    named = sourced("c", "normal", 2).assign(patient="p", patient_id_known=None)
    by_file = sourced("d", "normal", 2)
    table = pd.concat([known, stands_in, named, by_file], ignore_index=True)
    assert unknown_patients(table) == {"a": 2, "b": 4}
    assert unknown_patients(table.drop(columns="patient_id_known")) == {"a": 3, "b": 4, "d": 2}


def test_a_split_of_unknown_patients_says_that_it_may_leak_unless_copies_are_known():
    table = pd.concat([sourced("a", "normal", 20), sourced("a", "viral", 20)], ignore_index=True)
    table["patient_id_known"] = "no"
    made = make_split(table, "oh2020")
    assert [note for note in made.notes if "may be on both sides" in note] == [
        "source 'a': the patients of 40 films are not known, so films of one person may be on both sides;"
        " give the duplicate groups of the films (patchcxr.data.duplicates), or fill in the column 'patient'"
    ]
    made = make_split(table, "oh2020", groups=list(range(40)))
    assert "copies are kept together, but other films of one person are not found" in made.notes[0]
    known = make_split(table.assign(patient_id_known="yes"), "oh2020")
    assert not any("may be" in note for note in known.notes)
    assert made.notes[-1].startswith("largest departure: class 'normal' is 50.0 %")


def test_fewer_training_films_are_part_of_more_and_leave_the_test_alone():
    table, copies = random_cohort(1)
    made = make_split(table, "oh2020", groups=copies).table
    before = set()
    for share in (0.1, 0.3, 0.5, 1.0):
        less = reduce_training(made, share, groups=copies)
        kept = set(less.loc[less["split"] == "train", "study"])
        assert before <= kept
        before = kept
        others = made["split"] != "train"
        assert less.loc[others, "split"].equals(made.loc[others, "split"])
        patients = less.loc[less["split"] == "train", "patient"].nunique()
        assert patients == pytest.approx(share * made.loc[made["split"] == "train", "patient"].nunique(), abs=4)
        assert less.loc[less["split"] == "train", "label"].nunique() == 3
    assert less["split"].equals(made["split"])
    for share in (0, 1.1, float("nan")):
        with pytest.raises(SplitError, match="share is"):
            reduce_training(made, share)
    with pytest.raises(SplitError, match="no film in the split 'train'"):
        reduce_training(made.assign(split="test"), 0.5)


def test_every_scheme_names_its_paper_and_works():
    table, copies = random_cohort(2)
    table["split"] = split_by_patient(table, groups=copies)["split"]
    for name, scheme in SCHEMES.items():
        made = make_split(table, name, groups=copies, allow_leaks=LEAKS_ALLOWED)
        assert scheme.reference
        assert len(made.table) == len(table)
        assert made.balance["films"].max() <= len(table)
    assert SCHEMES["oh2020"].fractions == (0.7, 0.1, 0.2)
    assert SCHEMES["tahir2021"].validation_fraction == 0.2


def test_schemes_and_folds_that_do_not_exist_are_refused():
    table, _ = random_cohort(3)
    with pytest.raises(SplitError, match="split scheme is 'loo'; expected one of oh2020, "):
        make_split(table, "loo")
    made = make_split(table, "degerli2021").table
    with pytest.raises(SplitError, match=r"fold is 5; expected one of \[0, 1, 2, 3, 4\]"):
        fold_split(made, 5)
    with pytest.raises(SplitError, match="validation_fraction is 1"):
        fold_split(made, 0, 1.0)
    with pytest.raises(SplitError, match="no folds"):
        next(iterate_folds(table))
    for wrong in ({"kind": "random"}, {"kind": "folds", "n_folds": 1}, {"kind": "folds", "validation_fraction": 1.0}):
        with pytest.raises(ConfigError):
            SplitScheme(**wrong)
    with pytest.raises(SplitError, match="fractions"):
        SplitScheme(kind="hold-out", fractions=(1.0, 1.0, 1.0))


def test_films_without_classes_are_split_without_strata():
    table, copies = random_cohort(4)
    made = make_split(table.assign(label=None), "oh2020", groups=copies, stratify=None)
    assert made.table["split"].value_counts(normalize=True)["train"] == pytest.approx(0.7, abs=0.02)
    assert made.notes[-1].startswith("largest departure: source")
    folds = make_split(table.assign(label=None), "tahir2021", stratify=None).table
    assert folds["fold"].value_counts().max() - folds["fold"].value_counts().min() <= 1
    with pytest.raises(SplitError, match=r"column 'label' is empty .* stratify=None"):
        make_split(table.assign(label=None), "oh2020")


@pytest.mark.real
def test_real_films_are_split_evenly_by_film(real_data):
    table = build_source("cohen", real_data / "cohen").cohort
    patients = table.groupby("label")["patient"].nunique()
    table = table[table["label"].isin(patients.index[patients >= 6])].reset_index(drop=True)
    assert departure(make_split(table, "oh2020").table, "split") < 0.06
    made = make_split(table, "degerli2021").table
    assert departure(made, "fold") < 0.03
    films = made["fold"].value_counts()
    assert films.max() - films.min() <= 2
