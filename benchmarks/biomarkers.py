"""Time the biomarkers against scikit-image's regionprops_table, and against reading the film.

Run ``python benchmarks/biomarkers.py``. In each round every side sees the same film and masks, in turn; medians and
the quartiles of the ratio are printed. Then 10,000 sets of masks are measured, a few of them drawn again and again;
films a second and the memory of the process are printed on the way.
"""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.measure import regionprops_table

from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph
from patchcxr.measure.biomarkers import biomarkers, lung_intensity, lung_shape, transverse_diameter
from patchcxr.measure.intensity import intensity_statistics
from patchcxr.measure.zones import bounding_box
from patchcxr.types import BoolArray, FloatArray

ROUNDS = 61
MASKS = 10_000
FILMS_KEPT = 20
SPACING_MM = (0.4, 0.4)

Film = tuple[FloatArray, BoolArray, BoolArray, BoolArray, BoolArray]


def make_film(size: int, rng: np.random.Generator) -> Film:
    """Return a blurred film of 256 levels with ellipses for organs and infection, a little different each time."""

    def ellipse(column: float, row: float, width: float, height: float, angle: float) -> BoolArray:
        canvas = np.zeros((size, size), np.uint8)
        column, row = column + rng.normal(0, 0.01), row + rng.normal(0, 0.01)
        centre, axes = (int(column * size), int(row * size)), (int(width * size), int(height * size))
        cv2.ellipse(canvas, centre, axes, angle, 0, 360, 1, -1)
        return canvas.astype(bool)

    heart = ellipse(0.55, 0.62, 0.14, 0.13, 30)
    right = ellipse(0.28, 0.48, 0.13, 0.33, 5) & ~heart
    left = ellipse(0.74, 0.48, 0.13, 0.33, -5) & ~heart
    smooth = cv2.GaussianBlur(rng.random((size, size), dtype=np.float32), (0, 0), size / 100)
    image = cv2.normalize(smooth, smooth, 0, 255, cv2.NORM_MINMAX) + rng.normal(0, 3, (size, size))
    levels = np.rint(np.clip(image, 0, 255)).astype(np.float32)
    return levels / np.float32(255), right, left, heart, ellipse(0.28, 0.65, 0.08, 0.1, 0)


def common(image: FloatArray, right: BoolArray, left: BoolArray, heart: BoolArray, _: BoolArray) -> list[float]:
    """Cardiothoracic ratio, intensity, area and extents of the lungs with patchcxr."""
    lungs = right | left
    rows, columns = bounding_box(lungs)
    heart_width, width, height = transverse_diameter(heart), columns.stop - columns.start, rows.stop - rows.start
    area = float(np.count_nonzero(lungs))
    return [heart_width / width, *lung_intensity(image, lungs), area, heart_width, width, height]


def common_scikit_image(
    image: FloatArray, right: BoolArray, left: BoolArray, heart: BoolArray, _: BoolArray
) -> list[float]:
    """Measure the same with scikit-image."""
    organs = np.zeros(image.shape, np.uint8)
    organs[right | left] = 1
    organs[heart] = 2
    table = regionprops_table(organs, image, properties=("bbox", "area", "intensity_mean", "intensity_std"))
    width, height = table["bbox-3"] - table["bbox-1"], table["bbox-2"] - table["bbox-0"]
    intensity = [table["intensity_mean"][0], table["intensity_std"][0]]
    return [width[1] / width[0], *intensity, table["area"][0], width[1], width[0], height[0]]


def by_lung(image: FloatArray, right: BoolArray, left: BoolArray, *_: BoolArray) -> list[float]:
    """Shape and distribution of the intensity of each lung with patchcxr: all that scikit-image has of them."""
    rows = [{**lung_shape(lung), **intensity_statistics(image, lung)} for lung in (right, left)]
    names = ("area_fraction", "height", "width", "solidity", "contour_length", "mean", "std", "p5", "p50", "p95")
    return [row[name] for row in rows for name in names]


def by_lung_scikit_image(image: FloatArray, right: BoolArray, left: BoolArray, *_: BoolArray) -> list[float]:
    """Measure the same with scikit-image."""
    organs = np.zeros(image.shape, np.uint8)
    organs[right] = 1
    organs[left] = 2
    properties = ("bbox", "area", "solidity", "perimeter", "intensity_mean", "intensity_std")
    table = regionprops_table(organs, image, properties, extra_properties=(percentiles,))
    height, width = table["bbox-2"] - table["bbox-0"], table["bbox-3"] - table["bbox-1"]
    columns = [table["area"] / image.size, height, width]
    columns += [table[name] for name in ("solidity", "perimeter", "intensity_mean", "intensity_std")]
    return list(np.stack([*columns, *(table[f"percentiles-{k}"] for k in range(3))], axis=1).ravel())


