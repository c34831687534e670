"""How large a file and an image may be: the guard against decompression bombs.

A few kilobytes can claim, or inflate to, an image of many gigabytes. Every
reader of this package therefore takes the size from the header and checks it
here before it decodes anything.

The largest chest detectors have 43 x 43 cm at 0.1 mm, 18 million pixels, and
a film of that size digitised at 50 micrometres has 74 million. 100 million
pixels let all of them pass and cost at most 400 MB as float32. The limit on
the file leaves room for that many uncompressed 16-bit pixels.

Both limits can be changed by the environment variables
``PATCHCXR_MAX_PIXELS`` and ``PATCHCXR_MAX_FILE_BYTES``; worker processes
inherit them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from patchcxr.errors import ConfigError, ImageError

MAX_PIXELS: Final = 100_000_000
MAX_FILE_BYTES: Final = 256 * 2**20


def max_pixels() -> int:
    """Most pixels (rows times columns) that an image may have.

    Raises
    ------
    ConfigError
        If ``PATCHCXR_MAX_PIXELS`` is not a whole number from 1.
    """
    return _limit("PATCHCXR_MAX_PIXELS", MAX_PIXELS)


def max_file_bytes() -> int:
    """Most bytes that a file, or a deflated DICOM data set once inflated, may have.

    Raises
    ------
    ConfigError
        If ``PATCHCXR_MAX_FILE_BYTES`` is not a whole number from 1.
    """
    return _limit("PATCHCXR_MAX_FILE_BYTES", MAX_FILE_BYTES)


def check_pixels(rows: int, columns: int, path: str | Path) -> None:
    """Refuse an image that claims no pixel or too many.

    Raises
    ------
    ImageError
        If a side is below 1, or rows times columns exceed :func:`max_pixels`.
    """
    if rows < 1 or columns < 1:
        raise ImageError(f"{path}: damaged, the header says {rows} x {columns} pixels; copy or export it again")
    if rows * columns > max_pixels():
        raise ImageError(
            f"{path}: the header says {rows} x {columns} pixels, more than the limit of {max_pixels()};"
            " if the image is really that large, raise PATCHCXR_MAX_PIXELS"
        )


def check_file(path: Path, what: str = "image") -> None:
    """Refuse what is not a regular file within the limit, before it is opened.

    Parameters
    ----------
    path
        The file.
    what
        What it should be, for the messages.

    Raises
    ------
    ImageError
        If the file is missing, a folder, a pipe, a device or too large.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such {what} file; correct the path") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); give a readable {what} file") from None
    except ValueError as error:
        raise ImageError(f"{str(path)!r}: no possible file name ({error}); correct the path") from None
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{path}: cannot be read (not a regular file); give the path of a {what} file")
    if status.st_size > max_file_bytes():
        raise ImageError(
            f"{path}: {status.st_size} bytes, more than the limit of {max_file_bytes()};"
            " if it is a single image, raise PATCHCXR_MAX_FILE_BYTES"
        )


def read_file(path: Path, what: str = "image") -> bytes:
    """Bytes of a regular file within the limit; parameters and errors as in :func:`check_file`."""
    check_file(path, what)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); give a readable {what} file") from None


def _limit(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ConfigError(f"{variable} is {text!r}; expected a whole number from 1, or leave it unset for {default}")
    return int(text)
