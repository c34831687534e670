"""Where the time of scoring goes, stage by stage, and how near each is to what the machine could do.

One process scores synthetic films. Within each stage the time inside its network is taken apart from the rest, and so
are its multiplications and additions. Beside it stand limits, measured in the same run:

- read: OpenCV decoding the same bytes, nothing else
- networks: the same arithmetic at the speed of this machine's product of two matrices (2048 x 2048, float32)
- write: the same bytes written to the same disk and synced

The film is read while the anatomy network works on the ones before; "read, alone" is the same work with nothing
beside it, and what the anatomy stage takes beyond its network is mostly waiting for it.

    python benchmarks/scoring_stages.py --films 64
    OMP_NUM_THREADS=1 python benchmarks/scoring_stages.py --films 64 --threads 0
"""

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from patchcxr.data.cohort import read_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.preprocessing.store import FilmStore
from patchcxr.scoring.part import open_networks, score_films
from patchcxr.scoring.plan import ScoreConfig
from patchcxr.study.reading import Preparation

SIDE = 2048
ROLES = {"anatomy": "anatomy", "infection": "infection", "classifier": "vote"}
"""Stage of each network."""


class Watch:
    """Seconds, and on request operations, inside the networks of each stage."""

    def __init__(self, networks, count: bool = False) -> None:
        self.seconds, self.operations = defaultdict(float), defaultdict(int)
        self.count, self.depth, self.handles = count, 0, []
        for role, stage in ROLES.items():
            for module in getattr(networks, role)[0].module.modules():
                self.handles.append(module.register_forward_pre_hook(self._enter(stage)))
                self.handles.append(module.register_forward_hook(self._leave(stage)))

    def _enter(self, stage):
        def enter(_module, _inputs):
            self.depth += 1
            if self.depth == 1:
                self.counter = FlopCounterMode(display=False) if self.count else None
                if self.counter:
                    self.counter.__enter__()
                self.begin = time.perf_counter()

        return enter

    def _leave(self, stage):
        def leave(_module, _inputs, _output):
            self.depth -= 1
            if self.depth == 0:
                self.seconds[stage] += time.perf_counter() - self.begin
                if self.counter:
                    self.counter.__exit__(None, None, None)
                    self.operations[stage] += self.counter.get_total_flops()

        return leave

    def end(self) -> None:
        """Take the hooks off."""
        for handle in self.handles:
            handle.remove()


def product_rate() -> float:
    """Operations a second of a product of two matrices, the best of five."""
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    best = min(timed(lambda: a @ b) for _ in range(6))
    return 2 * SIDE**3 / best


def timed(work) -> float:
    """Seconds of a call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def read_alone(table: pd.DataFrame, networks, folder: Path) -> float:
    """Seconds to read and prepare the films in one thread, as the networks need them."""
    stores = {}
    for role in ROLES:
        model, preprocess = getattr(networks, role)
        size = networks.vote.image_size if role == "classifier" else model.image_size
        store = FilmStore(folder, size, preprocess)
        stores[str(store.folder)] = store
    prepare = Preparation(table, list(stores.values()), (), 0)
    return timed(lambda: prepare(list(table["study"])))


def write_and_sync(path: Path, data: bytes) -> None:
    """Bytes on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    """Print a row a stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=64)
    parser.add_argument("--size", type=int, default=1024, help="side of the films in pixels")
    parser.add_argument("--threads", type=int, default=2, help="that read films beside the networks")
    options = parser.parse_args()
    settings, films = ScoreConfig(), options.films
    networks = open_networks(settings, "cpu")
    rate = product_rate()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        generate_cohort(root / "films", SyntheticConfig(patients=films, films_per_patient_max=1, size=options.size))
        table = read_cohort(root / "films" / "cohort.csv")
        counting = Watch(networks, count=True)
        score_films(table.head(2), settings, root, "cpu", 0)
        counting.end()
        encoded = [np.fromfile(path, dtype=np.uint8) for path in table["image"]]
        decode = timed(lambda: [cv2.imdecode(data, cv2.IMREAD_UNCHANGED) for data in encoded])
        alone = read_alone(table, networks, root / "prepared")
        watch, begin = Watch(networks), time.perf_counter()
        found = score_films(table, settings, root, "cpu", options.threads)
        whole = time.perf_counter() - begin
        watch.end()
        parquet = found.scores.to_parquet(index=False)
        write = timed(lambda: write_bytes_atomically(root / "a.parquet", found.scores.to_parquet(index=False)))
        disk = timed(lambda: write_and_sync(root / "b.parquet", parquet))

    def row(stage, seconds, inside=None, limit=None, operations=None):
        each = 1000 * seconds / films
        said = [stage, f"{each:.1f}", f"{films / seconds:.1f}" if seconds else ""]
        said.append("" if inside is None else f"{1000 * inside / films:.1f}")
        said.append("" if operations is None else f"{operations / 1e9:.2f}")
        said.append("" if limit is None else f"{1000 * limit / films:.2f}")
        said.append("" if limit is None else f"{limit / (inside or seconds):.2f}")
        print(f"| {' | '.join(said)} |")

    print(f"{films} films of {options.size}², {torch.get_num_threads()} threads compute, {options.threads} read")
    print(f"product of matrices: {rate / 1e9:.0f} GFLOP/s; {sum(map(len, encoded)) / films / 1e6:.2f} MB a film\n")
    print("| stage | ms a film | films a second | in the network, ms | GFLOP a film | limit, ms | limit / ours |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    row("read, alone", alone, None, decode)
    for stage in ("anatomy", "biomarkers", "infection", "vote"):
        each = counting.operations[stage] / 2
        if each:
            row(stage, found.seconds[stage], watch.seconds[stage], each * films / rate, each)
        else:
            row(stage, found.seconds[stage])
    row("write", write, None, disk)
    row("**whole**", whole)
    print(f"\n{len(parquet) / films / 1000:.2f} kB of scores a film")


if __name__ == "__main__":
    sys.exit(main())
