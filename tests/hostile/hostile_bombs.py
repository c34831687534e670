"""Small files that claim or unfold to something huge, and pickles that would run code; by the suffix of the file."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

CANARY = "hostile-code-was-run"
"""File that appears where a pickle is run."""

Bombs = dict[str, Callable[[], bytes]]


class Runs:
    """Pickled, a call that leaves a file behind; ``call`` is the function that is to be called."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call = (call, arguments)

    def __reduce__(self) -> Any:
        return self.call


def pickles() -> Bombs:
    def dumped(value: Any, protocol: int = 4) -> Callable[[], bytes]:
        return lambda: pickle.dumps(value, protocol)

    def zipped(value: Any) -> Callable[[], bytes]:
        def make() -> bytes:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w") as file:
                file.writestr("archive/data.pkl", pickle.dumps(value, 2))
                file.writestr("archive/version", "3\n")
                file.writestr("archive/byteorder", "little")
            return stream.getvalue()

        return make

    system, opens = Runs(os.system, f"touch {CANARY}"), Runs(open, CANARY, "w")
    made: Bombs = {}
    for name, value in {"system": system, "open": opens, "eval": Runs(eval, f"open({CANARY!r}, 'w')")}.items():
        for protocol in (0, 2, 4):
            made[f"{name} {protocol}"] = dumped({"map": value, "state_dict": value}, protocol)
        made[f"{name} zip"] = zipped({"state_dict": {"weight": value}})
    nested: Any = []
    for _ in range(400):
        nested = [nested]
    made |= {
        "nested": dumped(nested),
        "open brackets": lambda: b"\x80\x04" + b"]" * 100_000 + b".",
        "marks": lambda: b"\x80\x04" + b"(" * 100_000 + b"t" * 100_000 + b".",
        "doubled": lambda: b"\x80\x04]" + b"2\x86" * 60 + b".",
        "memo": lambda: b"\x80\x04}r\xff\xff\xff\x7f.",
        "bytes": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.",
        "number": lambda: b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"a.",
        "digits": lambda: b"I" + b"9" * 100_000 + b"\n.",
        "bytearray": lambda: b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
    }
    return made


def npy(shape: str, kind: str = "<f8", body: bytes = bytes(80)) -> Callable[[], bytes]:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".encode() + b"\n"
    return lambda: b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def npz() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../outside.npy", bytes(10_000_000))
    return stream.getvalue()


