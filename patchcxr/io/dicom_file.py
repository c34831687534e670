"""A DICOM file as a pydicom data set: parsed quietly, within bounds, with or without its preamble."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from patchcxr.errors import ImageError
from patchcxr.io.limits import max_file_bytes

DICOM_FAULTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and its plugins raise on damaged files."""

_HEAD: Final = 132
_PIECE: Final = 2**20


def is_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes of a file are those of DICOM.

    That is the mark ``DICM`` after the preamble or, in files that were
    written without it, a first element of group 0002 or 0008 with a value
    representation or a plausible length.
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8 or head[:2] not in (b"\x02\x00", b"\x08\x00"):
        return False
    element, length = struct.unpack_from("<HI", head, 2)
    has_vr = head[4:6].isalpha() and head[4:6].isupper()
    return element <= 0x0018 and (has_vr or length <= 1024)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what pydicom and Pillow say about odd values: whether pixels can be used is checked by the reader.

    Values that break their value representation are taken as they are;
    pydicom's warnings would print them, and they may identify the patient.
    """
    with warnings.catch_warnings(), disable_value_validation():
        for category in (UserWarning, RuntimeWarning, DeprecationWarning):
            warnings.simplefilter("ignore", category)
        yield


def sop_class_name(dataset: pydicom.Dataset) -> str:
    """Name of the SOP class in words of the standard; whatever else the element holds is not repeated."""
    uid = dataset.get("SOPClassUID")
    return uid.name if isinstance(uid, UID) and uid.name != uid else "of no known class"


def parse_dicom(
    stream: BinaryIO, path: str | Path, header_only: bool = False, tags: Sequence[str] | None = None
) -> pydicom.Dataset:
    """Parse a DICOM file.

    Parameters
    ----------
    stream
        The opened file, at its start.
    path
        Its name, for the messages.
    header_only
        Whether to stop before the pixels.
    tags
        Keywords of the elements that are wanted; all if ``None``.

    Returns
    -------
    A data set whose ``file_meta`` has a transfer syntax.

    Raises
    ------
    ImageError
        If the file is not DICOM or is damaged, or if its deflated data set
        inflates to more than :func:`patchcxr.io.limits.max_file_bytes`.
    """
    head = stream.read(_HEAD)
    if not is_dicom(head):
        raise ImageError(f"{path}: lacks the DICOM header, so it is no DICOM file or damaged; export it again")
    stream.seek(0)
    try:
        with quiet():
            inflated = _inflate(stream, path)
            dataset = pydicom.dcmread(
                inflated or stream,
                force=True,
                stop_before_pixels=header_only,
                specific_tags=list(tags) if tags else None,
            )
            _complete_meta(dataset)
    except DICOM_FAULTS as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: damaged DICOM file ({one_line(error)}); export it again") from None
    return dataset


def _inflate(stream: BinaryIO, path: str | Path) -> BinaryIO | None:
    """The data set of a deflated file, inflated within the limit; ``None`` for any other file."""
    stream.seek(_HEAD if stream.read(_HEAD)[128:] == b"DICM" else 0)
    # Read as pydicom does, which would itself inflate without limit a file that is not seen to be deflated here.
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        stream.seek(0)
        return None
    limit = max_file_bytes()
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO()
    while not inflater.eof and (packed := inflater.unconsumed_tail or stream.read(_PIECE)):
        inflated.write(inflater.decompress(packed, _PIECE))
        if inflated.tell() > limit:
            raise ImageError(
                f"{path}: deflated DICOM that inflates to more than the limit of {limit} bytes;"
                " if it is a single radiograph, raise PATCHCXR_MAX_FILE_BYTES"
            )
    inflated.write(inflater.flush())
    inflated.seek(0)
    return inflated


def _complete_meta(dataset: pydicom.Dataset) -> None:
    """Name the transfer syntax that the data set was found to be in, where the file does not."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = UID(syntax)


def one_line(error: BaseException) -> str:
    """What an error says, on one line, not too long, and without the values that it quotes: they may name a patient."""
    said = re.sub("['\"].*['\"]", "(value)", " ".join(str(error).split()))
    return said[:200] or type(error).__name__
