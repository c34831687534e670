"""Steps are done once, again when something above them changes, and fail alone."""

import pandas as pd
import pytest

from patchcxr.errors import SplitError
from patchcxr.study.steps import StepRunner


class Counter:
    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self.error = error

    def __call__(self, folder):
        self.runs += 1
        if self.error is not None:
            raise self.error
        (folder / "result.txt").write_text(str(self.runs))


def test_a_step_that_is_done_is_skipped(tmp_path):
    action = Counter()
    for _ in range(2):
        assert StepRunner(tmp_path).run("films", action, {"size": 1})
    assert action.runs == 1


def test_a_changed_setting_runs_the_step_and_what_needs_it_again(tmp_path):
    first, second = Counter(), Counter()
    for size in (1, 2):
        steps = StepRunner(tmp_path)
        steps.run("films", first, {"size": size})
        steps.run("lungs", second, {}, ["films"])
    assert (first.runs, second.runs) == (2, 2)


def test_a_failed_step_fails_what_needs_it_and_nothing_else(tmp_path):
    steps, alone = StepRunner(tmp_path), Counter()
    assert not steps.run("anatomy", Counter(SplitError("no film")), {})
    assert not steps.run("lungs", Counter(), {}, ["anatomy"])
    assert steps.run("infection", alone, {})
    failures = steps.failures()
    assert list(failures["stage"]) == ["anatomy", "lungs"]
    assert failures["error"].iloc[0] == "no film"
    assert "'anatomy' failed" in failures["error"].iloc[1]


def test_a_failed_step_runs_again_next_time(tmp_path):
    StepRunner(tmp_path).run("anatomy", Counter(SplitError("no film")), {})
    action = Counter()
    assert StepRunner(tmp_path).run("anatomy", action, {})
    assert action.runs == 1


def test_an_interrupted_step_keeps_its_folder_for_the_same_settings_only(tmp_path):
    def interrupted(folder):
        (folder / "last.ckpt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StepRunner(tmp_path).run("local", interrupted, {"epochs": 3})
    seen = []
    StepRunner(tmp_path).run("local", lambda folder: seen.append((folder / "last.ckpt").exists()), {"epochs": 3})
    assert seen == [True]
    with pytest.raises(KeyboardInterrupt):
        StepRunner(tmp_path).run("global", interrupted, {"epochs": 3})
    StepRunner(tmp_path).run("global", lambda folder: seen.append((folder / "last.ckpt").exists()), {"epochs": 4})
    assert seen == [True, False]


def test_failed_films_are_remembered_when_the_step_is_skipped(tmp_path):
    failed = pd.DataFrame([{"study": "007", "stage": "film", "error": "empty file"}])
    StepRunner(tmp_path).run("films", lambda folder: failed, {})
    steps = StepRunner(tmp_path)
    steps.run("films", Counter(), {})
    assert steps.failures().to_dict("records") == failed.to_dict("records")
