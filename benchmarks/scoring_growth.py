"""Time and memory of scoring cohorts of different sizes: linear, and flat.

A cohort of N rows names the same few synthetic films again and again under
ids of its own, so that the disk holds few films while every one is read,
prepared and scored. Each size runs in a process of its own, whose peak memory
is what the system says at its end, as are its processor seconds (without
workers), which other work on the machine disturbs less. With --anatomy-only infection and votes
are left out, and 10,000 films take minutes instead of hours.

    python benchmarks/scoring_growth.py --films 100 1000 10000 --anatomy-only
    python benchmarks/scoring_growth.py --films 64 --workers 0 1 2
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from patchcxr.data.cohort import read_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.scoring.part import fingerprints
from patchcxr.scoring.plan import ScoreConfig, open_plan
from patchcxr.scoring.run import run_plan

DISTINCT = 50


def repeated(table: pd.DataFrame, films: int) -> pd.DataFrame:
    """The first films of an endless repetition, each with its own id."""
    times = -(-films // len(table))
    found = pd.concat([table] * times, ignore_index=True).head(films)
    return found.assign(study=[f"film-{index:07d}" for index in range(films)])


def run(folder: str, table: pd.DataFrame, settings: ScoreConfig, workers: int, answer) -> None:
    """Score a cohort, and tell what it took."""
    begin = time.perf_counter()
    networks = fingerprints(settings)
    out = Path(folder)
    out.mkdir(parents=True)
    tally = run_plan(open_plan(out, table, settings, networks), workers, device="cpu")
    used = resource.getrusage(resource.RUSAGE_SELF)
    written = sum(path.stat().st_size for path in (out / "scores").iterdir())
    seconds, busy = time.perf_counter() - begin, used.ru_utime + used.ru_stime
    megabytes = used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    answer.put((seconds, busy, tally, megabytes, written))


def main() -> None:
    """Print a row a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    parser.add_argument("--anatomy-only", action="store_true")
    parser.add_argument("--size", type=int, default=1024, help="side of the films in pixels")
    options = parser.parse_args()
    settings = ScoreConfig(infection=None, classifier=None) if options.anatomy_only else ScoreConfig(part_size=16)
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        generate_cohort(root / "films", SyntheticConfig(patients=DISTINCT, films_per_patient_max=1, size=options.size))
        table = read_cohort(root / "films" / "cohort.csv")
        print("| films | workers | s | processor s | films a second | peak memory, MB | scores, kB a film | failed |")
        print("|---:|---:|---:|---:|---:|---:|---:|---:|")
        for films in options.films:
            for workers in options.workers:
                answer = processes.Queue()
                target = (str(root / f"{films}-{workers}"), repeated(table, films), settings, workers, answer)
                process = processes.Process(target=run, args=target)
                process.start()
                seconds, busy, tally, memory, written = answer.get()
                process.join()
                rate = films / seconds
                print(
                    f"| {films} | {workers} | {seconds:.1f} | {busy:.1f} | {rate:.2f} | {memory:.0f} "
                    f"| {written / 1000 / films:.2f} | {tally.failed} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