def percentiles(mask: BoolArray, image: FloatArray) -> FloatArray:
    """Percentiles inside a region, as scikit-image calls them."""
    return np.percentile(image[mask], (5, 50, 95))


def milliseconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Time one call."""
    start = time.perf_counter()
    function(*arguments)
    return 1e3 * (time.perf_counter() - start)


def compare(title: str, ours: Callable[..., Any], theirs: Callable[..., Any], film: Film) -> None:
    """Print the time of both sides and how many times faster ours is."""
    times = np.array([[milliseconds(ours, *film), milliseconds(theirs, *film)] for _ in range(ROUNDS)])
    low, middle, high = np.percentile(times[:, 1] / times[:, 0], (25, 50, 75))
    mine, other = np.median(times, axis=0)
    print(
        f"  {title:32} patchcxr {mine:7.2f} ms  scikit-image {other:7.2f} ms  "
        f"{middle:5.1f} times faster (quartiles {low:.1f} to {high:.1f})"
    )


def time_reading(film: Film, folder: Path) -> None:
    """Print the time of all biomarkers beside that of reading the film and its masks."""
    image, right, left, heart, infection = film
    jpeg = folder / "film.jpg"
    cv2.imwrite(str(jpeg), np.rint(255 * image).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])
    paths = {name: folder / f"{name}.png" for name in ("right_lung", "left_lung", "heart")}
    for path, mask in zip(paths.values(), (right, left, heart), strict=True):
        cv2.imwrite(str(path), 255 * mask.astype(np.uint8))

    steps: dict[str, Callable[[], object]] = {
        "all biomarkers": lambda: biomarkers(image, right, left, heart),
        "with infection and millimetres": lambda: biomarkers(image, right, left, heart, infection, SPACING_MM),
        "decoding the JPEG alone": lambda: cv2.imread(str(jpeg), cv2.IMREAD_GRAYSCALE),
        "reading the film": lambda: read_radiograph(jpeg),
        "reading film and three masks": lambda: (
            read_radiograph(jpeg),
            [read_mask(path) for path in paths.values()],
        ),
    }
    times = [[milliseconds(step) for step in steps.values()] for _ in range(ROUNDS)]
    for name, column in zip(steps, zip(*times, strict=True), strict=True):
        print(f"  {name:32} {statistics.median(column):7.2f} ms")


def measure_many(size: int, rng: np.random.Generator) -> None:
    """Measure many films and print the rate, and the peak of the memory as it goes on."""
    films = [make_film(size, rng) for _ in range(FILMS_KEPT)]
    start, checksum = time.perf_counter(), 0.0
    for index in range(MASKS):
        image, right, left, heart, infection = films[index % FILMS_KEPT]
        checksum += biomarkers(image, right, left, heart, infection, SPACING_MM)["cardiothoracic_ratio"]
        if (index + 1) % (MASKS // 5) == 0:
            rate = (index + 1) / (time.perf_counter() - start)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"  {index + 1:6} films  {rate:6.0f} films/s  peak memory {peak:6.0f} MiB")
    print(f"  mean cardiothoracic ratio {checksum / MASKS:.4f}")


def main() -> None:
    """Print every comparison."""
    rng = np.random.default_rng(0)
    for size in (512, 1024):
        film = make_film(size, rng)
        np.testing.assert_allclose(common(*film), common_scikit_image(*film), rtol=1e-4)
        np.testing.assert_allclose(by_lung(*film), by_lung_scikit_image(*film), rtol=0.06)
        print(f"{size} x {size}")
        compare("ratio, mean, SD, area, extents", common, common_scikit_image, film)
        compare("shape and intensity by lung", by_lung, by_lung_scikit_image, film)
        with tempfile.TemporaryDirectory() as folder:
            time_reading(film, Path(folder))
    print(f"{MASKS} sets of masks, 256 x 256, {len(biomarkers(*make_film(256, rng)))} values a film")
    measure_many(256, rng)


if __name__ == "__main__":
    main()
