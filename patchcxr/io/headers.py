"""What the header of a PNG, JPEG, TIFF, BMP or GIF file claims, read without decoding a pixel."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_TIFF_MAGIC: Final = {
    b"II*\x00": ("<", False),
    b"MM\x00*": (">", False),
    b"II+\x00": ("<", True),
    b"MM\x00+": (">", True),
}
_MAGIC: Final = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP"}
_MAGIC.update(dict.fromkeys(_TIFF_MAGIC, "TIFF"))

_MOST_CHUNKS: Final = 100_000
_MOST_SCANS: Final = 100
_MOST_TAGS: Final = 4096
_LARGEST_TILE: Final = 2**24
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}


class RasterHeader(NamedTuple):
    """Claims of a header.

    Attributes
    ----------
    kind
        ``PNG``, ``JPEG``, ``TIFF``, ``BMP`` or ``GIF``.
    rows, columns
        Size as stored, before any rotation.
    bits
        Bits of one sample (of a palette index, for palettes).
    samples
        Samples of one pixel, where the header says so; else 0.
    several
        Whether more pages or frames follow (GIF: not known from the header).
    orientation
        EXIF orientation, 1 to 8, that the decoder does not apply itself.
    white_is_zero
        Whether a grey TIFF is stored as a negative.
    photometric, separate, sample_format
        TIFF only: tags 262, 284 (whether channels lie in planes) and 339.
    """

    kind: str
    rows: int
    columns: int
    bits: int = 8
    samples: int = 0
    several: bool = False
    orientation: int = 1
    white_is_zero: bool = False
    photometric: int = 1
    separate: bool = False
    sample_format: int = 1


def raster_kind(data: bytes) -> str | None:
    """Name of the raster format that a file's first bytes belong to, or ``None``."""
    return next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)


def read_header(data: bytes) -> RasterHeader:
    """Header of a whole raster file in memory.

    Raises
    ------
    ValueError
        With the reason, if the header is damaged or the file ends too early.
    """
    kind = raster_kind(data)
    reader = {"PNG": _png, "JPEG": _jpeg, "TIFF": _tiff, "BMP": _bmp, "GIF": _gif}.get(kind or "")
    if reader is None:
        raise ValueError("not an image")
    try:
        return reader(data)
    except (struct.error, IndexError, OverflowError):
        raise ValueError(f"{kind} with a damaged header, or truncated") from None


