"""Outline measures of masks: this package, MONAI and a plain transcription of the definitions, in one run.

    python benchmarks/boundary_measures.py [/path/to/jsrt/masks/right_lung] [--size 256]

Hausdorff distance, HD95, ASSD and surface Dice of each mask against the next one. Without a folder the masks are
ellipses with a wavy outline. MONAI is left out where it is not installed.
"""

import argparse
import statistics
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from patchcxr.io.masks import read_mask
from patchcxr.measure.boundary import TOLERANCE, boundary_scores
from patchcxr.preprocessing.geometry import resize_mask

MASKS = 13
REPEATS = 3
SPACINGS = {"square pixels": (1.0, 1.0), "pixels 1.4 x 1.5": (1.4, 1.5)}


def drawn_masks(size):
    """Ellipses of the size of a lung, each with its own waves."""
    rng, angle = np.random.default_rng(0), np.linspace(-1, 1, size)
    row, column = np.meshgrid(angle, angle, indexing="ij")
    masks = []
    for _ in range(MASKS):
        turn = np.arctan2(row, column)
        waves = 1 + sum(rng.normal(0, 0.03) * np.cos(k * turn + rng.uniform(0, 6)) for k in range(2, 7))
        masks.append((row / 0.75) ** 2 + ((column + 0.4) / 0.35) ** 2 <= waves)
    return masks


def plain(predicted, truth, spacing):
    """Whole-film transforms, as the definitions read."""
    outlines = [mask & ~binary_erosion(mask) for mask in (predicted, truth)]
    first, second = (distance_transform_edt(~outline, sampling=spacing) for outline in outlines)
    there, back = second[outlines[0]], first[outlines[1]]
    both = np.concatenate([there, back])
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return both.max(), hd95, both.mean(), (both <= TOLERANCE).mean()


def monai_measures():
    """The four measures of MONAI as a function like :func:`plain`, or None."""
    try:
        import torch
        from monai.metrics import (
            compute_average_surface_distance,
            compute_hausdorff_distance,
            compute_surface_dice,
        )
    except ImportError:
        return None

    def measures(predicted, truth, spacing):
        pair = [torch.from_numpy(mask[None, None].astype(np.uint8)) for mask in (predicted, truth)]
        options = {"include_background": True, "spacing": list(spacing)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return (
                float(compute_hausdorff_distance(*pair, **options)),
                float(compute_hausdorff_distance(*pair, percentile=95, **options)),
                float(compute_average_surface_distance(*pair, symmetric=True, **options)),
                float(compute_surface_dice(*pair, [TOLERANCE], **options)),
            )

    return measures


def ours(predicted, truth, spacing):
    """The four measures of this package."""
    found = boundary_scores(predicted, truth, spacing)
    return found.hausdorff, found.hd95, found.assd, found.surface_dice


def main():
    """Print milliseconds a pair, the ratio to this package, and the largest disagreement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="folder of masks (PNG)")
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    if options.folder:
        masks = [resize_mask(read_mask(path), options.size) for path in sorted(options.folder.glob("*.png"))[:MASKS]]
    else:
        masks = drawn_masks(options.size)
    pairs = list(pairwise(masks))
    sides = {"patchcxr": ours, "plain SciPy, whole film": plain, "MONAI": monai_measures()}
    for label, spacing in SPACINGS.items():
        times, found = {}, {}
        for name, measure in sides.items():
            if measure is None:
                print(f"{label}: {name} is not installed")
                continue
            seconds = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                found[name] = np.array([measure(*pair, spacing) for pair in pairs])
                seconds.append((time.perf_counter() - start) / len(pairs))
            times[name] = statistics.median(seconds)
        for name, seconds in times.items():
            apart = np.abs(found[name] - found["patchcxr"]).max()
            print(
                f"{label}, {options.size} pixels: {name:24} {1e3 * seconds:8.2f} ms a pair, "
                f"{seconds / times['patchcxr']:6.1f} times ours, disagreement {apart:.1e}"
            )


if __name__ == "__main__":
    main()
