"""Flags of real masks and films, and of their flipped, mirrored, turned and inverted copies.

    python benchmarks/lung_flags.py COHORT.csv

COHORT needs masks of the right and the left lung, or of both in one, which is split; rows without are left out. Prints
how many films each flag is raised on, by source and copy, and the time a film. The limits were set with films of JSRT
and of the covid-chestxray-dataset in view, so the rates of those are no test of them.
"""

import argparse
import time
from collections import Counter

import numpy as np
import pandas as pd

from patchcxr.data.cohort import read_cohort
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph
from patchcxr.measure.lung_flags import FLAGS, lung_flags
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.preprocessing.lungfields import split_lungs

SIDE = 256
COPIES = {
    "as it is": lambda array: array,
    "flipped": np.flipud,
    "mirrored": np.fliplr,
    "turned by 90": np.rot90,
    "turned by 180": lambda array: np.rot90(array, 2),
    "turned by 270": lambda array: np.rot90(array, 3),
}


def masks_of(row, shape):
    """Right lung, left lung and heart (None where it is not known) at 256 pixels, or None."""

    def mask(name):
        field = getattr(row, f"{name}_mask")
        return None if pd.isna(field) else resize_mask(read_mask(field, shape), SIDE)

    right, left, both = mask("right_lung"), mask("left_lung"), mask("lung")
    if right is None or left is None:
        if both is None or not both.any():
            return None
        right, left = split_lungs(both)
    return right, left, mask("heart")


def main():
    """Print counts of flags by source and copy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort")
    counts, totals, seconds = Counter(), Counter(), 0.0
    for row in read_cohort(parser.parse_args().cohort, check_files=False).itertuples():
        film = read_radiograph(row.image).pixels
        masks = masks_of(row, film.shape)
        if masks is None:
            continue
        film = resize_image(film, SIDE)
        versions = {
            name: ([None if mask is None else copy(mask) for mask in masks], copy(film))
            for name, copy in COPIES.items()
        }
        versions["negative"] = (masks, film.max() - film)
        for name, (copied, pixels) in versions.items():
            start = time.perf_counter()
            flags = lung_flags(*copied, film=np.ascontiguousarray(pixels))
            seconds += time.perf_counter() - start
            totals[row.source, name] += 1
            counts.update((row.source, name, flag) for flag in FLAGS if getattr(flags, flag))
            counts[row.source, name, "any"] += bool(flags.text)
    for (source, name), total in sorted(totals.items()):
        raised = ", ".join(
            f"{flag} {counts[source, name, flag]}" for flag in ("any", *FLAGS) if counts[source, name, flag]
        )
        print(f"{source:10} {name:14} of {total}: {raised or 'no flag'}")
    print(f"{1e3 * seconds / max(sum(totals.values()), 1):.1f} ms a film, masks and film together")


if __name__ == "__main__":
    main()
