"""Time cardiothoracic ratio and lung mean and spread against scikit-image's regionprops_table.

Run ``python benchmarks/biomarkers.py``. Both sides see the same masks, in turn; medians are printed.
"""

import statistics
import time

import cv2
import numpy as np
from skimage.measure import regionprops_table

from patchcxr.measure.biomarkers import biomarkers, cardiothoracic_ratio, lung_intensity

ROUNDS = 30


def make_film(size, rng):
    """Return an image with elliptic lungs and heart."""

    def ellipse(column, row, width, height, angle):
        canvas = np.zeros((size, size), np.uint8)
        centre, axes = (int(column * size), int(row * size)), (int(width * size), int(height * size))
        cv2.ellipse(canvas, centre, axes, angle, 0, 360, 1, -1)
        return canvas.astype(bool)

    heart = ellipse(0.55, 0.62, 0.14, 0.13, 30)
    right = ellipse(0.28, 0.48, 0.13, 0.33, 5) & ~heart
    left = ellipse(0.74, 0.48, 0.13, 0.33, -5) & ~heart
    return rng.random((size, size), dtype=np.float32), right, left, heart


def with_patchcxr(image, right, left, heart):
    """Measure with patchcxr."""
    lungs = right | left
    return cardiothoracic_ratio(heart, lungs), *lung_intensity(image, lungs)


def with_scikit_image(image, right, left, heart):
    """Measure with scikit-image."""
    organs = np.zeros(image.shape, np.uint8)
    organs[right | left] = 1
    organs[heart] = 2
    table = regionprops_table(organs, image, properties=("bbox", "intensity_mean", "intensity_std"))
    width = table["bbox-3"] - table["bbox-1"]
    return width[1] / width[0], table["intensity_mean"][0], table["intensity_std"][0]


def milliseconds(function, *arguments):
    """Time one call."""
    start = time.perf_counter()
    function(*arguments)
    return 1e3 * (time.perf_counter() - start)


def main():
    """Print milliseconds a film for both sides and their ratio."""
    rng = np.random.default_rng(0)
    for size in (512, 1024):
        film = make_film(size, rng)
        np.testing.assert_allclose(with_patchcxr(*film), with_scikit_image(*film), rtol=1e-4)
        times = [
            [milliseconds(function, *film) for function in (with_patchcxr, with_scikit_image, biomarkers)]
            for _ in range(ROUNDS)
        ]
        ours, theirs, every = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{size} x {size}  patchcxr {ours:6.2f} ms  scikit-image {theirs:6.2f} ms  ratio {theirs / ours:4.1f}")
        print(f"{size} x {size}  patchcxr biomarkers(), every value  {every:6.2f} ms")


if __name__ == "__main__":
    main()
