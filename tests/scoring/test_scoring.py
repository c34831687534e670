"""Scores of a cohort: the same as those of single commands, whatever breaks off, fails or works beside."""

import errno
import importlib
import json
import multiprocessing
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from power_loss import disk
from score_films import SETTINGS, cohort_with_broken_films, files_of, forget, litter, planned

from patchcxr.cli import main
from patchcxr.errors import ConfigError
from patchcxr.inference.infection import infection_probability, infection_score
from patchcxr.models.shipped import shipped
from patchcxr.preprocessing.store import FilmStore
from patchcxr.scoring import part as part_module
from patchcxr.scoring import run as run_module
from patchcxr.scoring.lock import FolderLock
from patchcxr.scoring.run import own_device, read_failures, read_scores, run_plan
from patchcxr.study.networks import open_model
from patchcxr.study.reading import as_film


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    torch.set_num_threads(1)
    return cohort_with_broken_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def scored(table, tmp_path_factory):
    """Folder of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run_plan(planned(out, table), device="cpu")
    return out


def test_every_readable_film_has_a_row_and_every_other_a_reason(table, scored):
    scores, failures = read_scores(scored), read_failures(scored)
    assert scores["study"].tolist() == [table["study"][k] for k in (0, 2, 4)]
    assert failures["study"].tolist() == [table["study"][k] for k in (1, 3)]
    assert failures["stage"].tolist() == ["film", "film"]
    assert "no such file" in failures["error"][1]
    assert litter(scored) == []


def test_scores_are_those_of_the_networks_alone(table, scored, tmp_path):
    model, config = open_model("infection")
    store = FilmStore(tmp_path, model.image_size, config)
    store.prepare(table.iloc[[2]], ())
    film = as_film(store.film(table["study"][2]))
    expected = infection_score(infection_probability(shipped("infection").module, film))
    row = read_scores(scored).set_index("study").loc[table["study"][2]]
    assert row["infection_score"] == pytest.approx(expected, abs=6e-4)  # kept in half precision, rounded down
    assert sum(row[f"votes_{name}"] for name in shipped("patches").classes) == 4
    assert sum(row[f"p_{name}"] for name in shipped("patches").classes) == pytest.approx(1, abs=1e-5)
    assert 0 < row["cardiothoracic_ratio"] < 1


def test_a_second_run_scores_nothing_and_changes_nothing(table, scored):
    before = {path: path.stat().st_mtime_ns for path in sorted((scored / "scores").iterdir())}
    tally = run_plan(planned(scored, table), device="cpu")
    assert (tally.done, tally.before) == (0, 5)
    assert {path: path.stat().st_mtime_ns for path in sorted((scored / "scores").iterdir())} == before


def test_what_is_missing_is_scored_again_to_the_byte(table, scored, tmp_path):
    out = tmp_path / "out"
    run_plan(planned(out, table), device="cpu")
    whole = files_of(out)
    assert whole == files_of(scored)
    (out / "done" / "part-000001.json").unlink()
    (out / "scores" / "part-000001.parquet").write_bytes(b"half a f")
    for name in (".progress.json.x1.part", "done/.part-000001.json.x2.part"):
        (out / name).write_bytes(b"of a run that was killed")
    tally = run_plan(planned(out, table), device="cpu")
    assert tally.done == 2
    assert files_of(out) == whole
    assert litter(out) == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"vote": {"patches": 5}}, r"settings\.vote\.patches differ"),
        ({"part_size": 3}, r"settings\.part_size differ"),
        ({"classifier": None}, r"networks\.classifier differ"),
    ],
)
def test_other_settings_or_networks_are_refused(table, scored, changed, named):
    with pytest.raises(ConfigError, match=named):
        planned(scored, table, replace(SETTINGS, **changed))


def test_another_cohort_is_refused(table, scored):
    with pytest.raises(ConfigError, match="cohort"):
        planned(scored, table.assign(patient="somebody"))


def test_two_runs_in_one_folder_do_not_mix(table, scored):
    at_work = scored / "scratch" / "of the first"
    at_work.mkdir(parents=True)
    with FolderLock(scored), pytest.raises(ConfigError, match="another patchcxr score"):
        run_plan(planned(scored, table), device="cpu")
    assert at_work.is_dir()
    run_plan(planned(scored, table), device="cpu")
    assert not at_work.exists()


def test_a_worker_whose_scratch_another_run_has_emptied_reports_nothing(table, tmp_path, monkeypatch):
    measure = part_module.measure_films

    def loses(*arguments):
        shutil.rmtree(tmp_path / "scratch")
        return measure(*arguments)

    monkeypatch.setattr(part_module, "measure_films", loses)
    with pytest.raises(FileNotFoundError, match=r"emptied by another patchcxr score, .* this part is void"):
        run_plan(planned(tmp_path, table), device="cpu")
    assert not (tmp_path / "done").exists()
    monkeypatch.undo()
    assert run_plan(planned(tmp_path, table), device="cpu").done == 5


def test_films_that_failed_are_scored_again_on_request(table, scored, tmp_path):
    shutil.copytree(scored, tmp_path / "out")
    away, back = table["image"][3], tmp_path / "back.png"
    shutil.copy(table["image"][0], back)
    plan = planned(tmp_path / "out", table)
    shutil.copy(back, away)
    try:
        assert run_plan(plan, device="cpu").done == 0
        tally = run_plan(plan, device="cpu", again=True)
    finally:
        Path(away).unlink()
    assert (tally.done, tally.before, tally.failed) == (4, 1, 1)
    assert read_failures(tmp_path / "out")["study"].tolist() == [table["study"][1]]
    assert read_scores(tmp_path / "out")["study"].tolist() == [table["study"][k] for k in (0, 2, 3, 4)]


def test_a_film_that_breaks_the_code_costs_no_other_film(table, tmp_path, monkeypatch):
    measure = part_module.measure_films

    def breaks(films, *rest):
        if (films["study"] == table["study"][2]).any():
            raise RuntimeError("cannot happen")
        return measure(films, *rest)

    monkeypatch.setattr(part_module, "measure_films", breaks)
    run_plan(planned(tmp_path, table, replace(SETTINGS, part_size=5)), device="cpu")
    assert read_scores(tmp_path)["study"].tolist() == [table["study"][k] for k in (0, 4)]
    failures = read_failures(tmp_path).set_index("study")
    assert failures.loc[table["study"][2], "error"] == "RuntimeError: cannot happen"
    assert len(failures) == 3


def test_maps_are_written_on_request(table, tmp_path):
    explained = replace(SETTINGS, explain="viral", map_size=32)
    run_plan(planned(tmp_path, table, explained), device="cpu")
    maps = sorted(path.stem for path in (tmp_path / "maps").rglob("*.npy"))
    assert maps == sorted(table["study"][k] for k in (0, 2, 4))
    assert np.load(next((tmp_path / "maps").rglob("*.npy"))).shape == (32, 32)

    whole = files_of(tmp_path)
    (tmp_path / "done" / "part-000001.json").unlink()
    (tmp_path / "maps" / "part-000001" / "of_a_film_that_fails_now.npy").write_bytes(b"of an earlier attempt")
    run_plan(planned(tmp_path, table, explained), device="cpu")
    assert files_of(tmp_path) == whole


def test_the_class_to_explain_must_be_known(table, tmp_path):
    with pytest.raises(ConfigError, match="viral"):
        planned(tmp_path, table, replace(SETTINGS, explain="measles"))


def test_the_command_tells_what_it_did_and_what_it_would_take(table, tmp_path, capsys):
    cohort = tmp_path / "cohort.csv"
    table.to_csv(cohort, index=False)
    command = ["score", str(cohort), "--out", str(tmp_path / "out"), "--part-size", "2", "--set", "vote.patches=4"]
    assert main([*command, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "5 in 3 parts" in told
    assert "failed        2 of 5" in told
    assert not (tmp_path / "out").exists()
    assert main(command) == 1
    assert "3 of 5 films" in capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["films"], summary["scored"], summary["with_failures"]) == (5, 3, 2)
    assert set(summary["stage_seconds"]) == {"read", "anatomy", "biomarkers", "infection", "vote"}
    assert len(pd.read_csv(tmp_path / "out" / "failures.csv")) == 2


@pytest.mark.slow
def test_workers_give_the_same_files_as_one_process(table, scored, tmp_path):
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    tally = run_plan(planned(tmp_path / "out", table), workers=2, device="cpu")
    assert (tally.done, tally.lost) == (5, {})
    assert files_of(tmp_path / "out") == files_of(scored)


def _run(out, table):
    torch.set_num_threads(1)
    run_plan(planned(out, table), device="cpu")


@pytest.mark.slow
def test_a_run_killed_at_fifty_moments_ends_as_if_it_had_not_been(table, scored, tmp_path):
    """SIGKILL at random moments, from the start of a run to its end; afterwards nothing is lost, doubled or left."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["patchcxr.scoring.run"])
    random, expected, killed, whole = np.random.default_rng(0), files_of(scored), 0, 0
    out, longest, end = tmp_path / "out", 3.0, time.monotonic() + 240
    while killed < 50 and time.monotonic() < end:
        process = processes.Process(target=_run, args=(out, table))
        begin = time.monotonic()
        process.start()
        process.join(random.uniform(0, longest))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            killed += 1
        else:
            assert process.exitcode == 0
            longest = min(longest, 1.1 * (time.monotonic() - begin))
            assert files_of(out) == expected
            whole += 1
            forget(out)
    assert killed == 50
    _run(out, table)
    assert files_of(out) == expected
    assert litter(out) == []


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_only_time(table, scored, tmp_path):
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    psutil = pytest.importorskip("psutil")
    killed = []

    def is_worker(process):
        try:
            return "spawn_main" in " ".join(process.cmdline())
        except psutil.Error:  # it has just ended
            return False

    def kill_one(tally):
        workers = list(filter(is_worker, psutil.Process().children(recursive=True)))
        if not killed and workers:
            workers[0].kill()
            killed.append(workers[0].pid)

    out = tmp_path / "out"
    tally = run_plan(planned(out, table, replace(SETTINGS, part_size=1)), workers=2, device="cpu", on_part=kill_one)
    assert killed
    assert tally.lost == {}
    one_by_one = tmp_path / "alone"
    run_plan(planned(one_by_one, table, replace(SETTINGS, part_size=1)), device="cpu")
    assert files_of(out) == files_of(one_by_one)