def png(rows: int, columns: int, body: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tiff(rows: int, columns: int, strip_bytes: int) -> bytes:
    tags = {256: columns, 257: rows, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: rows, 279: strip_bytes}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def dicom(syntax: str, pixels: bytes = bytes(100), undefined: bool = False, **tags: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        data = pydicom.Dataset()
        data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
        sizes = {"Rows": 65535, "Columns": 65535, "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
        for name, value in (sizes | {"SamplesPerPixel": 1, "PixelRepresentation": 0} | tags).items():
            setattr(data, name, value)
        data.PhotometricInterpretation = "MONOCHROME2"
        body = DicomBytesIO()
        body.is_little_endian, body.is_implicit_VR = True, False
        write_dataset(body, data)
        uid = syntax.encode() + bytes(len(syntax) % 2)
        meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
        head = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta
        length = 0xFFFFFFFF if undefined else len(pixels)
        return head + body.getvalue() + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, length) + pixels

    return make


def safetensors(header: Any, body: bytes = bytes(16)) -> Callable[[], bytes]:
    def make() -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + body

    return make


def described(text: str) -> Callable[[], bytes]:
    return safetensors(
        {"__metadata__": {"patchcxr": text}, "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    )


def description(**changes: Any) -> Callable[[], bytes]:
    model = {"architecture": "compact_unet", "num_classes": 1}
    sound = {
        "format_version": 1,
        "model": model,
        "classes": ["a"],
        "image_size": 64,
        "preprocessing": {},
        "training": {},
    }
    return described(json.dumps(sound | changes))


ITEM = b"\xfe\xff\x00\xe0"
ENCAPSULATED = {
    "nothing": b"",
    "garbage": b"garbage garbage!",
    "no offsets": ITEM + struct.pack("<I", 0),
    "long item": ITEM + struct.pack("<I", 0) + ITEM + struct.pack("<I", 0xFFFFFFF0) + b"ab",
    "offsets outside": ITEM + struct.pack("<II", 4, 0xFFFFFFF0) + ITEM + struct.pack("<I", 2) + b"ab",
    "many items": (ITEM + struct.pack("<I", 0)) * 50_000,
}
SYNTAXES = {
    "plain": "1.2.840.10008.1.2.1",
    "big endian": "1.2.840.10008.1.2.2",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG": "1.2.840.10008.1.2.4.50",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "JPEG XL": "1.2.840.10008.1.2.4.110",
    "video": "1.2.840.10008.1.2.4.102",
    "unknown": "1.2.3.4.5",
}


def dicoms() -> Bombs:
    made: Bombs = {f"huge {name}": dicom(uid) for name, uid in SYNTAXES.items() if name in ("plain", "big endian")}
    small = {"Rows": 40, "Columns": 48}
    for name, uid in SYNTAXES.items():
        if name not in ("plain", "big endian"):
            for kind, pixels in ENCAPSULATED.items():
                made[f"{kind}, {name}"] = dicom(uid, pixels, True, **small)
    made["frames"] = dicom(SYNTAXES["plain"], NumberOfFrames=2**31 - 1, **small)
    made["samples"] = dicom(SYNTAXES["plain"], SamplesPerPixel=65535, **small)
    return made


def aliases(levels: int = 30) -> bytes:
    """YAML of a few hundred bytes that unfolds to 9 to the power of ``levels`` words."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


YAMLS: Bombs = {
    "aliases": aliases,
    "aliases of a known key": lambda: aliases() + b"\nseed: *a29\npatches: *a29\ntitle: *a29\nmapping: *a29\n",
    "aliases of mappings": lambda: "\n".join(
        [
            "a0: &a0 {x: 1}",
            *(f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(9))}}}" for n in range(1, 25)),
        ]
    ).encode(),
    "merged aliases": lambda: "\n".join(
        ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12))]
    ).encode(),
    "endless alias": lambda: b"seed: &a [*a]\npatches: &b {c: *b}\ntitle: *a\n",
    "alias of the whole": lambda: b"&a {seed: *a}",
    "nested brackets": lambda: b"[" * 20_000,
    "nested mappings": lambda: b"{a: " * 20_000,
    "nested lines": lambda: "\n".join(" " * n + "a:" for n in range(1500)).encode(),
    "nested dashes": lambda: b"- " * 20_000,
    "long number": lambda: b"seed: " + b"9" * 100_000,
    "sixties": lambda: b"seed: " + b"1:" * 20_000 + b"1",
    "date": lambda: b"seed: 2001-99-99",
    "time": lambda: b"seed: !!timestamp x",
    "no bool": lambda: b"seed: !!bool x",
    "no int": lambda: b"seed: !!int ''",
    "no float": lambda: b"seed: !!float x",
    "bytes": lambda: b"seed: !!binary =",
    "set": lambda: b"seed: !!set {a, b}",
    "pairs": lambda: b"seed: !!omap [a: 1]",
    "code": lambda: f"seed: !!python/object/apply:os.system ['touch {CANARY}']".encode(),
    "list as key": lambda: b"? [a]\n: 1",
    "numbers as keys": lambda: b"1: 2\nnull: 3\ntrue: 4",
    "infinite": lambda: b"seed: .inf\npatches: .nan\nimage_size: 1.0e+400",
    "huge value": lambda: b"seed: 1" + b"0" * 4000 + b"\npatches: 99999999999999999999999",
    "many keys": lambda: b"".join(b"k%d: 1\n" % n for n in range(2000)),
    "control character": lambda: b"seed: \x01\x1b[31m",
    "escape as a key": lambda: b'"\\e[31mred": 1',
    "utf-16": lambda: "seed: 1".encode("utf-16"),
    "documents": lambda: b"---\nseed: 1\n---\nseed: 2\n",
    "scalar": lambda: b"seed",
    "null": lambda: b"null",
}

JSONS: Bombs = {
    "nested lists": lambda: b"[" * 100_000,
    "closed lists": lambda: b"[" * 100_000 + b"]" * 100_000,
    "nested objects": lambda: b'{"a":' * 100_000,
    "long number": lambda: b'{"a": ' + b"9" * 100_000 + b"}",
    "infinite": lambda: b'{"a": {"Edema": {"size": [NaN, Infinity], "counts": [1e999]}}}',
    "huge size": lambda: b'{"a": {"Edema": {"size": [1000000, 1000000], "counts": [1000000000000]}}}',
    "huge sides": lambda: b'{"a": {"Edema": {"size": [1e400, 1], "counts": "1"}}}',
    "infinite outline": lambda: b'{"a": {"img_size": [40, 48], "Edema": [[[NaN, 1], [1e999, 2], [1, 2]]]}}',
    "infinite side": lambda: b'{"a": {"img_size": [Infinity, 48], "Edema": []}}',
    "huge counts": lambda: b'{"a": {"Edema": {"size": [2, 3], "counts": [18446744073709551615, -1, 7]}}}',
    "many digits": lambda: b'{"a": {"Edema": {"size": [2, 3], "counts": [' + b"9" * 400 + b"]}}}",
    "nested counts": lambda: b'{"a": {"Edema": {"size": [2, 3], "counts": [[1], [2, 3]]}}}',
    "ragged outline": lambda: b'{"a": {"img_size": [40, 48], "Edema": [[[1, 2], [3]], 5, "x"]}}',
    "half a surrogate": lambda: b'{"\\ud800": {"\\ud800": {}}}',
    "same keys": lambda: b'{"a": 1, "a": {"Edema": []}}',
}

BOMBS: dict[str, Bombs] = {
    ".png": {
        "60000 a side": lambda: png(60000, 60000, zlib.compress(bytes(10_000))),
        "bytes of 64 MB": lambda: png(40, 48, zlib.compress(bytes(2**26), 9)),
    },
    ".tif": {
        "huge strip": lambda: tiff(40, 48, 2**32 - 1),
        "huge sides": lambda: tiff(2**31, 2**31, 2**32 - 1),
        "100 million pixels": lambda: tiff(10_000, 10_000, 100_000_000),
    },
    ".npy": {
        "10^12 elements": npy("(1000000, 1000000)"),
        "10^12 in a row": npy("(1000000000000,)"),
        "negative": npy("(-1, 5)"),
        "floats": npy("(1e1, 5)"),
        "none": npy("None"),
        "deep": npy("(" + "1," * 80 + ")"),
        "product of 0": npy("(0, 1000000000000)"),
        "overflow": npy("(4294967296, 4294967296)"),
        "objects": npy("(3, 3)", "|O", pickle.dumps([Runs(os.system, f"touch {CANARY}")])),
        "names": npy("(3, 3)", "<U8"),
        "void": npy("(3, 3)", "|V2000000000"),
        "brackets": npy("(" * 5000),
        "code": npy("__import__('os').getcwd()"),
        "long": npy("(" + "9" * 5000 + ",)"),
        "version 3": lambda: b"\x93NUMPY\x03\x00\xff\xff\xff\x7f{",
        "archive": npz,
        "pickle": lambda: pickle.dumps(Runs(os.system, f"touch {CANARY}")),
    },
    ".dcm": dicoms(),
    ".yaml": YAMLS,
    ".json": JSONS,
    ".pkl": pickles(),
    ".pt": pickles(),
    ".pth": pickles(),
    ".ckpt": pickles(),
    ".safetensors": {
        "pickle": lambda: pickle.dumps(Runs(os.system, f"touch {CANARY}")),
        "header of 2^63": lambda: struct.pack("<Q", 2**63) + b"{}",
        "nested": safetensors(b"[" * 100_000),
        "10^12 values": safetensors({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}),
        "overlap": safetensors({n: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for n in "ab"}),
        "strange type": safetensors({"a": {"dtype": "F8_E8M0", "shape": [16], "data_offsets": [0, 16]}}),
        "nested description": described("[" * 100_000),
        "description of a list": described("[1]"),
        "description of text": described('"format_version"'),
        "long version": described('{"format_version": ' + "9" * 5000 + "}"),
        "no model": description(model=None),
        "huge image": description(image_size=10**400),
        "no such network": description(model={"architecture": "../../x", "num_classes": 1}),
    },
}
