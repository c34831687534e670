"""Small DICOM files for the tests, plain and compressed."""

from __future__ import annotations

import cv2
import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1, generate_uid

RAMP = np.arange(40 * 50).reshape(40, 50)


def write_dicom(
    path, stored=RAMP, bits=12, photometric="MONOCHROME2", signed=False, syntax=ExplicitVRLittleEndian, **tags
):
    """Write a CR image; ``tags`` are added as they are, None removes."""
    with disable_value_validation():
        dataset = _dataset(stored, bits, photometric, signed, syntax)
        for name, value in tags.items():
            if value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)
        dataset.save_as(path, enforce_file_format=True)
    return path


def _dataset(stored, bits, photometric, signed, syntax) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "CR"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = 8 if bits <= 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    kind = ("i" if signed else "u") + str(dataset.BitsAllocated // 8)
    dataset.add_new("PixelData", "OB" if bits <= 8 else "OW", stored.astype(f"{order}{kind}").tobytes())
    return dataset


def recompress(path, syntax, **options):
    """Compress the pixels of a file with one of pydicom's encoders."""
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False, **options)
    dataset.save_as(path, enforce_file_format=True)
    return path


def encapsulated(path, frame: bytes, syntax):
    """Replace the pixels of a file by one compressed frame."""
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_jpeg_dicom(path, stored, quality=95, **options):
    """Write 8-bit grey or RGB pixels as JPEG baseline."""
    pixels = stored.astype(np.uint8)
    done, frame = cv2.imencode(".jpg", pixels if pixels.ndim == 2 else pixels[..., ::-1], [1, quality])
    assert done
    return encapsulated(write_dicom(path, stored, bits=8, **options), frame.tobytes(), JPEGBaseline8Bit)


def write_lossless_jpeg_dicom(path, stored, bits=12, syntax=JPEGLosslessSV1, **options):
    """Write grey pixels as lossless JPEG."""
    return encapsulated(write_dicom(path, stored, bits=bits, **options), lossless_jpeg(stored, bits), syntax)


def lossless_jpeg(stored, bits: int) -> bytes:
    """Encode by ITU-T T.81, annex H, predictor 1, with a Huffman table in which all 17 categories take 5 bits."""
    stored = np.asarray(stored, dtype=np.int64)
    rows, columns = stored.shape
    predicted = np.empty_like(stored)
    predicted[:, 1:] = stored[:, :-1]
    predicted[1:, 0] = stored[:-1, 0]
    predicted[0, 0] = 1 << (bits - 1)
    code = []
    for difference in ((stored - predicted + 32768) % 65536 - 32768).ravel().tolist():
        category = abs(difference).bit_length()
        code.append(f"{category:05b}")
        if 0 < category < 16:
            extra = difference if difference > 0 else difference + (1 << category) - 1
            code.append(f"{extra:0{category}b}")
    text = "".join(code)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    return b"".join(
        (
            b"\xff\xd8",
            b"\xff\xc3" + (11).to_bytes(2, "big") + bytes([bits]),
            rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + bytes([1, 1, 0x11, 0]),
            b"\xff\xc4" + (2 + len(table)).to_bytes(2, "big") + table,
            b"\xff\xda" + (8).to_bytes(2, "big") + bytes([1, 1, 0, 1, 0, 0]),
            scan,
            b"\xff\xd9",
        )
    )
