"""Time the infection map against its steps in HSV, the picture with its scale bar, and the DICOM object of its masks.

Run ``python benchmarks/infection_map.py``. In each round every side sees the same film and probability, in turn;
medians are printed, and how far the two maps differ in grey levels.
"""

import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import pydicom
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from patchcxr.explain.infection_map import UNIFORM_COLORMAP, ColourImage, infection_map
from patchcxr.io.dicom_seg import SEGMENTS, read_dicom_seg, write_dicom_seg
from patchcxr.report.map_figure import infection_picture, outline_picture, write_picture
from patchcxr.types import FloatArray

ROUNDS = 5
SIZES = (256, 1024, 2500)


def smooth(size: int, scale: float, rng: np.random.Generator) -> FloatArray:
    """Draw a smooth field from 0 to 1."""
    field = cv2.GaussianBlur(rng.random((size, size), dtype=np.float32), (0, 0), size / scale)
    return (field - field.min()) / np.ptp(field)


def map_by_hsv(image: FloatArray, probability: FloatArray) -> ColourImage:
    """Work out the map of the paper with matplotlib: jet, to HSV, value from the film, back."""
    rgb = np.repeat(image.astype(float)[:, :, None], 3, axis=2)
    drawn = probability > 0
    hsv = rgb_to_hsv(matplotlib.colormaps["jet"](probability[drawn].astype(float))[:, :3])
    hsv[:, 2] = image[drawn]
    rgb[drawn] = hsv_to_rgb(hsv)
    return np.round(rgb * 255).astype(np.uint8)


def write_film(path: Path, size: int) -> None:
    """Write the header of a DICOM film; of the film an object needs no more."""
    film = pydicom.Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    film.StudyInstanceUID, film.SeriesInstanceUID, film.PatientID = generate_uid(), generate_uid(), "p1"
    film.Rows = film.Columns = size
    film.save_as(path, enforce_file_format=True)


def milliseconds(function: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """Print all times."""
    rng = np.random.default_rng(0)
    for size in SIZES:
        film, field = smooth(size, 200, rng), smooth(size, 20, rng)
        probability = np.clip(2 * field - 0.6, 0, 1)
        masks = {name: field > 0.2 + 0.1 * place for place, name in enumerate(SEGMENTS)}
        difference = np.abs(infection_map(film, probability).astype(int) - map_by_hsv(film, probability))
        share = (difference > 0).mean()
        print(
            f"{size} x {size}: the maps differ by at most {difference.max()} grey level, in {share:.1e} of the values"
        )
        with tempfile.TemporaryDirectory() as folder:
            source, target, png = Path(folder, "film.dcm"), Path(folder, "seg.dcm"), Path(folder, "map.png")
            write_film(source, size)
            write_dicom_seg(target, source, masks)
            picture = infection_picture(film, probability)
            steps: dict[str, Callable[[], Any]] = {
                "infection map in HSV": partial(map_by_hsv, film, probability),
                "infection map": partial(infection_map, film, probability),
                f"infection map, {UNIFORM_COLORMAP}": partial(
                    infection_map, film, probability, colormap=UNIFORM_COLORMAP
                ),
                "with scale bar": partial(infection_picture, film, probability),
                "outlines with key": partial(outline_picture, film, masks),
                "PNG": partial(write_picture, png, picture),
                "DICOM object, written": partial(write_dicom_seg, target, source, masks),
                "DICOM object, read": partial(read_dicom_seg, target),
            }
            times = np.array([[milliseconds(step) for step in steps.values()] for _ in range(ROUNDS)])
            for name, middle in zip(steps, np.median(times, axis=0), strict=True):
                print(f"  {name:24} {middle:8.1f} ms")
            print(f"  {len(masks)} masks take {target.stat().st_size / 2**20:.2f} MiB as DICOM object")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
