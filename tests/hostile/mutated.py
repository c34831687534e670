"""Damage done to sound files, from a seed: bytes as a bad disk leaves them, words as a hostile hand writes them."""

from __future__ import annotations

import re
import struct

import numpy as np

WORDS = (
    b"", b"0", b"-1", b"1e999", b"-0.0", b"nan", b"NaN", b"Infinity", b"-inf", b"null", b"true", b"[]", b"{}", b"~",
    b"9" * 30, b"9" * 400, b"9" * 5000, b"1e308", b"2147483648", b"18446744073709551616", b"0x7fffffffffffffff",
    b"[[[]]]", b'{"a":{}}', b'""', b'"', b"'", b"\\", b"\\u0000", b"\\ud800", b"../../x", b"/etc/passwd", b"a\0b",
    b"=1+1", b"\x1b[31m", b"\xff\xfe", "\u202e\U0001f4a9".encode(), b"x" * 3000, b"2001-99-99", b"!!python/object:os.x",
    b"*a", b"&a", b"<<", b"!!timestamp x", b"!!binary x", b"!!int x", b"!!bool x", b"? {a: b}", b"\r", b"\n", b"\t",
)  # fmt: skip
"""What a number, a name or a text of a file is exchanged for."""

NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
"""Sizes and counts that overflow one integer or another."""


def damaged(data: bytes, rng: np.random.Generator, text: bool) -> bytes:
    """A file with one to four things done to it; in text, words are exchanged too."""
    changed = bytearray(data)
    ways = [_flip, _cut_out, _insert, _repeat, _swap, _number, _truncate]
    for _ in range(int(rng.integers(1, 5))):
        way = _word if text and rng.random() < 0.7 else ways[int(rng.integers(len(ways)))]
        changed = way(changed, rng) if changed else bytearray(rng.bytes(20))
    return bytes(changed)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    # Half of the places lie near the start, where formats keep their sizes.
    return int(rng.integers(0, len(data) if rng.random() < 0.5 else min(len(data), 400)))


def _flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 8))):
        data[_place(data, rng)] ^= 1 << int(rng.integers(0, 8))
    return data


def _cut_out(data: bytearray, rng: np.random.Generator) -> bytearray:
    place = _place(data, rng)
    del data[place : place + int(rng.integers(1, 200))]
    return data


def _insert(data: bytearray, rng: np.random.Generator) -> bytearray:
    place = _place(data, rng)
    data[place:place] = rng.bytes(int(rng.integers(1, 60)))
    return data


def _repeat(data: bytearray, rng: np.random.Generator) -> bytearray:
    place, length = _place(data, rng), int(rng.integers(1, 300))
    data[place:place] = data[place : place + length] * int(rng.integers(1, 5))
    return data


def _swap(data: bytearray, rng: np.random.Generator) -> bytearray:
    first, second = sorted((_place(data, rng), _place(data, rng)))
    length = min(int(rng.integers(1, 100)), second - first)
    one, other = data[first : first + length], data[second : second + length]
    data[second : second + length], data[first : first + length] = one, other
    return data


def _number(data: bytearray, rng: np.random.Generator) -> bytearray:
    place, code = _place(data, rng), "BHIQ"[int(rng.integers(4))]
    number = NUMBERS[int(rng.integers(len(NUMBERS)))] & (256 ** struct.calcsize(f"<{code}") - 1)
    packed = struct.pack(("<" if rng.random() < 0.6 else ">") + code, number)
    data[place : place + len(packed)] = packed
    return data


def _truncate(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(0, len(data)))]


def _word(data: bytearray, rng: np.random.Generator) -> bytearray:
    found = list(re.finditer(rb'"[^"]*"|[\w.+-]+', data))
    if not found:
        return _insert(data, rng)
    old = found[int(rng.integers(len(found)))]
    data[old.start() : old.end()] = WORDS[int(rng.integers(len(WORDS)))]
    return data
