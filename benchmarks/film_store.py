"""Films a second in training: decoded and prepared anew each time, against the store of prepared films.

Run ``python benchmarks/film_store.py``. Synthetic films (2048 x 2048, 12 bits in 16-bit PNG, and 1024 x 1024 JPEG) are
written to a temporary folder. Both ways give the same film, in turn; medians of the rounds are printed. The first row
is the whole cost of a film without a store, the second the part of it that decoding alone takes: what no other way of
preparing could go below.
"""

import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from patchcxr.data.synthetic import SyntheticConfig, synthetic_film
from patchcxr.io.radiograph import read_radiograph
from patchcxr.preprocessing.geometry import prepare
from patchcxr.preprocessing.store import FilmStore

FILMS = 12
ROUNDS = 5


def write_films(folder, side, suffix):
    """Write synthetic films of one size and format."""
    paths = []
    for number in range(FILMS):
        pixels = cv2.resize(synthetic_film(SyntheticConfig(size=512), number).pixels, (side, side))
        path = folder / f"{side}-{number}{suffix}"
        stored = (
            np.rint(pixels * 4095).astype(np.uint16) if suffix == ".png" else np.rint(pixels * 255).astype(np.uint8)
        )
        cv2.imwrite(str(path), stored)
        paths.append(path)
    return paths


def decode_and_prepare(path, size):
    """What training costs a film without a store."""
    return prepare(read_radiograph(path).pixels, size)


def read_prepared(study, store):
    """What it costs with one."""
    return np.array(store.film(study))


def films_a_second(function, items):
    """Rate of a function over items."""
    start = time.perf_counter()
    for item in items:
        function(item)
    return len(items) / (time.perf_counter() - start)


def main():
    """Print films a second with and without the store, and the ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side, suffix in ((2048, ".png"), (1024, ".jpg")):
            paths = write_films(folder, side, suffix)
            studies = [path.stem for path in paths]
            for size in (256, 1024):
                store = FilmStore(folder / "store", size)
                table = pd.DataFrame({"study": studies, "patient": studies, "image": [str(path) for path in paths]})
                failures = store.prepare(table, mask_columns=())
                assert failures.empty
                first = prepare(read_radiograph(paths[0]).pixels, size)
                assert np.abs(np.asarray(store.film(studies[0])) / 255 - first).max() <= 1 / 510 + 1e-6
                rates = {"decode": [], "anew": [], "store": []}
                for _ in range(ROUNDS):
                    rates["decode"].append(films_a_second(read_radiograph, paths))
                    rates["anew"].append(films_a_second(partial(decode_and_prepare, size=size), paths))
                    rates["store"].append(films_a_second(partial(read_prepared, store=store), studies))
                median = {key: statistics.median(values) for key, values in rates.items()}
                print(
                    f"{side} x {side} {suffix} -> {size}: decoded and prepared anew {median['anew']:.1f} films/s"
                    f" (decoding alone {median['decode']:.1f}), from the store {median['store']:.0f} films/s,"
                    f" ratio {median['store'] / median['anew']:.0f}"
                )


if __name__ == "__main__":
    main()
