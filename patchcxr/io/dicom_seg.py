"""Masks as DICOM segmentation objects: what a network found, filed with its film in any archive.

An object holds one segment a mask, on the pixel grid of the film's own file,
coded in SNOMED CT and DICOM terms, and names the film it was made from. What it takes over from that film's header is
in :mod:`patchcxr.io.dicom_study`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pydicom
from pydicom.pixels import pixel_array
from pydicom.uid import SegmentationStorage, generate_uid

from patchcxr import __version__
from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.io.dicom import check_compressed_frames, panics_as_errors
from patchcxr.io.dicom_file import DICOM_FAULTS, one_line, parse_dicom, quiet
from patchcxr.io.dicom_study import taken_from_film
from patchcxr.io.limits import check_pixels, read_file
from patchcxr.types import AnyArray


class Code(NamedTuple):
    """A coded term: value, coding scheme (``SCT`` is SNOMED CT, ``DCM`` is DICOM's own) and meaning."""

    value: str
    scheme: str
    meaning: str


ANATOMICAL_STRUCTURE: Final = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL_STRUCTURE: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LUNG: Final = Code("39607008", "SCT", "Lung")


class SegmentTerms(NamedTuple):
    """Category (CID 7150), type and, of a finding, anatomic region of a segment."""

    category: Code
    type: Code
    region: Code | None = None


SEGMENTS: Final = {
    "right_lung": SegmentTerms(ANATOMICAL_STRUCTURE, Code("3341006", "SCT", "Right lung")),
    "left_lung": SegmentTerms(ANATOMICAL_STRUCTURE, Code("44029006", "SCT", "Left lung")),
    "lung": SegmentTerms(ANATOMICAL_STRUCTURE, LUNG),
    "heart": SegmentTerms(ANATOMICAL_STRUCTURE, Code("80891009", "SCT", "Heart")),
    "infection": SegmentTerms(ABNORMAL_STRUCTURE, Code("112001", "DCM", "Opacity"), LUNG),
}
"""Segments by the name of their mask; ``lung`` holds both lungs.

Infection is coded as an opacity in the lung (CID 6104, abnormal opacity of a
chest radiograph): that is what can be outlined on a film, ground glass and
consolidation together. That it comes from an infection is a conclusion, which
no code of the object states; the label of the segment, ``Infection``, tells
what the network was trained on.
"""

SERIES_NUMBER: Final = 300

_LONGEST_NAME: Final = 64


@dataclass(frozen=True)
class Algorithm:
    """What drew the masks.

    Attributes
    ----------
    name
        Such as the network, at most 64 characters.
    version
        Such as the version of the weights, at most 64 characters.
    kind
        ``AUTOMATIC``, ``SEMIAUTOMATIC``, or ``MANUAL`` for masks that a
        reader drew; name and version of the algorithm are then not written.
    """

    name: str = "patchcxr"
    version: str = __version__
    kind: Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"] = "AUTOMATIC"

    def __post_init__(self) -> None:
        if self.kind not in ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"):
            raise ConfigError(f"algorithm kind is {self.kind!r}; expected AUTOMATIC, SEMIAUTOMATIC or MANUAL")
        for text, what in ((self.name, "name"), (self.version, "version")):
            if not 0 < len(text) <= _LONGEST_NAME or "\\" in text:
                raise ConfigError(
                    f"algorithm {what} is {text!r}; expected 1 to {_LONGEST_NAME} characters without a backslash"
                )


def write_dicom_seg(
    path: str | Path,
    source: str | Path,
    masks: Mapping[str, AnyArray],
    algorithm: Algorithm | None = None,
    pseudonym: str | None = None,
) -> None:
    """Write masks of a film as a DICOM segmentation object, atomically; missing folders are made.

    Parameters
    ----------
    path
        Where it is written.
    source
        The film's DICOM file. Its header alone is read; its pixels may be
        compressed in any way. Its grid of pixels is that of
        :func:`patchcxr.io.radiograph.read_radiograph`, which neither turns
        nor resizes DICOM.
    masks
        By name, see :data:`SEGMENTS`; all bool (H, W), which gives a BINARY
        object, or all floating point in [0, 1] (H, W), which gives a
        FRACTIONAL object of probabilities in steps of 1/255. Masks may
        overlap and may be empty.
    algorithm
        What drew them; this package by default.
    pseudonym
        Stands for name and id of the patient. The other facts of patient and
        study are then left empty, and their UIDs kept.

    Raises
    ------
    ImageError
        If the source is no DICOM file, no single radiograph, lacks what an
        object of its study needs, or would be replaced by the object. An element that is there but empty, such as
        the PatientID of an anonymous film, stays empty.
    MaskError
        If there is no mask, a name or type is unknown, or a mask does not
        have the film's shape.
    """
    film = taken_from_film(Path(source), pseudonym)
    if Path(path).exists() and Path(path).samefile(source):
        raise ImageError(f"{path}: is the film itself, which the object would replace; give another name")
    stacked = _stack(masks, (int(film.Rows), int(film.Columns)), source)
    # Built in memory, so that a full disk or a fault leaves no half object.
    buffer = io.BytesIO()
    try:
        with quiet():
            made = _segmentation(film, list(masks), stacked, algorithm or Algorithm())
            made.PatientOrientation = film.PatientOrientation  # PS3.3 C.7.6.1 wants it; highdicom leaves it out
            made.save_as(buffer)
    except DICOM_FAULTS as error:
        raise ImageError(
            f"{source}: no segmentation object can be made from its header ({one_line(error)}); export the film again"
        ) from None
    write_bytes_atomically(path, buffer.getvalue())


def read_dicom_seg(path: str | Path) -> dict[str, AnyArray]:
    """Masks of a DICOM segmentation object of one film, of this package or another.

    Returns
    -------
    dict
        Masks (H, W) by the label of their segment in lower case with ``_``
        for blanks: bool, or float32 in [0, 1] for a FRACTIONAL object. A
        segment without a frame is empty.

    Raises
    ------
    MaskError
        If the file is missing, damaged, no BINARY or FRACTIONAL segmentation
        object, has values that are no fraction of its MaximumFractionalValue,
        or has several frames for a segment, as that of a volume.
    """
    try:
        dataset = parse_dicom(io.BytesIO(read_file(Path(path), "segmentation object")), path)
        with quiet():
            return _masks(dataset, path)
    except ImageError as error:
        raise MaskError(str(error)) from None
    except DICOM_FAULTS as error:
        if isinstance(error, MaskError):
            raise
        raise MaskError(f"{path}: damaged segmentation object ({one_line(error)}); export it again") from None


def _stack(masks: Mapping[str, AnyArray], shape: tuple[int, int], source: str | Path) -> AnyArray:
    """Masks as one array (1, H, W, segments), uint8 of 0 and 1 or float32; each mask lies whole in memory."""
    if not masks:
        raise MaskError(f"{source}: got no masks; give at least one of {', '.join(SEGMENTS)}")
    for name, mask in masks.items():
        if name not in SEGMENTS:
            raise MaskError(f"{source}: got a mask {name!r}; expected {', '.join(SEGMENTS)}")
        if np.shape(mask) != shape:
            raise MaskError(
                f"{source}: {name} has shape {np.shape(mask)} but the film has {shape}; "
                "resize it with preprocessing.geometry.resize_mask"
            )
    kinds = {np.asarray(mask).dtype.kind for mask in masks.values()}
    if kinds == {"b"}:
        return np.moveaxis(np.stack(list(masks.values()))[None].view(np.uint8), 1, -1)
    if kinds != {"f"}:
        types = ", ".join(sorted({str(np.asarray(mask).dtype) for mask in masks.values()}))
        raise MaskError(f"{source}: masks are {types}; expected all bool, or all floating point in [0, 1]")
    stacked = np.moveaxis(np.stack(list(masks.values()))[None].astype(np.float32), 1, -1)
    low, high = float(stacked.min()), float(stacked.max())
    if not (low >= 0 and high <= 1):
        raise MaskError(f"{source}: masks have values from {low:g} to {high:g}; expected probabilities in [0, 1]")
    return stacked


def _segmentation(film: pydicom.Dataset, names: list[str], stacked: AnyArray, algorithm: Algorithm) -> pydicom.Dataset:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
    from highdicom.sr import CodedConcept

    def coded(term: Code) -> Any:
        return CodedConcept(term.value, term.scheme, term.meaning)

    identification = None
    if algorithm.kind != "MANUAL":
        family = Code("123110", "DCM", "Artificial Intelligence")
        identification = AlgorithmIdentificationSequence(algorithm.name, coded(family), algorithm.version)
    segments = []
    for number, name in enumerate(names, start=1):
        terms = SEGMENTS[name]
        segments.append(
            SegmentDescription(
                segment_number=number,
                segment_label=name.replace("_", " ").capitalize(),
                segmented_property_category=coded(terms.category),
                segmented_property_type=coded(terms.type),
                algorithm_type=SegmentAlgorithmTypeValues(algorithm.kind),
                algorithm_identification=identification,
                anatomic_regions=[coded(terms.region)] if terms.region else None,
            )
        )
    return Segmentation(
        source_images=[film],
        pixel_array=stacked,
        segmentation_type="BINARY" if stacked.dtype == np.uint8 else "FRACTIONAL",
        segment_descriptions=segments,
        series_instance_uid=generate_uid(prefix=None),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer="patchcxr",
        manufacturer_model_name="patchcxr",
        software_versions=__version__,
        device_serial_number="none",
        content_label="SEGMENTATION",
        series_description="Segmentation, for research only",
        omit_empty_frames=False,
    )


def _masks(dataset: pydicom.Dataset, path: str | Path) -> dict[str, AnyArray]:
    if dataset.get("SOPClassUID") != SegmentationStorage:
        raise MaskError(f"{path}: no DICOM segmentation object; give one (SOP class {SegmentationStorage})")
    kind = str(dataset.SegmentationType)
    if kind not in ("BINARY", "FRACTIONAL"):
        raise MaskError(f"{path}: segmentation of type {kind}; expected BINARY or FRACTIONAL, so convert it")
    bits, samples = int(dataset.BitsAllocated), int(dataset.SamplesPerPixel)
    if bits not in (1, 8) or samples != 1 or int(dataset.PixelRepresentation) != 0:
        raise MaskError(
            f"{path}: got {'signed ' if dataset.PixelRepresentation else ''}values of {bits} bits, {samples} a pixel;"
            " expected one unsigned value of 1 or 8 bits, so export it again"
        )
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    check_pixels(rows, columns * int(dataset.NumberOfFrames), path)
    labels = {
        int(segment.SegmentNumber): str(segment.SegmentLabel).strip().lower().replace(" ", "_")
        for segment in dataset.SegmentSequence
    }
    shared = dataset.SharedFunctionalGroupsSequence[0]  # where a group that all frames have in common may be
    check_compressed_frames(dataset, path)
    with panics_as_errors():
        frames = pixel_array(dataset, allow_excess_frames=False).reshape(-1, rows, columns)
    largest = 1 if kind == "BINARY" else _largest_fraction(dataset, frames, path)
    masks: dict[str, AnyArray] = {}
    for frame, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        holder = groups if "SegmentIdentificationSequence" in groups else shared
        label = labels[int(holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]
        if label in masks:
            raise MaskError(
                f"{path}: several frames for the segment {label!r}; expected one film, so export the frame of that film"
            )
        masks[label] = frame != 0 if kind == "BINARY" else frame / np.float32(largest)
    empty = np.zeros((rows, columns), dtype=bool if kind == "BINARY" else np.float32)
    return {label: masks.get(label, empty.copy()) for label in labels.values()}


def _largest_fraction(dataset: pydicom.Dataset, frames: AnyArray, path: str | Path) -> int:
    """Value that stands for 1 in a FRACTIONAL object; none of its values is larger."""
    largest, highest = int(dataset.MaximumFractionalValue), int(frames.max())
    if not 1 <= largest <= 255:
        raise MaskError(f"{path}: got a MaximumFractionalValue of {largest}; expected 1 to 255, so export it again")
    if highest > largest:
        raise MaskError(
            f"{path}: got values up to {highest}; expected none above the MaximumFractionalValue of {largest}, so"
            " export it again"
        )
    return largest
