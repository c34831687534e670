"""Comparisons in the form in which papers print them: triangles, pairs, exclusions, maps against maps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from string import ascii_uppercase
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.errors import ConfigError
from patchcxr.report.brackets import pair_columns
from patchcxr.report.groups import require_columns
from patchcxr.report.style import display_name
from patchcxr.report.tables import PaperTable, format_interval, format_mean_std
from patchcxr.stats.corrections import Correction, with_stars
from patchcxr.stats.markers import GroupComparison, triangular_table
from patchcxr.stats.paired import paired_table, signed_rank_pairs

CORRECTIONS: Final = {
    "holm": "corrected after Holm",
    "fdr_bh": "corrected after Benjamini and Hochberg",
    "none": "not corrected for their number",
}
STARS: Final = "* p < 0.05, ** p < 0.01, *** p < 0.001, - not significant, n/a no test was possible."
LEVELS: Final = {"-": 0, "*": 1, "**": 2, "***": 3}
SIGNIFICANCE: Final = "Statistical significance"
MOST_SIDE_BY_SIDE: Final = 3


def note_of_test(found: GroupComparison) -> str:
    """Say below a table which test was made, over what, and how its p-values were corrected."""
    unit = "patients (the films of a patient averaged)" if found.unit == "patient" else "films, taken as independent"
    number = len(found.pairs)
    return (
        f"Wilcoxon rank-sum test over {unit}; p-values of {number} {'pair' if number == 1 else 'pairs'} "
        f"{CORRECTIONS[found.correction]}: {STARS} Mean and STD over the same unit; n, values that enter; dropped, "
        "films without a value."
    )


def triangle(found: GroupComparison, caption: str = "") -> PaperTable:
    """Arrange a comparison as in Oh 2020, Tables VI to IX.

    Rows are groups, with ``n``, ``dropped``, ``Mean`` and ``STD``; every group but the last has a column with the
    stars of its test against each later group. The stars come from the corrected p-values; a comparison made with
    the correction ``"none"`` over films gives the paper's.
    """
    order = list(found.summary["group"])
    stars = triangular_table(found.pairs, order, found.summary)
    described = found.summary.set_index("group").loc[order]
    data = pd.DataFrame({"group": order, "n": described["n"].to_numpy(), "dropped": described["dropped"].to_numpy()})
    data = pd.concat([data, stars.reset_index(drop=True)], axis=1)
    names = {name: str(display_name(str(name))) for name in order[:-1]}
    shown = data.assign(group=[str(display_name(str(name))) for name in order]).rename(columns=names)
    caption = caption or f"{display_name(found.value)} by {found.group}"
    heads = dict.fromkeys(names.values(), SIGNIFICANCE)
    return PaperTable(data=data, shown=shown, caption=caption, note=note_of_test(found), heads=heads)


def pairs_table(pairs: pd.DataFrame, caption: str = "", note: str = "") -> PaperTable:
    """Bring pairwise tests into a form that fits a page; every column stays in the CSV file.

    Parameters
    ----------
    pairs
        Of :func:`~patchcxr.stats.comparisons.rank_sum_pairs`, :func:`~patchcxr.stats.classes.compare` or
        :func:`~patchcxr.stats.paired.signed_rank_pairs`.
    """
    first, second = pair_columns(pairs, "shift", "p", "p_adjusted", "stars", "rank_biserial")
    shown = pd.DataFrame({"pair": _pair_names(pairs, first, second)})
    for name in ("n_a", "n_b", "n", "films", "dropped", "zeros"):
        if name in pairs:
            shown[name] = pairs[name].to_numpy()
    shown["Shift (95 % CI)"] = _intervals(pairs, "shift")
    shown["Rank-biserial"] = pairs["rank_biserial"].to_numpy()
    shown["p"], shown["p_adjusted"] = pairs["p"].to_numpy(), pairs["p_adjusted"].to_numpy()
    shown["stars"] = pairs["stars"].to_numpy()
    if "note" in pairs and pairs["note"].fillna("").str.len().any():
        shown["note"] = pairs["note"].fillna("").to_numpy()
    return PaperTable(data=pairs, shown=shown, caption=caption, note=note)


def exclusion_tables(full: GroupComparison, kept: GroupComparison, what: str) -> tuple[PaperTable, PaperTable]:
    """Set a comparison beside the same one without some films, as AP supine ones in Oh 2020, Table VIII.

    Parameters
    ----------
    full, kept
        Comparisons of all films and of those that are left; of one value, with one correction.
    what
        What was left out, for the captions, such as ``"AP supine films"``.

    Returns
    -------
    groups, pairs : PaperTable
        ``groups``: n, mean and standard deviation with and without, and the difference of the means. ``pairs``: shift,
        corrected p and stars with and without, and ``change``: ``lost`` and ``gained`` (significance at 0.05),
        ``weaker`` and ``stronger`` (stars), ``no test`` where one of the two has none, or nothing.

    Raises
    ------
    ConfigError
        If the two compare different values or groups, or have different corrections or units.
    """
    for name in ("value", "group", "correction", "unit"):
        if getattr(full, name) != getattr(kept, name):
            raise ConfigError(
                f"{name} is {getattr(full, name)!r} with and {getattr(kept, name)!r} without {what}; "
                "compare both in the same way"
            )
    columns = ["group", "n", "mean", "std"]
    groups = full.summary[columns].merge(kept.summary[columns], on="group", how="left", suffixes=("_all", "_kept"))
    groups["n_kept"] = groups["n_kept"].fillna(0).astype(int)
    groups = groups[["group", "n_all", "n_kept", "mean_all", "mean_kept", "std_all", "std_kept"]]
    groups["mean_change"] = groups["mean_kept"] - groups["mean_all"]
    names = ["group_a", "group_b", "shift", "shift_low", "shift_high", "p_adjusted", "stars"]
    pairs = full.pairs[names].merge(
        kept.pairs[names], on=["group_a", "group_b"], how="left", suffixes=("_all", "_kept")
    )
    pairs["stars_kept"] = pairs["stars_kept"].fillna("n/a")
    pairs["change"] = [_change(a, b) for a, b in zip(pairs["stars_all"], pairs["stars_kept"], strict=True)]
    shown = pd.DataFrame({"pair": _pair_names(pairs, "group_a", "group_b")})
    for end in ("all", "kept"):
        shown[f"shift_{end}"] = _intervals(pairs, "shift", f"_{end}")
        shown[f"p_{end}"], shown[f"stars_{end}"] = pairs[f"p_adjusted_{end}"], pairs[f"stars_{end}"]
    shown["change"] = pairs["change"]
    title, changed = display_name(full.value), int((pairs["change"] != "").sum())
    note = f"all: every film; kept: without {what}. {note_of_test(full)}"
    return (
        PaperTable(data=groups, caption=f"{title}: groups with and without {what}", note=note),
        PaperTable(
            data=pairs,
            shown=shown,
            caption=f"{title}: tests with and without {what}; {changed} of {len(pairs)} pairs changed",
            note=note,
        ),
    )


def localization_table(
    scores: pd.DataFrame,
    methods: Sequence[str] | None = None,
    measures: Sequence[str] | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
    correction: Correction = "holm",
    over: str = "measure",
) -> PaperTable:
    """Compare maps on the same films: paired tests, effects and bootstrap intervals of every measure.

    Parameters
    ----------
    scores
        Long: ``study``, ``method``, ``measure``, ``value``, and ``patient`` where known: the films of a patient are
        then averaged.
    methods, measures
        Those to compare, in this order; by default all, as they come.
    rng, resamples
        Of the bootstrap over patients; without ``rng`` its intervals are NaN.
    correction
        Of the p-values, ``over`` the pairs of one ``"measure"`` (each measure its own question) or of ``"all"``.

    Returns
    -------
    PaperTable
        ``data`` has a row for each measure and pair: ``measure`` and the columns of
        :func:`~patchcxr.stats.paired.signed_rank_pairs`. Readers see a row a measure: mean ± standard deviation of
        each method, and for each pair the median difference with its interval and stars. More than three methods have
        too many pairs for the width of a page; then readers see a row a measure and pair.

    Raises
    ------
    ConfigError
        If a column is missing, fewer than two methods are left, or ``over`` is unknown.
    CohortError
        If a film has two values of one method and measure.
    """
    require_columns(scores, ["study", "method", "measure", "value"], "the table of localisation scores")
    if over not in ("measure", "all"):
        raise ConfigError(f"over is {over!r}; expected 'measure' or 'all'")
    names = list(methods) if methods is not None else list(dict.fromkeys(scores["method"]))
    wanted = list(measures) if measures is not None else list(dict.fromkeys(scores["measure"]))
    patients = scores.drop_duplicates("study").set_index("study")["patient"] if "patient" in scores else None
    tests, rows = [], []
    for measure in wanted:
        part = scores[(scores["measure"] == measure) & scores["method"].isin(names)]
        wide = paired_table(part, "study", "method", "value").reindex(columns=["study", *names])
        if patients is not None:
            wide["patient"] = wide["study"].map(patients)
        found = signed_rank_pairs(wide, names, correction, rng=rng, resamples=resamples)
        tests.append(found.assign(measure=measure))
        units = wide if patients is None else wide.groupby("patient")[names].mean()
        rows.append(units[names].agg(["mean", "std"]).assign(n=int(units[names].dropna().shape[0])))
    data = pd.concat(tests, ignore_index=True)
    data.insert(0, "measure", data.pop("measure"))
    if over == "all":
        data = with_stars(data, correction)
    note = _maps_note(patients is not None, correction, over, len(data) // max(len(wanted), 1), len(data))
    caption = "Localisation by map"
    if len(names) > MOST_SIDE_BY_SIDE:
        return PaperTable(data=data, shown=_maps_below_each_other(data), caption=caption, note=note)
    shown = _maps_side_by_side(data, wanted, names, rows)
    return PaperTable(data=data, shown=shown, caption=caption, note=note, heads=_maps_heads(names))


def _maps_below_each_other(data: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame(
        {"measure": data["measure"], "pair": _pair_names(data, "method_a", "method_b"), "n": data["n"]}
    )
    for end in ("a", "b"):
        shown[f"Mean {end}"] = [_unbroken(format_mean_std(value, None, 2)) for value in data[f"mean_{end}"]]
    shown["Median difference (95 % CI)"] = _intervals(data, "median_difference", digits=2)
    return shown.assign(p_adjusted=data["p_adjusted"].to_numpy(), stars=data["stars"].to_numpy())


def _maps_side_by_side(
    data: pd.DataFrame, measures: Sequence[str], methods: Sequence[str], rows: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    lettered, lines = _lettered(methods), []
    for measure, described in zip(measures, rows, strict=True):
        line: dict[str, Any] = {"measure": measure, "n": int(described["n"].iloc[0])}
        for name, title in zip(methods, lettered, strict=True):
            line[title] = _unbroken(format_mean_std(described.loc["mean", name], described.loc["std", name], 2))
        part = data[data["measure"] == measure]
        differences = _intervals(part, "median_difference", digits=2)
        for pair, text, stars in zip(_pair_letters(methods), differences, part["stars"], strict=True):
            line[pair] = f"{text}\u00a0{stars}" if stars != "-" else text
        lines.append(line)
    return pd.DataFrame(lines)


def _lettered(methods: Sequence[str]) -> list[str]:
    return [f"{letter}: {display_name(name)}" for letter, name in zip(ascii_uppercase, methods, strict=False)]


def _pair_letters(methods: Sequence[str]) -> list[str]:
    return [f"{a} − {b}" for a, b in combinations(ascii_uppercase[: len(methods)], 2)]


def _maps_heads(methods: Sequence[str]) -> dict[str, str]:
    heads = dict.fromkeys(_lettered(methods), "Mean ± SD")
    return heads | dict.fromkeys(_pair_letters(methods), "Median difference (95 % CI)")


def _maps_note(patients: bool, correction: str, over: str, pairs: int, tests: int) -> str:
    unit = "patients (the films of a patient averaged)" if patients else "films, taken as independent"
    number = f"the {pairs} pairs of each measure" if over == "measure" else f"all {tests} tests"
    return (
        f"Wilcoxon signed-rank test over {unit}; p-values of {number} {CORRECTIONS[correction]}: {STARS} Intervals by "
        f"bootstrap over {unit.split(' ')[0].rstrip(',')}."
    )


def _pair_names(pairs: pd.DataFrame, first: str, second: str) -> list[str]:
    names = zip(pairs[first], pairs[second], strict=True)
    return [_unbroken(f"{display_name(str(a))} − {display_name(str(b))}") for a, b in names]


def _unbroken(text: str) -> str:
    """Keep a short text on one line of the page."""
    return text.replace(" ", "\u00a0")


def _intervals(pairs: pd.DataFrame, name: str, suffix: str = "", digits: int = 3) -> list[str]:
    ends = pairs[[f"{name}{suffix}", f"{name}_low{suffix}", f"{name}_high{suffix}"]].to_numpy(float)
    return [_unbroken(format_interval(value, low, high, digits)) for value, low, high in ends]


def _change(before: str, after: str) -> str:
    if before not in LEVELS or after not in LEVELS:
        return "" if before == after else "no test"
    a, b = LEVELS[before], LEVELS[after]
    if a == b:
        return ""
    if not a or not b:
        return "gained" if b else "lost"
    return "stronger" if b > a else "weaker"
