"""Hundreds of malformed files: each ends in a named error or a valid film, soon, and in little memory.

The files are made from a fixed seed and read in a process of its own, in
which warnings are errors and the address space is limited; run as a script,
this module is that process.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from dicom_files import lossless_jpeg, recompress, write_dicom, write_jpeg_dicom, write_lossless_jpeg_dicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from patchcxr.errors import PatchCXRError
from patchcxr.io.dicom_facts import DicomFacts, read_dicom_facts
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import Radiograph, read_radiograph

SECRET = "SECRET"
SECONDS_A_FILE = 3
MEMORY_GROWTH = 700 * 2**20
READERS = {"film": read_radiograph, "mask": read_mask, "facts": read_dicom_facts}


def pil(pixels, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npy_header(text: str, body: bytes = b"\0" * 4096, version: int = 1) -> bytes:
    header = text.encode("latin1") + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + body


def sound_files(folder: Path, rng: np.random.Generator) -> dict[str, bytes]:
    """One small file of every kind that can be read, by name."""
    grey = rng.integers(0, 256, (40, 48), dtype=np.uint8)
    deep = rng.integers(0, 4096, (40, 48), dtype=np.uint16)
    colour = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
    files = {
        "grey.png": pil(grey, "PNG"),
        "deep.png": cv2.imencode(".png", deep)[1].tobytes(),
        "palette.png": pil(Image.fromarray(colour).quantize(16), "PNG", bits=4),
        "grey.jpg": pil(grey, "JPEG"),
        "steps.jpg": pil(colour, "JPEG", progressive=True),
        "cmyk.jpg": pil(Image.fromarray(colour).convert("CMYK"), "JPEG"),
        "grey.tif": pil(grey, "TIFF"),
        "deep.tif": cv2.imencode(".tif", deep)[1].tobytes(),
        "packed.tif": pil(colour, "TIFF", compression="tiff_lzw"),
        "grey.bmp": pil(grey, "BMP"),
        "grey.gif": pil(grey, "GIF"),
        "deep.npy": npy(deep),
    }
    named = {"PatientName": f"{SECRET}^NAME", "PatientID": f"{SECRET}-1", "PatientBirthDate": "19330303"}
    tags = {**named, "PatientAge": "044Y", "ViewPosition": "PA", "WindowCenter": 2000, "WindowWidth": 4000}
    path = folder / "sound.dcm"
    for name, write in {
        "plain.dcm": lambda: write_dicom(path, deep, **tags),
        "implicit.dcm": lambda: write_dicom(path, deep, syntax=ImplicitVRLittleEndian, **tags),
        "deflated.dcm": lambda: write_dicom(path, deep, syntax=DeflatedExplicitVRLittleEndian, **tags),
        "rle.dcm": lambda: recompress(write_dicom(path, deep, **tags), RLELossless),
        "jpeg2000.dcm": lambda: recompress(write_dicom(path, deep, **tags), JPEG2000Lossless),
        "jpegls.dcm": lambda: recompress(write_dicom(path, deep, **tags), JPEGLSLossless),
        "baseline.dcm": lambda: write_jpeg_dicom(path, grey, **tags),
        "lossless.dcm": lambda: write_lossless_jpeg_dicom(path, deep, **tags),
    }.items():
        files[name] = write().read_bytes()
    return files


def truncated(sound: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    made = {}
    for name, data in sound.items():
        for cut in (1, 7, 20, *rng.integers(21, int(0.9 * len(data)), 5).tolist()):
            made[f"{cut}-{name}"] = data[:cut]
    return made


def bit_flipped(sound: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    made = {}
    for name, data in sound.items():
        for turn in range(8):
            flipped = bytearray(data)
            reach = len(data) if turn % 2 else min(len(data), 700)
            for place in rng.integers(0, reach, int(rng.integers(1, 12))):
                flipped[place] ^= 1 << int(rng.integers(0, 8))
            made[f"{turn}-{name}"] = bytes(flipped)
    return made


def misnamed(sound: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    suffixes = (".png", ".jpg", ".tif", ".bmp", ".gif", ".npy", ".dcm", ".img", "")
    made = {}
    for number, (name, data) in enumerate(sound.items()):
        made[f"{name}{suffixes[number % len(suffixes)]}"] = data
    return made


def without_content(sound: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    made = {}
    for suffix in (".png", ".jpg", ".tif", ".bmp", ".gif", ".npy", ".dcm", ".img", ""):
        made[f"empty{suffix}"] = b""
        made[f"zeros{suffix}"] = bytes(3000)
        made[f"noise{suffix}"] = rng.bytes(3000)
        made[f"text{suffix}"] = b"no film at all\n" * 100
    made["dicm.dcm"] = bytes(128) + b"DICM"
    made["noise after dicm.dcm"] = bytes(128) + b"DICM" + rng.bytes(3000)
    for magic in (
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        b"BM",
        b"GIF89a",
        b"\x93NUMPY",
    ):
        made[f"noise after {magic[:3].hex()}.png"] = magic + rng.bytes(3000)
    return made


def absurd_sizes(sound: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    made = {}
    for side in (0, 65535, 2**31 - 1, 2**32 - 1):
        png = bytearray(sound["grey.png"])
        struct.pack_into(">II", png, 16, side, side)
        struct.pack_into(">I", png, 29, zlib.crc32(bytes(png[12:29])))
        made[f"{side}.png"] = bytes(png)
        bmp = bytearray(sound["grey.bmp"])
        struct.pack_into("<II", bmp, 18, side, side)
        made[f"{side}.bmp"] = bytes(bmp)
        for kind in ("grey", "deep"):
            tiff = bytearray(sound[f"{kind}.tif"])
            for tag in (256, 257):
                set_tiff_tag(tiff, tag, side)
            made[f"{kind}-{side}.tif"] = bytes(tiff)
        made[f"{side}.npy"] = npy_header(f"{{'descr': '<u2', 'fortran_order': False, 'shape': ({side}, {side})}}")
    for side in (0, 65535):
        gif = bytearray(sound["grey.gif"])
        struct.pack_into("<HH", gif, 6, side, side)
        made[f"{side}.gif"] = bytes(gif)
        jpeg = bytearray(sound["grey.jpg"])
        struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, side, side)
        made[f"{side}.jpg"] = bytes(jpeg)
        for name in ("plain", "deflated", "rle", "jpeg2000", "jpegls", "baseline", "lossless"):
            made[f"{name}-{side}.dcm"] = edited(sound[f"{name}.dcm"], Rows=side, Columns=side)
    for name, mark in (("baseline", b"\xff\xc0"), ("jpegls", b"\xff\xf7"), ("lossless", b"\xff\xc3")):
        data = bytearray(sound[f"{name}.dcm"])
        struct.pack_into(">HH", data, data.index(mark) + 5, 65535, 65535)
        made[f"frame-{name}.dcm"] = bytes(data)
    data = bytearray(sound["jpeg2000.dcm"])
    struct.pack_into(">II", data, data.index(b"\xff\x4f\xff\x51") + 8, 2**31, 2**31)
    made["frame-jpeg2000.dcm"] = bytes(data)
    return made


def set_tiff_tag(tiff: bytearray, tag: int, value: int) -> None:
    (start,) = struct.unpack_from("<I", tiff, 4)
    for place in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", tiff, start)[0], 12):
        if struct.unpack_from("<H", tiff, place)[0] == tag:
            struct.pack_into("<HII", tiff, place + 2, 4, 1, value)


def edited(data: bytes, **tags) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    with pydicom.config.disable_value_validation():
        for name, value in tags.items():
            setattr(dataset, name, value)
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def said(data: bytes, **tags: bytes) -> bytes:
    """Replace elements by raw bytes that pydicom would not write."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    raw = b""
    for name, value in tags.items():
        tag = pydicom.tag.Tag(name)
        if name in dataset:
            del dataset[name]
        raw += element(
            tag.group, tag.element, pydicom.datadict.dictionary_VR(tag).encode(), value + b" " * (len(value) % 2)
        )
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    start = meta_length(stream.getvalue())
    return stream.getvalue()[:start] + raw + stream.getvalue()[start:]


