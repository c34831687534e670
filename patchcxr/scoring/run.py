"""A plan carried out: in this process, by processes of this machine, or by the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import queue
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch

from patchcxr.errors import ConfigError, require_extra
from patchcxr.inference.batches import AUTO
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.scoring.lock import FolderLock
from patchcxr.scoring.part import score_part
from patchcxr.scoring.plan import Part, Plan, ScoreConfig, mark_path

AHEAD: Final = 2
"""Parts that are handed out for each worker: the one that it works on, and the next."""
CONNECT_SECONDS: Final = 10
WAIT_SECONDS: Final = 600
"""For the first worker, or the scheduler's file: a queue starts jobs when it likes."""
CHECK_SECONDS: Final = 5
"""How often it is seen to whether there is a worker at all, while none has anything to say."""
RETRIES: Final = 2
"""Further tries of a part that ended in an error."""

log = logging.getLogger(__name__)


class StorageFault(Exception):
    """A worker cannot read or write the folder: its address, and why."""


Noted = dict[str, Any]
OnPart = Callable[["Tally"], None]


@dataclass
class Tally:
    """How far a run is.

    Attributes
    ----------
    total, before
        Films of the plan, and those that earlier runs had scored.
    done, failed
        Films of this run, and those of them that failed.
    seconds
        Since the run began.
    stages
        Seconds of all workers by stage.
    lost
        Parts whose workers died again and again, with the reason.
    """

    total: int
    before: int
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Films a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float:
        """That the rest will take at this rate; NaN before the first part."""
        return (self.total - self.before - self.done) / self.rate if self.rate > 0 else float("nan")

    def add(self, noted: Noted, seconds: float) -> None:
        """Count a part."""
        self.done += noted["films"]
        self.failed += noted["failed"]
        self.seconds = seconds
        for stage, value in noted["stages"].items():
            self.stages[stage] = self.stages.get(stage, 0.0) + value

    def as_dict(self) -> dict[str, Any]:
        """For ``progress.json``."""
        return {
            "films": self.total,
            "done": self.before + self.done,
            "failed_in_this_run": self.failed,
            "films_a_second": round(self.rate, 3),
            "seconds_left": None if self.rate == 0 else round(self.seconds_left),
            "stage_seconds": {stage: round(value, 1) for stage, value in self.stages.items()},
            "lost_parts": self.lost,
        }


def run_plan(
    plan: Plan,
    workers: int = 0,
    scheduler: str | None = None,
    device: str = "auto",
    threads: int = 2,
    on_part: OnPart | None = None,
    again: bool = False,
) -> Tally:
    """Score what is missing of a plan; ``progress.json`` in its folder tells how far it is.

    Parameters
    ----------
    plan
        See :func:`patchcxr.scoring.plan.open_plan`.
    workers
        Processes of this machine; 0 works in this one.
    scheduler
        Address of a Dask scheduler, or its scheduler file (``.json``), whose workers see the same folders; ``workers``
        is then not used.
    device, threads
        See :func:`patchcxr.scoring.part.score_part`.
    on_part
        Called after each part.
    again
        Score parts in which films failed once more.

    Raises
    ------
    ConfigError
        If another process scores into this folder, or the scheduler has no worker.
    MissingExtraError
        For workers without the extra ``cluster``.
    """
    with FolderLock(plan.out) as lock:
        plan.clean()
        if again:
            plan.forget_failures()
        missing = plan.missing()
        tally = Tally(len(plan.films), sum(part["films"] for part in plan.done().values()))
        begin = time.perf_counter()
        routes = _in_process(plan, missing, device, threads)
        if scheduler is not None or workers > 0:
            routes = _on_workers(plan, missing, workers, scheduler, device, threads)
        for number, found in routes:
            lock.renew()
            if isinstance(found, str):
                tally.lost[number] = found
            else:
                tally.add(found, time.perf_counter() - begin)
            _write_progress(plan.out, tally)
            if on_part:
                on_part(tally)
        for number in plan.missing():
            tally.lost.setdefault(number, "it was handed out to no worker")
        plan.clean()  # of workers that were lost on the way
    return tally


def _write_progress(out: Path, tally: Tally) -> None:
    """Say how far a run is; should that fail, the run goes on, and what is in the way will stop the next part."""
    try:
        write_bytes_atomically(out / "progress.json", json.dumps(tally.as_dict(), indent=1).encode(), durable=False)
    except OSError as error:
        log.warning("progress.json: %s", error)


def read_scores(out: str | Path) -> pd.DataFrame:
    """All scores of a folder, in the order of the cohort."""
    return _read(Path(out) / "scores")


def read_failures(out: str | Path) -> pd.DataFrame:
    """All failures of a folder: study, stage and error."""
    found = _read(Path(out) / "failures")
    return found if len(found) else pd.DataFrame(columns=["study", "stage", "error"], dtype="string")


