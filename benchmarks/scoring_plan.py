"""What a large cohort costs the process that hands its parts out: reading, planning, finding what is left.

    python benchmarks/scoring_plan.py --films 1000000

The table names a few synthetic films again and again, under ids of their own. Every part is noted as done, as after a
run that was broken off just before its end; so the command has nothing left to score but the last part.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from patchcxr.data.cohort import read_cohort
from patchcxr.data.inputs import read_inputs
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.scoring.plan import ScoreConfig, open_plan
from patchcxr.scoring.run import _on_workers

DISTINCT = 20


def main() -> None:
    """Print a row a step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=1_000_000)
    parser.add_argument("--hand-out", type=int, default=2000, metavar="PARTS", help="to Dask workers; 0: leave it out")
    options = parser.parse_args()
    settings, networks = ScoreConfig(), {"anatomy": "of this benchmark"}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        generate_cohort(root, SyntheticConfig(patients=DISTINCT, films_per_patient_max=1, size=64))
        few = read_cohort(root / "cohort.csv")
        table = pd.concat([few] * -(-options.films // DISTINCT), ignore_index=True).head(options.films)
        table["study"] = [f"film-{index:07d}" for index in range(options.films)]
        table.to_csv(root / "large.csv", index=False)
        del table
        print(f"| {options.films} films | s | memory, MB |\n|---|---:|---:|")
        begin = time.perf_counter()

        def row(step: str) -> float:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
                1024 if sys.platform != "darwin" else 1024**2
            )
            print(f"| {step} | {time.perf_counter() - begin:.1f} | {memory:.0f} |", flush=True)
            return time.perf_counter()

        begin = row("start")
        cohort = read_inputs([str(root / "large.csv")]).cohort
        begin = row("read the table")
        plan = open_plan(root, cohort, settings, networks)
        begin = row("plan")
        (root / "done").mkdir()
        noted = {"films": settings.part_size, "scored": settings.part_size, "failed": 0, "seconds": 30.0, "stages": {}}
        for number in range(len(plan) - 1):
            (root / "done" / f"part-{number:06d}.json").write_text(json.dumps(noted))
        begin = time.perf_counter()
        plan = open_plan(root, cohort, settings, networks)
        begin = row("plan again")
        assert plan.missing() == [len(plan) - 1]
        begin = row(f"what is left of {len(plan)} parts")
        given = min(options.hand_out, len(plan) - 1)
        if given:
            for number, _ in _on_workers(plan, list(range(given)), 2, None, "cpu", 0):
                if number == 0:
                    begin = time.perf_counter()  # the workers are there
            row(f"hand out {given} parts in which nothing is left to do, to two workers")


if __name__ == "__main__":
    main()