def meta_length(data: bytes) -> int:
    """Where the file meta information ends."""
    return 144 + struct.unpack_from("<I", data, 140)[0]


def lut(entries=4096, first=0, bits=12, held=4096) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [entries, first, bits])
    item.add_new("LUTData", "OW", bytes(2 * held))
    return item


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    length = len(value) if length is None else length
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC"):
        return struct.pack("<HH2sHI", group, number, vr, 0, length & 0xFFFFFFFF) + value
    return struct.pack("<HH2sH", group, number, vr, length & 0xFFFF) + value


def hostile_dicom(sound: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    plain = sound["plain.dcm"]
    edits = {
        "allocated-0": {"BitsAllocated": 0},
        "allocated-64": {"BitsAllocated": 64},
        "allocated-12": {"BitsAllocated": 12},
        "allocated-1": {"BitsAllocated": 1, "BitsStored": 1},
        "stored-0": {"BitsStored": 0},
        "stored-60000": {"BitsStored": 60000},
        "high-200": {"HighBit": 200},
        "samples-0": {"SamplesPerPixel": 0},
        "samples-60000": {"SamplesPerPixel": 60000},
        "sign-7": {"PixelRepresentation": 7},
        "rows-twice": {"Rows": [40, 40]},
        "lut-short": {"VOILUTSequence": [lut(held=100)]},
        "lut-long": {"VOILUTSequence": [lut(held=30000)]},
        "lut-bits": {"VOILUTSequence": [lut(bits=0)]},
        "lut-many-bits": {"VOILUTSequence": [lut(bits=60000)]},
        "lut-minus": {"VOILUTSequence": [lut(entries=65532, first=65529)]},
        "lut-bare": {"VOILUTSequence": [Dataset()]},
        "modality-short": {"ModalityLUTSequence": [lut(held=3)]},
        "modality-zero": {"ModalityLUTSequence": [lut(bits=0)]},
        "rgb": {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3},
        "no-pixels": {"PixelData": b""},
        "few-pixels": {"PixelData": b"\0" * 100},
    }
    texts = {
        "frames-0": {"NumberOfFrames": b"0"},
        "frames-2": {"NumberOfFrames": b"2"},
        "frames-minus": {"NumberOfFrames": b"-1"},
        "frames-many": {"NumberOfFrames": b"99999999999"},
        "frames-text": {"NumberOfFrames": b"many"},
        "window-nan": {"WindowCenter": b"nan", "WindowWidth": b"nan"},
        "window-inf": {"WindowWidth": b"inf"},
        "window-huge": {"WindowCenter": b"1e300"},
        "window-zero": {"WindowWidth": b"0"},
        "window-minus": {"WindowWidth": b"-4"},
        "window-text": {"WindowCenter": b"SECRET"},
        "window-function": {"VOILUTFunction": b"SECRET" * 2000},
        "slope-zero": {"RescaleSlope": b"0", "RescaleIntercept": b"0"},
        "slope-nan": {"RescaleSlope": b"nan", "RescaleIntercept": b"0"},
        "slope-huge": {"RescaleSlope": b"1e308", "RescaleIntercept": b"1e308"},
        "slope-tiny": {"RescaleSlope": b"1e-300", "RescaleIntercept": b"1"},
        "photometric": {"PhotometricInterpretation": b"SECRET" * 3000},
        "palette": {"PhotometricInterpretation": b"PALETTE COLOR"},
        "spacing": {"PixelSpacing": b"SECRET\\SECRET"},
        "age": {"PatientAge": b"SECRET", "PatientSex": b"SECRET"},
        "class": {"SOPClassUID": b"SECRET"},
    }
    made = {f"{name}.dcm": edited(plain, **tags) for name, tags in edits.items()}
    made |= {f"{name}.dcm": said(plain, **tags) for name, tags in texts.items()}
    start = meta_length(plain)
    head, body = plain[:start], plain[start:]
    secret = f"{SECRET}^".encode()
    made["name-bytes.dcm"] = head + body.replace(secret, b"\xff\xfe\x80\x81\x82\x83^")
    charset = element(8, 5, b"CS", b"SECRET_CHARSET\\ISO 2022 IR 87 ")
    made["charset.dcm"] = head + charset + body.replace(secret, b"\x1b$B\xff\xff\xff^")
    made["huge-length.dcm"] = head + body + element(0x7FE1, 0x10, b"OB", b"", 0xFFFFFFFE)
    made["huge-text.dcm"] = head + element(8, 8, b"UT", b"SECRET", 0xFFFFFFF0) + body
    made["odd-length.dcm"] = head + element(8, 8, b"CS", b"ODD") + body
    made["unknown-vr.dcm"] = head + element(8, 8, b"Q?", b"SECRET") + body
    made["undefined-text.dcm"] = head + element(8, 8, b"UC", b"SECRET", 0xFFFFFFFF) + body
    made["undefined-sequence.dcm"] = head + element(8, 0x1111, b"SQ", b"", 0xFFFFFFFF) + body
    nested = element(8, 0x1111, b"SQ", b"\xfe\xff\x00\xe0\xff\xff\xff\xff", 0xFFFFFFFF)
    made["nested-20000.dcm"] = head + nested * 20000
    made["nested-200.dcm"] = head + nested * 200
    wide = element(8, 0x1111, b"SQ", b"\xfe\xff\x00\xe0\0\0\0\0" * 20000)
    made["items-20000.dcm"] = head + wide + body
    made["elements-20000.dcm"] = head + body + b"".join(element(0x7FE1, n, b"CS", b"") for n in range(20000))
    made["syntax-name.dcm"] = plain.replace(b"1.2.840.10008.1.2.1\0", b"SECRET.SYNTAX.UID.01")
    made["syntax-mpeg.dcm"] = plain.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.100"[:20])
    made["syntax-deflated.dcm"] = edited(plain).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0")
    rle = sound["rle.dcm"]
    marker = rle.index(b"\xfe\xff\x00\xe0", rle.index(b"\xe0\x7f\x10\x00")) + 8
    made["rle-header.dcm"] = rle[: marker + 8] + b"\xff" * 64 + rle[marker + 72 :]
    made["rle-offsets.dcm"] = rle[:marker] + b"\xff" * 16 + rle[marker + 16 :]
    return made


def hostile_npy(sound: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}] * 2000).reshape(40, 50), allow_pickle=True)
    shape = "'fortran_order': False, 'shape': (40, 48)"
    nan, inf = np.full((40, 48), 0.5), np.full((40, 48), 0.5)
    nan[3, 3], inf[3, 3] = np.nan, np.inf
    return {
        "pickle.npy": pickled.getvalue(),
        "nan.npy": npy(nan),
        "inf.npy": npy(inf),
        "complex.npy": npy(np.ones((40, 48), complex)),
        "text.npy": npy(np.full((40, 48), "a")),
        "dates.npy": npy(np.zeros((40, 48), "M8[D]")),
        "fields.npy": npy(np.zeros((40, 48), [("a", "u1"), ("b", "u1")])),
        "scalar.npy": npy(np.float64(1)),
        "deep.npy": npy(np.zeros((1,) * 30, np.uint8)),
        "minus.npy": npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-40, -48)}"),
        "floats.npy": npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (4e1, 48)}"),
        "digits.npy": npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 5000 + ", 48)}"),
        "long.npy": npy_header("{" + " " * 60000 + "}"),
        "brackets.npy": npy_header("(" * 9000),
        "minuses.npy": npy_header("-" * 9000 + "1"),
        "code.npy": npy_header("__import__('os').system('true')"),
        "escape.npy": npy_header("{'descr': '\\q', " + shape + "}"),
        "object.npy": npy_header("{'descr': '|O', " + shape + "}"),
        "void.npy": npy_header("{'descr': '|V2000000000', " + shape + "}"),
        "subarray.npy": npy_header("{'descr': ('<u2', (100000, 100000)), " + shape + "}"),
        "version.npy": npy_header("{'descr': '|u1', " + shape + "}", version=9),
        "length.npy": b"\x93NUMPY\x02\0\xff\xff\xff\xff{",
    }


