"""What outputs say: every byte of a file, also of those that are packed inside others."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import cv2
import matplotlib.text
import numpy as np
import pandas as pd
import pydicom
from PIL import Image, ImageDraw

_EMBEDDED = re.compile(rb"data:[a-z]+/[a-z+.-]+;base64,([A-Za-z0-9+/=\s]+)")
_PACKED = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)


def texts_of(path: Path, root: Path) -> Iterator[bytes]:
    """The path below ``root``, the bytes of a file, and of all that is packed in it."""
    yield str(path.relative_to(root)).encode()
    data = path.read_bytes()
    yield from unpacked(data)
    if data[:16] == b"SQLite format 3\0":
        yield from _cells(path)


def unpacked(data: bytes) -> Iterator[bytes]:
    """Bytes, and those of what is packed in them: archives, pictures in pages, notes in pictures, columns, elements."""
    yield data
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from unpacked(archive.read(name))
    elif data[:2] == b"\x1f\x8b":
        yield from unpacked(gzip.decompress(data))
    elif data[:4] == b"PAR1":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(io.BytesIO(data))
        yield str(table.schema.metadata).encode()
        yield pd.DataFrame(table.to_pydict()).to_csv().encode()
    elif data[:8] == b"\x89PNG\r\n\x1a\n" or data[:2] == b"\xff\xd8":
        with Image.open(io.BytesIO(data)) as picture:
            yield repr(picture.info).encode()
            yield repr(dict(picture.getexif())).encode()
    elif data[:4] == b"%PDF":
        for packed in _PACKED.findall(data):
            with contextlib.suppress(zlib.error):
                yield zlib.decompress(packed)
    elif data[128:132] == b"DICM":
        yield str(pydicom.dcmread(io.BytesIO(data), force=True)).encode()
    elif data[:6] == b"\x93NUMPY":
        array = np.load(io.BytesIO(data), allow_pickle=False)
        yield repr(array.tolist()).encode() if array.dtype.kind in "USV" else b""
    for embedded in _EMBEDDED.findall(data):
        yield from unpacked(base64.b64decode(embedded))


def _cells(path: Path) -> Iterator[bytes]:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as store:
        for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in store.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    yield from unpacked(cell if isinstance(cell, bytes) else str(cell).encode())


@contextlib.contextmanager
def written_in_pictures() -> Iterator[list[str]]:
    """Words that are drawn into pictures, which no reader of bytes finds there."""
    words: list[str] = []
    draw, put, text = matplotlib.text.Text.draw, cv2.putText, ImageDraw.ImageDraw.text

    def drawn(self, *arguments, **options):
        words.append(self.get_text())
        return draw(self, *arguments, **options)

    def put_text(image, said, *arguments, **options):
        words.append(said)
        return put(image, said, *arguments, **options)

    def text_drawn(self, place, said, *arguments, **options):
        words.append(str(said))
        return text(self, place, said, *arguments, **options)

    with (
        mock.patch.object(matplotlib.text.Text, "draw", drawn),
        mock.patch.object(cv2, "putText", put_text),
        mock.patch.object(ImageDraw.ImageDraw, "text", text_drawn),
    ):
        yield words
