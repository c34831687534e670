"""History, best epoch and patience."""

from __future__ import annotations

import math

import pytest

from patchcxr.training.record import Record


def run(values, mode="min", patience=None):
    record = Record("score", mode, patience)
    for epoch, value in enumerate(values, start=1):
        record.add({"epoch": epoch, "score": value, "seconds": 2.0 * epoch})
    return record


@pytest.mark.parametrize(("mode", "best"), [("min", (3, 1.0)), ("max", (2, 5.0))])
def test_the_best_epoch_is_the_first_with_the_best_value(mode, best):
    record = run([3, 5, 1, 5, 1], mode)
    assert (record.best_epoch, record.best_value) == best


def test_patience_counts_epochs_in_a_row_without_a_better_value():
    assert not run([3, 4, 4, 2, 5], patience=2).out_of_patience
    assert run([3, 4, 3], patience=2).out_of_patience


def test_nan_is_never_better_than_a_number():
    assert run([math.nan, 2, math.nan]).best_epoch == 2
    assert run([math.nan, math.nan]).best_epoch == 1


def test_a_restored_record_goes_on_where_it_was():
    whole, part = run([3, 4, 2, 5]), run([3, 4])
    restored = Record("score", "min")
    restored.restore(part.state())
    for row in whole.rows[2:]:
        restored.add(row)
    assert restored == whole
    assert restored.seconds == 8.0