def png_chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return struct.pack(">I", length) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes, rows=40, columns=48, bits=8, colour=0) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def hostile_rasters(sound: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    pixels = zlib.compress(b"".join(b"\0" + rng.bytes(48) for _ in range(40)))
    data = png_chunk(b"IDAT", pixels)
    tiff = sound["grey.tif"]
    (start,) = struct.unpack_from("<I", tiff, 4)
    (entries,) = struct.unpack_from("<H", tiff, start)
    end = start + 2 + 12 * entries

    def tagged(**values) -> bytes:
        changed = bytearray(tiff)
        for tag, value in values.items():
            set_tiff_tag(changed, int(tag[1:]), value)
        return bytes(changed)

    jpeg, gif, bmp = sound["grey.jpg"], sound["grey.gif"], bytearray(sound["grey.bmp"])
    for place, value in ((10, 2**32 - 1), (14, 2**32 - 1)):
        changed = bytearray(bmp)
        struct.pack_into("<I", changed, place, value)
        bmp = bmp if place == 14 else changed
    header_size = bytearray(sound["grey.bmp"])
    struct.pack_into("<I", header_size, 14, 2**31)
    planes = bytearray(sound["grey.bmp"])
    struct.pack_into("<HHI", planes, 26, 9, 77, 99)
    frames = [Image.fromarray(rng.integers(0, 256, (40, 48), dtype=np.uint8)) for _ in range(3)]
    return {
        "chunk-length.png": png(png_chunk(b"IDAT", pixels, 2**31 - 1)),
        "chunk-length-max.png": png(png_chunk(b"IDAT", pixels, 2**32 - 1)),
        "no-data.png": png(),
        "half-data.png": png(png_chunk(b"IDAT", pixels[: len(pixels) // 2])),
        "not-zlib.png": png(png_chunk(b"IDAT", rng.bytes(500))),
        "bits-7.png": png(data, bits=7),
        "colour-9.png": png(data, colour=9),
        "no-palette.png": png(data, colour=3),
        "long-palette.png": png(png_chunk(b"PLTE", bytes(3 * 300)), data, colour=3),
        "moving.png": png(png_chunk(b"acTL", struct.pack(">II", 2, 0)), data),
        "many-chunks.png": png(png_chunk(b"tEXt", b"") * 150_000, data),
        "exif.png": png(png_chunk(b"eXIf", b"II*\0" + b"\xff" * 40), data),
        "crc.png": sound["grey.png"][:29] + b"\0\0\0\0" + sound["grey.png"][33:],
        "loop.tif": tiff[:end] + struct.pack("<I", start) + tiff[end + 4 :],
        "directory-outside.tif": tiff[:4] + struct.pack("<I", 2**32 - 8) + tiff[8:],
        "entries-65535.tif": tiff[:start] + b"\xff\xff" + tiff[start + 2 :],
        "strip-outside.tif": tagged(t273=2**31),
        "strip-bytes.tif": tagged(t279=2**32 - 1),
        "rows-a-strip.tif": tagged(t278=0),
        "bits-0.tif": tagged(t258=0),
        "bits-500.tif": tagged(t258=500),
        "samples-0.tif": tagged(t277=0),
        "samples-9000.tif": tagged(t277=9000),
        "compression.tif": tagged(t259=34712),
        "photometric.tif": tagged(t262=32845),
        "scans.jpg": jpeg[:-2] + (b"\xff\xda" + bytes([0, 8, 1, 1, 0, 0, 63, 0])) * 4000 + jpeg[-2:],
        "segment-length.jpg": jpeg[:4] + b"\xff\xff" + jpeg[6:],
        "segment-zero.jpg": jpeg[:4] + b"\0\0" + jpeg[6:],
        "fill.jpg": jpeg[:2] + b"\xff" * 100_000 + jpeg[2:],
        "twelve-bits.jpg": jpeg.replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc1\x00\x0b\x0c"),
        "lossless.jpg": lossless_jpeg(rng.integers(0, 4096, (40, 48)), 12),
        "no-tables.jpg": jpeg[:2] + jpeg[jpeg.index(b"\xff\xc0") :],
        "moving.gif": pil(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "frame-outside.gif": gif[: gif.rindex(b",") + 1] + b"\xff" * 8 + gif[gif.rindex(b",") + 9 :],
        "code-size.gif": gif[: gif.rindex(b",") + 10] + b"\xff" + gif[gif.rindex(b",") + 11 :],
        "no-frame.gif": gif[: gif.rindex(b",")] + b";",
        "offset.bmp": bytes(bmp),
        "header-size.bmp": bytes(header_size),
        "planes.bmp": bytes(planes),
        "raw.img": bytes(2 * 2048 * 2047),
        "raw-range.img": b"\xff\x0f" * (2048 * 2048),
        "raw-flat.img": bytes(2 * 2048 * 2048),
    }


def bombs(sound: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    many = zlib.compressobj(1)
    zeros = b"".join(many.compress(bytes(2**22)) for _ in range(80)) + many.flush()  # inflates to 320 MB
    row = b"\0" + bytes(30000)
    tall = zlib.compress(row * 1000, 9)
    plain = sound["deflated.dcm"]
    meta = plain[: meta_length(plain)]
    whole = zlib.decompress(plain[len(meta) :], -15)
    raw = zlib.compressobj(1, wbits=-15)
    inflating = raw.compress(whole + element(0x7FE1, 0x10, b"OB", b"", 2**30))
    inflating += b"".join(raw.compress(bytes(2**22)) for _ in range(80)) + raw.flush()
    swelling = struct.pack("<16I", 2, 64, 64 + 4_000_000, *[0] * 13) + b"\x81\0" * 4_000_000  # 512 MB if unpacked
    dataset = pydicom.dcmread(io.BytesIO(sound["rle.dcm"]))
    dataset.PixelData = pydicom.encaps.encapsulate([swelling])
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return {
        "stream.png": png(png_chunk(b"IDAT", zeros)),
        "small-stream.png": png(png_chunk(b"IDAT", zlib.compress(bytes(2**26), 9))),
        "text.png": png(png_chunk(b"zTXt", b"a\0\0" + zeros), png_chunk(b"IDAT", zlib.compress(bytes(40 * 49)))),
        "profile.png": png(png_chunk(b"iCCP", b"a\0\0" + zeros), png_chunk(b"IDAT", zlib.compress(bytes(40 * 49)))),
        "square.png": png(png_chunk(b"IDAT", tall), rows=30000, columns=30000),
        "deflated.dcm": meta + inflating,
        "rle.dcm": stream.getvalue(),
        "square.gif": pil(Image.new("L", (20000, 20000)), "GIF"),
        "square.tif": pil(Image.new("L", (12000, 12000)), "TIFF", compression="tiff_deflate"),
    }


GROUPS = {
    "truncated": truncated,
    "flipped": bit_flipped,
    "misnamed": misnamed,
    "empty": without_content,
    "sizes": absurd_sizes,
    "dicom": hostile_dicom,
    "npy": hostile_npy,
    "rasters": hostile_rasters,
    "bombs": bombs,
}


def outcome(reader: str, path: Path) -> tuple[str, str]:
    """How a reader ended: ``error`` and its message, ``read``, or ``fault`` and what was wrong."""
    try:
        read = READERS[reader](path)
    except PatchCXRError as error:
        return "error", str(error)
    except BaseException as error:
        return "fault", f"{type(error).__name__}: {error}"
    if isinstance(read, Radiograph):
        pixels = read.pixels
        valid = pixels.dtype == np.float32 and pixels.ndim == 2 and 0 <= pixels.min() <= pixels.max() <= 1
    elif isinstance(read, DicomFacts):
        valid = (read.age_years is None or 0 <= read.age_years <= 120) and SECRET not in repr(read)
    else:
        valid = read.dtype == np.bool_ and read.ndim == 2
    return ("read", "") if valid else ("fault", f"not valid: {read!r:.300}")


def read_all(folder: Path) -> None:
    """Read every file with every reader; one line of JSON each, before it and after it."""
    read_radiograph(folder / "sound.png")
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in sorted(path for path in folder.glob("*/*") if path.is_file()):
        for reader in READERS:
            key = f"{path.parent.name}/{path.name}"
            print(json.dumps([key, reader]), flush=True)
            start = time.process_time()
            ended, message = outcome(reader, path)
            seconds = time.process_time() - start
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            print(json.dumps([key, reader, ended, message, seconds, peak * 1024]), flush=True)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[list]:
    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("malformed")
    sound = sound_files(folder, rng)
    (folder / "sound.png").write_bytes(sound["grey.png"])
    for group, make in GROUPS.items():
        (folder / group).mkdir()
        for name, data in make(sound, rng).items():
            (folder / group / name).write_bytes(data)
    command = [sys.executable, "-W", "error", __file__, str(folder)]
    done = subprocess.run(command, capture_output=True, timeout=200, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"[")]
    assert done.returncode == 0, f"ended with {done.returncode} at {lines[-1]}: {done.stderr[-2000:]!r}"
    return [line for line in lines if len(line) > 2]


def test_there_are_at_least_three_hundred_files(results):
    assert len({line[0] for line in results}) >= 300
    assert len(results) == 3 * len({line[0] for line in results})


@pytest.mark.parametrize("group", GROUPS)
def test_every_malformed_file_gives_a_named_error_or_a_valid_film(results, group):
    mine = [line for line in results if line[0].startswith(f"{group}/")]
    assert mine
    assert not [line[:4] for line in mine if line[2] == "fault"]


@pytest.mark.parametrize("group", ["truncated", "sizes", "npy", "empty"])
def test_no_film_comes_of_a_file_that_lacks_its_pixels(results, group):
    assert not [line[0] for line in results if line[1:3] == ["film", "read"] and line[0].startswith(f"{group}/")]


def test_errors_name_the_file_stay_on_one_line_and_tell_no_patient(results):
    for key, _, ended, message, *_ in results:
        if ended == "error":
            assert Path(key).name in message
            assert "\n" not in message
            assert len(message) < 700
            assert SECRET not in message, key


def test_no_file_takes_long_or_much_memory(results):
    assert max(results, key=lambda line: line[4])[4] < SECONDS_A_FILE
    assert max(line[5] for line in results) < MEMORY_GROWTH


def test_sound_files_of_every_kind_are_read(tmp_path):
    for name, data in sound_files(tmp_path, np.random.default_rng(7)).items():
        (tmp_path / name).write_bytes(data)
        assert outcome("film", tmp_path / name) == ("read", ""), name
        if name.endswith(".dcm"):
            assert read_dicom_facts(tmp_path / name).age_years == 44


if __name__ == "__main__":
    read_all(Path(sys.argv[1]))
