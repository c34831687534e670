"""Time of one synthetic 512 x 512 film on one core, against its limit.

Run ``python benchmarks/synthetic_film.py``; it exits with 1 when the median processor time is above the
limit (the clock also counts what else the machine does).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time

import cv2
import numpy as np

from patchcxr.data.synthetic import SYNTHETIC_LABELS, SyntheticConfig, synthetic_film

LIMIT_MS = 60.0
FILMS = 50


def main() -> int:
    """Time the films and print one line."""
    cv2.setNumThreads(1)
    settings = SyntheticConfig(size=512, sources=("A", "B"))
    for index in range(3):
        synthetic_film(settings, index)
    wall, cpu = [], []
    for index in range(FILMS):
        start, busy = time.perf_counter(), time.process_time()
        synthetic_film(settings, index, label=SYNTHETIC_LABELS[index % len(SYNTHETIC_LABELS)])
        wall.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - busy))
    median = float(np.median(cpu))
    print(
        f"synthetic film 512 x 512, one core: {median:.1f} ms/film of processor time (median; best {min(cpu):.1f}), "
        f"{float(np.median(wall)):.1f} by the clock; limit {LIMIT_MS:.0f}"
    )
    return 0 if median <= LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
