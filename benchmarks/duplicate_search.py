"""Time the search for near hashes against the comparison of every pair, and how both grow.

Run ``python benchmarks/duplicate_search.py [--films FOLDER] [--largest N]``. Three kinds of
256-bit hashes, each with 5 % of planted copies: random bits; bits that go together as those of
structure hashes do (drawn from the covariance of the frequencies of the films of FOLDER, of
synthetic films if none is given); and those searched as an audit does it, up to 64 bits with 31
for certain. Both sides must give the same groups wherever the search is exact. The growth
exponent is the slope of log seconds over log number between the smallest and largest.
"""

import argparse
import math
import time

import cv2
import numpy as np

from patchcxr.data.audit.copies import _COSINES, _ORDER, rank
from patchcxr.data.duplicates import MAXIMUM_DISTANCE, join, near_duplicate_groups, near_pairs, number_by_appearance
from patchcxr.data.synthetic import SyntheticConfig, synthetic_film
from patchcxr.io.folders import files_below
from patchcxr.io.radiograph import IMAGE_SUFFIXES, read_radiograph

SIZES = (1000, 2000, 4000, 8000, 16000)
BLOCK = 2048
SYNTHETIC = 200


def every_pair(hashes, maximum_distance=MAXIMUM_DISTANCE):
    """Groups by comparing every pair, in blocks of matrix products."""
    signed = hashes.astype(np.float32) * 2 - 1
    group = np.arange(len(hashes))
    for start in range(0, len(hashes), BLOCK):
        for other in range(start, len(hashes), BLOCK):
            # Hamming distance d of sign vectors of length b: their product is b - 2d.
            product = signed[start : start + BLOCK] @ signed[other : other + BLOCK].T
            row, column = np.nonzero(product >= hashes.shape[1] - 2 * maximum_distance)
            group = join(group, group[row + start], group[column + other])
    return number_by_appearance(group)


def wide_search(hashes):
    """Count the pairs that an audit looks at."""
    return sum(len(first) for first, _, _ in near_pairs(hashes, 64, certain_distance=31))


def frequencies(folder):
    """Frequencies whose signs are the structure hash, a film a row."""
    if folder:
        films = (read_radiograph(path).pixels for path in files_below(folder, IMAGE_SUFFIXES))
    else:
        settings = SyntheticConfig(size=128, patients=SYNTHETIC, films_per_patient_max=1)
        films = (synthetic_film(settings, patient, 0).pixels for patient in range(SYNTHETIC))
    rows = []
    for film in films:
        small = cv2.resize(np.rint(film * 255).astype(np.uint8), (64, 64), interpolation=cv2.INTER_AREA)
        rows.append((_COSINES @ rank(small) @ _COSINES.T).ravel()[_ORDER])
    return np.array(rows)


def draw(count, films, rng):
    """Return hashes whose last twentieth are copies, with up to ten bits changed; random bits if ``films`` is None."""
    if films is None:
        hashes = rng.random((count, 256)) > 0.5
    else:
        # Weighted sums of the films' departures from their mean have the films' covariance.
        centred = films - films.mean(axis=0)
        weights = rng.standard_normal((count, len(films))).astype(np.float32) / math.sqrt(len(films))
        hashes = films.mean(axis=0) + weights @ centred > 0
    copies = count // 20
    hashes[-copies:] = hashes[:copies]
    for row in range(count - copies, count):
        hashes[row, rng.choice(256, rng.integers(0, MAXIMUM_DISTANCE + 1), replace=False)] ^= True
    return hashes


def seconds(function, *arguments):
    """Time one call; returns its result too."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def compare(name, films, sizes, rng):
    """Print seconds for each size, the ratio, and the growth."""
    print(f"\n{name}\n{'hashes':>8}{'search s':>10}{'every pair s':>14}{'ratio':>7}{'audit search s':>16}{'pairs':>9}")
    times = []
    for count in sizes:
        hashes = draw(count, films, rng)
        ours, group = seconds(near_duplicate_groups, hashes)
        theirs, expected = seconds(every_pair, hashes)
        np.testing.assert_array_equal(group, expected)
        wide, pairs = seconds(wide_search, hashes)
        times.append((ours, theirs, wide))
        print(f"{count:8}{ours:10.3f}{theirs:14.3f}{theirs / ours:7.1f}{wide:16.3f}{pairs:9}", flush=True)
    span = math.log(sizes[-1] / sizes[0])
    growth = [math.log(last / first) / span for first, last in zip(times[0], times[-1], strict=True)]
    print(f"growth  {growth[0]:10.2f}{growth[1]:14.2f}{'':7}{growth[2]:16.2f}")


def main():
    """Print the tables, and one large search if asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", help="folder of real films to take the covariance from")
    parser.add_argument("--largest", type=int, help="also time the searches alone on this many hashes")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    near_duplicate_groups(draw(1000, None, rng))
    films = frequencies(options.films)
    compare("random bits", None, SIZES, rng)
    compare(f"bits that go together as those of {len(films)} films", films, SIZES, rng)
    if options.largest:
        hashes = draw(options.largest, films, rng)
        ours, wide = seconds(near_duplicate_groups, hashes)[0], seconds(wide_search, hashes)[0]
        print(f"\n{options.largest} such hashes: search {ours:.1f} s, audit search {wide:.1f} s")


if __name__ == "__main__":
    main()