def _read(folder: Path) -> pd.DataFrame:
    parts = [_read_part(path) for path in sorted(folder.glob("part-*.parquet"))]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _read_part(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ValueError as error:  # pyarrow's are
        raise ConfigError(
            f"{path}: damaged ({' '.join(str(error).split())}); delete {mark_path(path.parent.parent, path.stem)}, and "
            "give the same patchcxr score again"
        ) from None


def _in_process(plan: Plan, missing: list[int], device: str, threads: int) -> Iterator[tuple[int, Noted | str]]:
    for number in missing:
        yield number, score_part(plan.part(number), plan.out, plan.settings, device, threads)


def _score_on_worker(part: Part, out: Path, settings: ScoreConfig, device: str, threads: int) -> Noted:
    """What a worker of Dask is given to do; where its machine has several GPUs, it takes one of them."""
    from distributed import get_worker

    worker = get_worker()
    if device == AUTO:
        device = own_device(worker.name, torch.cuda.device_count())
    try:
        return score_part(part, out, settings, device, threads)
    except OSError as error:
        raise StorageFault(worker.address, " ".join(str(error).split())) from None


def own_device(worker: str | int, gpus: int) -> str:
    """Device for a worker, by the number at the end of its name: the workers of a machine share its GPUs evenly.

    >>> own_device(5, 4), own_device("node7-2", 2), own_device("tcp://10.0.0.1:40213", 1), own_device(3, 0)
    ('cuda:1', 'cuda:0', 'auto', 'auto')
    """
    number = re.search(r"\d+$", str(worker))
    return AUTO if gpus < 2 or number is None else f"cuda:{int(number[0]) % gpus}"


def _on_workers(
    plan: Plan, missing: list[int], workers: int, scheduler: str | None, device: str, threads: int
) -> Iterator[tuple[int, Noted | str]]:
    """Hand parts out as workers become free, so that the scheduler never holds more than a few.

    A part whose worker died is given to another by Dask; one that ended in an error is given out again from here. A
    worker that cannot reach the folder gets no more parts: it would fail them faster than the others can score them.
    """
    distributed = require_extra("distributed", "cluster")
    with _client(distributed, workers, scheduler) as client:
        waiting, tries = deque(missing), Counter[int]()
        running: dict[Any, int] = {}
        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        while waiting or running:
            while waiting and len(running) < AHEAD * max(1, len(client.ncores())):
                number = waiting.popleft()
                tries[number] += 1
                future = client.submit(
                    _score_on_worker, plan.part(number), plan.out.absolute(), plan.settings, device, threads,
                    pure=False, key=f"part-{number}-{tries[number]}",
                )  # fmt: skip
                running[future] = number
                future.add_done_callback(ended.put)
            future = _next(ended, client)
            number = running.pop(future)
            if future.status == "finished":
                yield number, future.result()
            else:
                error = future.exception()
                if isinstance(error, ConfigError):
                    raise error
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                if isinstance(error, StorageFault):
                    address, reason = error.args
                    _retire(client, address, reason)
                if tries[number] > RETRIES or isinstance(error, distributed.scheduler.KilledWorker):
                    yield number, reason
                else:
                    waiting.append(number)
            future.release()


def _retire(client: Any, address: str, reason: str) -> None:
    """Give a worker no more parts; the last one ends the run."""
    have = set(client.ncores())
    if address not in have:  # it had two parts, and is gone since the first
        return
    if have == {address}:
        raise ConfigError(f"{reason}; no other worker is left: mend it, and give the same command again")
    log.warning("the worker %s gets no more parts: %s", address, reason)
    client.retire_workers([address])


def _next(ended: queue.SimpleQueue[Any], client: Any) -> Any:
    """The next part that has ended, unless there is no worker any more that could end one."""
    alone = None
    while True:
        with contextlib.suppress(queue.Empty):
            return ended.get(timeout=CHECK_SECONDS)
        if client.ncores():
            alone = None
        elif alone is None:
            alone = time.monotonic()
            log.warning("no worker is left; waiting for one up to %d s", WAIT_SECONDS)
        elif time.monotonic() - alone > WAIT_SECONDS:
            raise ConfigError(
                f"no worker is left, and none came in {WAIT_SECONDS} s; start some, and give the same command again"
            )


@contextlib.contextmanager
def _client(distributed: Any, workers: int, scheduler: str | None) -> Iterator[Any]:
    if scheduler is None:
        with (
            distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        address = _address(distributed, scheduler)
        client = distributed.Client(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(
            f"--scheduler {scheduler}: no Dask scheduler answers ({error}); start one, or correct it"
        ) from None
    with client:
        if not client.ncores():
            log.warning("the scheduler has no worker yet; waiting for one up to %d s", WAIT_SECONDS)
        try:
            client.wait_for_workers(1, timeout=WAIT_SECONDS)
        except TimeoutError:
            raise ConfigError(f"--scheduler {scheduler}: it has no worker; start some: dask worker {address}") from None
        yield client


def _address(distributed: Any, scheduler: str) -> str:
    """Of a scheduler, which may be named by the file that it writes; the file is waited for."""
    if not scheduler.endswith(".json"):
        return scheduler
    read = functools.partial(distributed.utils.json_load_robust, scheduler)
    try:
        found = read(timeout=1)
    except TimeoutError:
        log.warning("waiting for %s up to %d s", scheduler, WAIT_SECONDS)
        found = read(timeout=WAIT_SECONDS)
    if not isinstance(found, dict) or "address" not in found:
        raise ValueError("the file names no address")
    return str(found["address"])