def lose_the_mount(dask_worker):
    """To this worker the folder is suddenly empty."""

    def unseen(out, part):
        raise FileNotFoundError(f"{out} is not the folder of this run")

    part_module.check_plan = unseen


@pytest.mark.slow
def test_a_worker_that_lost_the_folder_gets_no_more_parts_and_the_last_one_ends_the_run(table, tmp_path, caplog):
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    explained = replace(SETTINGS, part_size=1)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(lose_the_mount, workers=[next(iter(client.ncores()))])
        tally = run_plan(planned(tmp_path / "a", table, explained), scheduler=cluster.scheduler_address, device="cpu")
        assert (tally.done, tally.lost) == (5, {})
        assert len(client.ncores()) == 1
        assert caplog.text.count("gets no more parts") == 1
        client.run(lose_the_mount)
        with pytest.raises(ConfigError, match="is not the folder of this run; no other worker is left"):
            run_plan(planned(tmp_path / "b", table, explained), scheduler=cluster.scheduler_address, device="cpu")
    run_plan(planned(tmp_path / "alone", table, explained), device="cpu")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "alone")


def test_a_run_whose_workers_are_all_gone_waits_for_one_and_ends_in_words(monkeypatch, caplog):
    class Client:
        answers = iter([{"one": 1}, {}, {}, {"another": 1}, *[{}] * 100])

        def ncores(self):
            return next(self.answers)

    monkeypatch.setattr(run_module, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(run_module, "WAIT_SECONDS", 0.1)
    with pytest.raises(ConfigError, match="no worker is left, and none came"):
        run_module._next(queue.SimpleQueue(), Client())
    assert caplog.text.count("no worker is left; waiting") == 2


@pytest.mark.slow
def test_when_the_scheduler_dies_the_run_ends_in_words_and_can_be_taken_up(table, scored, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    out = tmp_path / "out"
    shutil.copytree(scored, out)
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
    (out / "done" / "part-000001.json").unlink()
    plan = planned(out, table)
    with pytest.raises(ConfigError, match="no Dask scheduler answers"):
        run_plan(plan, scheduler=address, device="cpu")
    run_plan(planned(out, table), device="cpu")
    assert files_of(out) == files_of(scored)


@pytest.mark.slow
def test_a_scheduler_is_known_by_its_file_and_its_first_worker_is_waited_for(table, scored, tmp_path):
    """As under SLURM, where the command, the scheduler and the workers start in any order."""
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    file, out, processes = tmp_path / "scheduler.json", tmp_path / "out", []

    def start(*arguments):
        command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
        processes.append(
            subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
        )

    def start_the_others():
        time.sleep(1)
        start("scheduler", "--scheduler-file", str(file), "--port", "0", "--no-dashboard", "--host", "127.0.0.1")
        time.sleep(3)
        start("worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--no-nanny")

    try:
        threading.Thread(target=start_the_others).start()
        tally = run_plan(planned(out, table), scheduler=str(file), device="cpu")
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)
    assert (tally.done, tally.lost) == (5, {})
    assert files_of(out) == files_of(scored)


@pytest.mark.parametrize(
    ("worker", "gpus", "device"),
    [(0, 2, "cuda:0"), (5, 4, "cuda:1"), ("node7-3", 2, "cuda:1"), ("node", 2, "auto"), (3, 1, "auto"), (3, 0, "auto")],
)
def test_the_workers_of_a_machine_share_its_gpus(worker, gpus, device):
    assert own_device(worker, gpus) == device


def test_a_scheduler_without_workers_is_refused_in_the_end(table, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    monkeypatch.setattr("patchcxr.scoring.run.WAIT_SECONDS", 1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
        pytest.raises(ConfigError, match=f"it has no worker; start some: dask worker {cluster.scheduler_address}"),
    ):
        run_plan(planned(tmp_path / "out", table), scheduler=cluster.scheduler_address, device="cpu")
    (tmp_path / "other.json").write_text('{"name": "no scheduler"}')
    for file, reason in (("gone.json", "Could not load"), ("other.json", "names no address")):
        with pytest.raises(ConfigError, match=rf"{file}: no Dask scheduler answers .*{reason}"):
            run_plan(planned(tmp_path / "out", table), scheduler=str(tmp_path / file), device="cpu")


@pytest.mark.parametrize(
    "what", [KeyboardInterrupt(), OSError(28, "No space left on device"), OSError(30, "Read-only file system")]
)
def test_what_breaks_a_run_off_leaves_no_litter_and_the_next_run_ends_it(table, scored, tmp_path, monkeypatch, what):
    write, calls = part_module.write_bytes_atomically, []

    def breaks(path, data, *options):
        calls.append(path)
        if len(calls) == 5:  # in the second part
            raise what
        write(path, data)

    monkeypatch.setattr(part_module, "write_bytes_atomically", breaks)
    with pytest.raises(type(what)):
        run_plan(planned(tmp_path, table), device="cpu")
    assert litter(tmp_path) == []
    monkeypatch.undo()
    run_plan(planned(tmp_path, table), device="cpu")
    assert files_of(tmp_path) == files_of(scored)


@pytest.mark.parametrize("moment", [1, 2, 3, 5])
def test_a_loss_of_power_takes_nothing_that_counts_as_done(table, scored, tmp_path, monkeypatch, moment):
    """The power goes after any of the writes of a run, and with it all that was not yet on the disk."""
    write, calls = part_module.write_bytes_atomically, []

    def breaks(*what):
        write(*what)
        calls.append(what)
        if len(calls) == moment:
            raise KeyboardInterrupt("the machine is off")

    with disk() as machine, monkeypatch.context() as patch:
        patch.setattr(part_module, "write_bytes_atomically", breaks)
        with pytest.raises(KeyboardInterrupt, match="the machine is off"):
            run_plan(planned(tmp_path, table), device="cpu")
        before = len(planned(tmp_path, table).done())
        machine.lose_power(tmp_path)
        assert len(planned(tmp_path, table).done()) == before == sum("done" in str(path) for path, *_ in calls)
    run_plan(planned(tmp_path, table), device="cpu")
    assert files_of(tmp_path) == files_of(scored)
    assert litter(tmp_path) == []


@pytest.mark.parametrize(
    "emptied", ["scores/part-000000.parquet", "failures/part-000001.parquet", "done/part-000002.json"]
)
def test_a_part_whose_files_were_cut_short_is_scored_again(table, scored, tmp_path, emptied):
    out = tmp_path / "out"
    shutil.copytree(scored, out)
    (out / emptied).write_bytes((out / emptied).read_bytes()[:10])
    assert run_plan(planned(out, table), device="cpu").done in (1, 2)
    assert files_of(out) == files_of(scored)


@pytest.mark.parametrize(
    "said",
    [
        "", "[]", "[" * 100_000, '{"films": 2}', '{"films": -2, "scored": 2, "failed": 0, "seconds": 1, "stages": {}}',
        '{"films": NaN, "scored": 2, "failed": 0, "seconds": 1, "stages": {}, "bytes": {"scores": 0, "failures": 0}}',
        '{"films": 2, "scored": 2, "failed": 0, "seconds": 1, "stages": [3], "bytes": {"scores": 0, "failures": 0}}',
        '{"films": 2, "scored": 2, "failed": 0, "seconds": 1, "stages": {}, "bytes": {}}',
    ],
)  # fmt: skip
def test_a_mark_that_does_not_say_what_it_must_is_none(table, tmp_path, said):
    plan = planned(tmp_path, table)
    (tmp_path / "done").mkdir()
    for name in ("part-000000", "part-x", "part--00001", "part-000099"):
        (tmp_path / "done" / f"{name}.json").write_text(said)
    (tmp_path / "done" / "part-000001.json").mkdir()
    assert plan.done() == {}
    assert plan.missing() == [0, 1, 2]


def test_a_damaged_part_is_named_with_what_mends_it(scored, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(scored, out)
    (out / "scores" / "part-000002.parquet").write_bytes(b"half a f")
    with pytest.raises(ConfigError, match=r"part-000002\.parquet: damaged .*delete .*part-000002\.json"):
        read_scores(out)


def test_a_damaged_plan_is_named(table, tmp_path):
    planned(tmp_path, table)
    for damaged in ("", "3", "[1]", "[[null, 2]]", "[" * 100_000):
        (tmp_path / "plan.json").write_text(damaged)
        with pytest.raises(ConfigError, match=r"plan\.json is damaged"):
            planned(tmp_path, table)


@pytest.mark.parametrize(
    ("stage", "fault"),
    [
        ("patchcxr.preprocessing.store.read_radiograph", errno.ENOTCONN),
        ("patchcxr.preprocessing.store.read_radiograph", errno.ESTALE),
        ("patchcxr.scoring.part.measure_films", errno.EIO),
        ("patchcxr.study.classify_films.lung_view", errno.ENOTCONN),
        ("patchcxr.scoring.part.write_bytes_atomically", errno.ETIMEDOUT),
    ],
)
def test_a_file_server_that_is_away_for_a_while_costs_no_film(table, scored, tmp_path, monkeypatch, stage, fault):
    module, _, name = stage.rpartition(".")
    module, calls, pauses = importlib.import_module(module), [], []
    works = getattr(module, name)

    def away(*arguments):
        calls.append(arguments)
        if len(calls) in (2, 3):
            raise OSError(fault, os.strerror(fault))
        return works(*arguments)

    monkeypatch.setattr(module, name, away)
    monkeypatch.setattr(part_module.time, "sleep", pauses.append)
    run_plan(planned(tmp_path, table), device="cpu")
    assert files_of(tmp_path) == files_of(scored)
    assert litter(tmp_path) == []
    assert 1 <= len(pauses) <= 2


@pytest.mark.parametrize("fault", [errno.ENOTCONN, errno.ENOSPC, errno.EROFS])
def test_a_disk_that_stays_full_or_away_ends_the_run_and_blames_no_film(table, scored, tmp_path, monkeypatch, fault):
    with monkeypatch.context() as patch:
        patch.setattr(part_module.time, "sleep", lambda seconds: None)
        patch.setattr(
            "patchcxr.preprocessing.store.np.save", lambda *_, **__: (_ for _ in ()).throw(OSError(fault, "no"))
        )
        with pytest.raises(OSError, match="no") as raised:
            run_plan(planned(tmp_path, table), device="cpu")
        assert raised.value.errno == fault
    assert read_failures(tmp_path).empty
    run_plan(planned(tmp_path, table), device="cpu")
    assert files_of(tmp_path) == files_of(scored)


def test_a_part_is_scored_only_where_its_folder_is_seen(table, tmp_path):
    """Such as by a worker whose mount is gone, to which the folder is empty."""
    plan = planned(tmp_path / "out", table)
    for other in (tmp_path / "empty", tmp_path / "another"):
        planned(other, table, replace(SETTINGS, part_size=4))
    (tmp_path / "empty" / "plan.json").unlink()
    for other in (tmp_path / "empty", tmp_path / "another"):
        with pytest.raises(FileNotFoundError, match="is not the folder of this run"):
            part_module.score_part(plan.part(0), other, SETTINGS, "cpu")
        assert not (other / "scores").exists()


def test_a_part_that_another_worker_has_done_meanwhile_is_left_alone(table, scored, tmp_path, monkeypatch):
    """As by a worker that could not be reached for a while, and now ends what was given to another."""
    plan, works = planned(tmp_path, table), part_module.score_films

    def overtaken(*arguments):
        found = works(*arguments)
        for kind in ("scores", "failures", "done"):
            shutil.copytree(scored / kind, tmp_path / kind)
        return replace(found, scores=found.scores.head(0))

    monkeypatch.setattr(part_module, "score_films", overtaken)
    noted = part_module.score_part(plan.part(0), tmp_path, SETTINGS, "cpu")
    assert noted == json.loads((scored / "done" / "part-000000.json").read_text())
    assert files_of(tmp_path) == files_of(scored)


def test_a_lock_that_was_lost_ends_the_run_that_lost_it(table, tmp_path):
    tmp_path.joinpath("lock").touch()
    with FolderLock(tmp_path) as lock:
        lock.renew()
        lock._close()  # the file server lost sight of this machine
        lock.renew()
        with pytest.raises(ConfigError, match="another patchcxr score is at work here; wait"):
            FolderLock(tmp_path)
        lock._close()
        with FolderLock(tmp_path), pytest.raises(ConfigError, match="the lock was lost while"):
            lock.renew()
        lock.renew()


@pytest.mark.parametrize("jump", [-86400, 86400])
def test_a_clock_that_jumps_changes_nothing(table, scored, tmp_path, monkeypatch, jump):
    """What is on the disk is suddenly a day older or younger than what is written next, in the middle of each part."""
    measure = part_module.measure_films

    def jumps(*arguments):
        for path in (tmp_path / "scratch").rglob("*"):
            os.utime(path, (time.time() + jump, time.time() + jump))
        return measure(*arguments)

    monkeypatch.setattr(part_module, "measure_films", jumps)
    monkeypatch.setattr(time, "time", lambda clock=time.time: clock() - jump)
    run_plan(planned(tmp_path, table), device="cpu")
    assert files_of(tmp_path) == files_of(scored)
    assert litter(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(table, tmp_path, capsys):
    cohort, out = tmp_path / "cohort.csv", tmp_path / "file"
    table.to_csv(cohort, index=False)
    out.write_text("in the way")
    assert main(["score", str(cohort), "--out", str(out)]) == 2
    assert str(out) in capsys.readouterr().err


def test_a_worker_of_dask_keeps_its_memory_between_tensors():
    """With Dask's own setting of the C library each tensor's memory is fetched anew from the kernel."""
    script = """
import resource, torch
from patchcxr.scoring.allocator import keep_freed_memory
print(keep_freed_memory())
for _ in range(10):
    torch.ones(4_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(4_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    said = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    took, faults = said.stdout.split()
    if took != "True":
        pytest.skip("the C library is not glibc")
    assert int(faults) < 4000  # of 39,000 pages