def _png(data: bytes) -> RasterHeader:
    length, name, columns, rows, bits, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if name != b"IHDR" or length != 13:
        raise ValueError("PNG without a header chunk")
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 0)
    plain = rows * ((columns * samples * bits + 7) // 8 + 1)
    several, orientation, position, packed = False, 1, 8, 0
    for _ in range(_MOST_CHUNKS):
        length, name = struct.unpack_from(">I4s", data, position)
        start, position = position + 8, position + 12 + length
        if position > len(data):
            raise ValueError("truncated, the end of the image is missing")
        packed += length * (name == b"IDAT")
        if name == b"acTL":
            several = True
        elif name == b"eXIf":
            orientation = exif_orientation(data[start : start + length])
        elif name == b"IEND":
            # Deflate swells by far less; what lies beyond the pixels would be inflated for nothing.
            if packed > plain + plain // 4 + 65536:
                raise ValueError(f"PNG with {packed} bytes for {plain} of pixels")
            return RasterHeader("PNG", rows, columns, bits, samples, several, orientation)
    raise ValueError(f"PNG of more than {_MOST_CHUNKS} chunks")


def _jpeg(data: bytes) -> RasterHeader:
    scans = data.count(b"\xff\xda")
    # Each scan of a progressive JPEG costs a pass over the image; encoders write about ten.
    if scans > _MOST_SCANS:
        raise ValueError(f"JPEG of more than {_MOST_SCANS} scans")
    last = data.find(b"\xff\xda") if scans == 1 else data.rfind(b"\xff\xda")  # the first is near the start
    if last < 0 or data.rfind(b"\xff\xd9") < last:
        raise ValueError("truncated, the end of the image is missing")
    bits, rows, columns, samples, orientation = _jpeg_frame(data)
    return RasterHeader("JPEG", rows, columns, bits, samples, orientation=orientation)


def _jpeg_frame(data: bytes) -> tuple[int, int, int, int, int]:
    """Precision, rows, columns, components and EXIF orientation, from the segments before the first scan."""
    position, orientation = 2, 1
    while True:
        position = data.find(b"\xff", position)
        if position < 0:
            raise ValueError("JPEG without a frame header")
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            position += 2
        elif marker in _FRAME_MARKERS:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", data, position + 4)
            return bits, rows, columns, samples, orientation
        elif marker in (0xD9, 0xDA):
            raise ValueError("JPEG without a frame header")
        else:
            (length,) = struct.unpack_from(">H", data, position + 2)
            if marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
                orientation = exif_orientation(data[position + 10 : position + 2 + length])
            position += 2 + max(length, 2)


def codestream_size(frame: bytes) -> tuple[int, int]:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream says it holds.

    Raises
    ------
    ValueError
        If it says nothing.
    """
    try:
        if frame[:2] == b"\xff\xd8":
            _, rows, columns, _, _ = _jpeg_frame(frame)
            return rows, columns
        start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
        if start >= 0:
            right, bottom, left, top = struct.unpack_from(">IIII", frame, start + 8)
            return bottom - top, right - left
    except (struct.error, IndexError):
        pass
    raise ValueError("the compressed frame has no readable header")


def _tiff(data: bytes) -> RasterHeader:
    tags, following = _tiff_tags(data)
    if 256 not in tags or 257 not in tags:
        raise ValueError("TIFF with a damaged header: no width or height")
    tile = tags.get(322, 1) * tags.get(323, 1)
    if tile > max(4 * tags[256] * tags[257], _LARGEST_TILE):
        raise ValueError(f"TIFF with a damaged header: tiles of {tile} pixels")
    photometric = tags.get(262, 1)
    return RasterHeader(
        "TIFF",
        rows=tags[257],
        columns=tags[256],
        bits=tags.get(258, 1),
        samples=tags.get(277, 1),
        several=following,
        white_is_zero=photometric == 0,
        photometric=photometric,
        separate=tags.get(284, 1) == 2,
        sample_format=tags.get(339, 1),
    )


def _tiff_tags(data: bytes) -> tuple[dict[int, int], bool]:
    """First value of every integer tag of the first page, and whether another page follows."""
    order, big = _TIFF_MAGIC[data[:4]]
    offset, width = (order + "Q", 20) if big else (order + "I", 12)
    (start,) = struct.unpack_from(offset, data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    if entries > _MOST_TAGS:
        raise ValueError(f"TIFF with a damaged header: {entries} tags")
    first = start + (8 if big else 2)
    tags: dict[int, int] = {}
    for place in range(first, first + entries * width, width):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        (count,) = struct.unpack_from(offset, data, place + 4)
        code = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if code is None or count == 0:
            continue
        value = place + width - struct.calcsize(offset)
        if count * struct.calcsize(order + code) > struct.calcsize(offset):
            (value,) = struct.unpack_from(offset, data, value)
            if value + struct.calcsize(order + code) > len(data):
                continue
        (tags[tag],) = struct.unpack_from(order + code, data, value)
    (following,) = struct.unpack_from(offset, data, first + entries * width)
    return tags, following != 0


def exif_orientation(blob: bytes) -> int:
    """EXIF orientation, 1 to 8; 1 where the block is absent or damaged."""
    if blob[:4] not in _TIFF_MAGIC:
        return 1
    try:
        orientation = _tiff_tags(blob)[0].get(274, 1)
    except (struct.error, ValueError, OverflowError):
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _bmp(data: bytes) -> RasterHeader:
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:
        columns, rows, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        columns, rows, _, bits = struct.unpack_from("<iiHH", data, 18)
    return RasterHeader("BMP", abs(rows), columns, min(bits, 8))


def _gif(data: bytes) -> RasterHeader:
    columns, rows = struct.unpack_from("<HH", data, 6)
    return RasterHeader("GIF", rows, columns)
