"""Small pickles that break memory, never end or grow without end when they are read as maps of CheXlocalize.

Each is written by hand and read in a process of its own, with little time and memory, so that one that ends the
process is told apart from one that is refused.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patchcxr.errors import ImageError, PatchCXRError
from patchcxr.io.chexlocalize import read_saliency

SECONDS = 3
SPACE = 6 * 2**30
MEMORY = 100 * 2**20


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def data(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def numbers(*values: int) -> bytes:
    return row(*map(number, values))


def row(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def name(module: str, function: str) -> bytes:
    return f"c{module}\n{function}\n".encode()


def call(module: str, function: str, *arguments: bytes) -> bytes:
    return name(module, function) + row(*arguments) + b"R"


def file(**entries: bytes) -> bytes:
    """A dictionary with these entries, in this order."""
    return b"\x80\x05}" + b"".join(text(key) + value + b"s" for key, value in entries.items()) + b"."


def kind(*state: bytes, code: str = "f8") -> bytes:
    return call("numpy", "dtype", text(code), b"I00\n", b"I01\n") + row(*state) + b"b"


def float_kind(flags: int = 0) -> bytes:
    return kind(number(3), text("<"), b"NNN", numbers(-1, -1, flags)[1:-1])


def array_state(count: int, value: bytes) -> bytes:
    return row(number(1), row(number(count)), float_kind(), b"I00\n", value)


def viewed(buffer: bytes, columns: int, element: bytes = float_kind()) -> bytes:
    return call("numpy.core.numeric", "_frombuffer", buffer, element, numbers(1, columns), text("C"))


def doubled(way: bytes) -> bytes:
    """A tuple of the same tuple twice, 64 times over: to look at all of it takes for ever."""
    return b")" + way * 64


def storage(before: bytes = b"", count: int = 3) -> bytes:
    """Values of a tensor, as older ``torch.save`` writes them; ``before`` are operations ahead of all else."""
    reference = row(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(count), b"N")
    pickles = [
        b"\x80\x02" + before + pickle.dumps(0x1950A86A20F9469CFC6C, 2)[2:],
        pickle.dumps(1001, 2),
        pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}}, 2),
        b"\x80\x02" + reference + b"Q.",
        pickle.dumps(["0"], 2),
    ]
    return b"".join(pickles) + struct.pack("<q", count) + bytes(4 * count)


def values(held: bytes) -> bytes:
    return call("torch.storage", "_load_from_bytes", held)


def tensor(offset: bytes, size: bytes, stride: bytes) -> bytes:
    return call("torch._utils", "_rebuild_tensor_v2", values(data(storage())), offset, size, stride)


def repeated(count: int) -> bytes:
    """A tensor of so many values, all of them the first."""
    return tensor(number(0), numbers(count), numbers(0))


ARRAY = call("numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray"), numbers(0), data(b"b"))
SOUND = tensor(number(0), numbers(1, 3), numbers(3, 1))
DOUBLINGS = {"copied": b"2\x86", "kept": b"q\x01h\x01\x86"}
AGAIN = b"h\x01\x85Ra"
"""What calls a function once more with the value kept as number 1."""


def broken_memory() -> dict[str, bytes]:
    """Files that hand NumPy a state of their own making, or change what an array looks at."""
    count = 400_000
    freed = file(
        a=ARRAY + b"q\x01" + array_state(count, data(b"\x3f" * 8 * count)) + b"b",
        view=viewed(b"h\x01", count) + b"q\x02",
        z=b"h\x01" + array_state(1, data(bytes(8))) + b"b",
        y=data(b"\x40" * 8 * count) + b"q\x03",
        map=b"h\x02" + number(0) + b"G" + struct.pack(">d", 123.0) + b"s",
    )
    objects = b"](" + b"".join(map(number, range(4))) + b"e"
    grown = b"\x96" + struct.pack("<Q", 16) + bytes(16) + b"q\x01"
    made = {
        "an array whose memory is freed": freed,
        "an array made twice": file(map=ARRAY + (array_state(1, data(bytes(8))) + b"b") * 2),
        "an array of objects": file(
            map=ARRAY + row(number(1), numbers(2, 2), float_kind(0x3F), b"I00\n", objects) + b"b",
        ),
        "an array that is written to": file(map=viewed(data(bytes(8)), 1) + number(0) + number(5) + b"s"),
        "bytes that grow": file(a=grown, map=viewed(b"h\x01", 2), b=b"h\x01(" + number(1) + number(2) + b"e"),
        "a list as a state": file(map=ARRAY + array_state(4, objects) + b"b"),
        "a kind without state": file(map=viewed(data(bytes(8)), 1, call("numpy", "dtype", text("f8")))),
        "a kind in words": file(map=viewed(data(bytes(8)), 1, text("f8"))),
        "a kind of many": file(map=viewed(data(bytes(8)), 1, call("numpy", "dtype", text("f8," * 1000)))),
        "a kind of objects": file(map=viewed(data(bytes(8)), 1, call("numpy", "dtype", text("O")))),
    }
    states = {
        "fields": (number(3), text("<"), b"N", b"N", b"}" + text("a") + b"Ns", numbers(-1, -1, 0)[1:-1]),
        "size": (number(3), text("<"), b"NNN", numbers(2**30, -1, 0)[1:-1]),
        "order": (number(3), text("x"), b"NNN", numbers(-1, -1, 0)[1:-1]),
        "more": (number(4), text("<"), b"NNN", numbers(-1, -1, 0)[1:-1], b"}"),
        "none": (),
    }
    for what, state in states.items():
        own = row(number(1), numbers(1), kind(*state), b"I00\n", data(bytes(8)))
        made[f"a kind with its own {what}"] = file(map=ARRAY + own + b"b")
    return made


def endless() -> dict[str, bytes]:
    """Files of a few bytes that are hashed, printed, multiplied or read without end."""
    colliding = b"".join(number(n * (2**61 - 1)) + b"N" for n in range(1, 80_000))
    column = tensor(number(0), numbers(20_000, 1), numbers(0, 0))
    line = tensor(number(0), numbers(1, 20_000), numbers(0, 0))
    large = b"\x8b" + struct.pack("<I", 2**22) + b"\x7f" * 2**22
    again = name("torch.storage", "_load_from_bytes") + AGAIN
    made = {
        "a stride of text": file(map=tensor(number(0), numbers(1_500_000_000), row(text("x")))),
        "sizes of arrays": file(map=tensor(number(0), row(column), row(line))),
        "a size of 10^10 values": file(map=tensor(number(0), repeated(10**10), repeated(10**10))),
        "an offset of an array": file(map=tensor(repeated(10**9), numbers(1), numbers(1))),
        "a shape of an array": file(
            map=call("numpy.core.numeric", "_frombuffer", data(b""), float_kind(), repeated(10**10), text("C"))
        ),
        "forty axes": file(map=tensor(number(0), numbers(*[1] * 40), numbers(*[1] * 40))),
        "a task nested 50,000 deep": file(map=SOUND, task=b"]" * 50_000 + b"a" * 49_999),
        "a task nested 5,000 deep": file(map=SOUND, task=b"]" * 5000 + b"a" * 4999),
        "sides of 33 million bits": file(map=SOUND, cxr_dims=row(large, large)),
        "keys that collide": b"\x80\x04}(" + colliding + b"u.",
        "text made bytes again and again": file(
            x=text("x" * 2**20) + b"q\x01", map=b"]" + (name("_codecs", "encode") + AGAIN) * 4000
        ),
        "a long pickle read again and again": file(x=data(storage(b"N" * 200_000)) + b"q\x01", map=b"]" + again * 50),
        "few values read again and again": file(x=data(storage(count=10_000)) + b"q\x01", map=b"]" + again * 3),
        "a function called with a text": file(map=name("torch._utils", "_rebuild_parameter") + text("x" * 10) + b"R"),
        "a name that is a tuple": b"\x80\x04}" + text("map") + doubled(DOUBLINGS["kept"]) + text("a") + b"\x93s.",
    }
    for way, operations in DOUBLINGS.items():
        twice = doubled(operations)
        reference = row(twice, name("torch", "FloatStorage"), twice, text("cpu"), number(3), b"N") + b"Q."
        made |= {
            f"a task doubled, {way}": file(map=SOUND, task=twice),
            f"a key doubled, {way}": b"\x80\x04}" + twice + b"Ns.",
            f"keys doubled, {way}": b"\x80\x04}(" + twice + b"Nu.",
            f"a dictionary of doubled keys, {way}": b"\x80\x04(" + twice + b"Nd.",
            f"a set of what is doubled, {way}": b"\x80\x04\x8f(" + twice + b"\x90.",
            f"a reference doubled, {way}": file(map=values(data(storage(reference[:-1])))),
        }
    return made


def outsiders() -> dict[str, bytes]:
    """Files that change what belongs to the reader, or ask for what no map needs."""
    entry = b"}" + text("get") + text("x") + b"s"
    load = name("torch.storage", "_load_from_bytes")
    ordered = call("collections", "OrderedDict") + text("map") + SOUND + b"s"
    return {
        "a dictionary with its own get": b"\x80\x04" + ordered + entry + b"b.",
        "an attribute of a function": file(map=SOUND, x=load + b"}" + text("left") + text("behind") + b"sb"),
        "an attribute of a tensor": file(map=SOUND + entry + b"b"),
        "a class made anew": file(map=SOUND, x=name("collections", "OrderedDict") + b")\x81"),
        "an instance": file(map=SOUND, x=b"(icollections\nOrderedDict\n"),
        "an extension": file(map=SOUND, x=b"\x82\x01"),
        "a text of Python 2": file(map=SOUND, task=b"S'\\q'\n"),
        "a task that is a list": file(map=SOUND, task=b"]"),
        "an array without state": file(map=ARRAY),
    }


FILES = broken_memory() | endless() | outsiders()


def outcome(path: Path) -> tuple[str, int]:
    """How a process of its own ends that reads a map, and by how many bytes it grows."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_saliency(path)
            ended = "read"
        except PatchCXRError as error:
            ended = f"refused: {error}"
        except BaseException as error:
            ended = f"fault: {type(error).__name__}: {error}"
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        os.write(writing, json.dumps([ended[:4000], grown]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return tuple(json.loads(said)) if said else (f"killed by signal {os.waitstatus_to_exitcode(status)}", 0)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """How reading each file ended, and by how many bytes the process grew."""
    folder = tmp_path_factory.mktemp("pickles")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", __file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=280, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("named", list(FILES))
def test_a_hostile_map_is_refused_at_once_with_little_memory(outcomes, named):
    ended, grown = outcomes[named]
    assert ended.startswith("refused: ")
    assert any(advice in ended for advice in ("write it as", "copy or export it again", "expected"))
    assert grown < MEMORY


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (file(map=SOUND, task=b"]"), "task is list; expected the finding as text"),
        (b"\x80\x04})Ns.", "tuple for a key; expected a short text"),
        (file(map=b"]" + b"Na" * 20_000), "more than 20000 operations"),
        (file(map=SOUND + b"Nb"), "sets the state of ndarray"),
        (file(map=SOUND, prob=text("0.5")), "no numbers"),
        (file(map=SOUND, x=b"\x8f"), "operation EMPTY_SET, which no map needs"),
        (file(map=name("os", "system\x1b[31m")), r"asks for 'os.system\\x1b"),
        (file(map=ARRAY), "map is _Unfinished; expected a tensor of numbers"),
    ],
)
def test_the_message_says_what_was_there_and_what_is_expected(tmp_path, made, words):
    (tmp_path / "a.pkl").write_bytes(made)
    with pytest.raises(ImageError, match=words):
        read_saliency(tmp_path / "a.pkl")


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_layout_and_byte_order_are_read_as_they_were(tmp_path, protocol):
    values = np.arange(24.0).reshape(1, 4, 6)
    rest = {"task": "Edema", "prob": np.array([0.5]), "gt": np.uint8(1), "cxr_dims": np.array([30, 20])}
    turned = values.transpose(0, 2, 1), values[:, ::2], values[..., ::-1]
    for saliency in (values, np.asfortranarray(values), values.astype(">f4"), values.astype("u2"), *turned):
        held = OrderedDict(map=saliency, **rest)
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(held, protocol))
        found = read_saliency(tmp_path / "a.pkl")
        np.testing.assert_array_equal(found.saliency, saliency[0])
        assert (found.finding, found.probability, found.present, found.film_shape) == ("Edema", 0.5, True, (20, 30))


def test_a_map_by_hand_is_sound_but_for_what_makes_it_hostile(tmp_path):
    (tmp_path / "a.pkl").write_bytes(file(map=SOUND, task=text("Edema"), prob=viewed(data(bytes(8)), 1)))
    assert read_saliency(tmp_path / "a.pkl").saliency.tolist() == [[0.0, 0.0, 0.0]]
    whole = row(number(1), numbers(1, 2), float_kind(), b"I00\n", data(bytes(16)))
    (tmp_path / "b.pkl").write_bytes(file(map=ARRAY + whole + b"b"))
    assert read_saliency(tmp_path / "b.pkl").saliency.tolist() == [[0.0, 0.0]]


def main(folder: Path) -> dict[str, Any]:
    ended = {}
    for named, made in FILES.items():
        path = folder / "i_Edema_map.pkl"
        path.write_bytes(made)
        ended[named] = outcome(path)
    return ended


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
