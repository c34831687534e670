"""Pickles of tensors, read without running what they say.

A pickle names functions and calls them; opening one from elsewhere may run
anything. This reader knows the handful of names that a dictionary of tensors,
arrays, numbers and text needs, puts functions of its own in their place, and
refuses every other name. Tensors become NumPy arrays, on whatever device they
were, and PyTorch is not needed.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from patchcxr.types import AnyArray

_STORAGES: Final = {
    "HalfStorage": "<f2",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "BoolStorage": "?",
    "ByteStorage": "<u1",
    "CharStorage": "<i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
}
_MAGIC: Final = 0x1950A86A20F9469CFC6C
DAMAGED: Final = (
    pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    MemoryError, RecursionError, struct.error,
)  # fmt: skip
"""What reading a damaged or hostile pickle may raise."""


class _Storage(NamedTuple):
    """Values that tensors may look at; a pickle can neither make nor change one."""

    values: AnyArray


def load_tensors(data: bytes) -> Any:
    """Object of a pickle made of dictionaries, lists, numbers, text, tensors and arrays; tensors become arrays.

    Raises
    ------
    pickle.UnpicklingError
        If it names anything else; the message says what.
    Exception
        One of :data:`DAMAGED`, if it is damaged.
    """
    return _load(data, _names())


def _names() -> dict[tuple[str, str], Any]:
    """What each name that a pickle may use stands for; made anew for each pickle, so that none can change it."""

    def rebuild_tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> AnyArray:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor of something that holds no values")
        values = storage.values
        last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
        if min((offset, *size, *stride)) < 0 or (0 not in size and last >= values.size):
            raise ValueError(f"a tensor of shape {tuple(size)} reaches beyond its {values.size} values")
        steps = [step * values.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(values[offset:], tuple(size), steps, writeable=False)

    def array_class(*_: Any) -> Any:
        raise pickle.UnpicklingError("an array that is made of nothing")

    def kind_of_number(code: Any, *_: Any) -> np.dtype[Any]:
        found = np.dtype(code, False, True)
        if found.kind not in "?biuf":
            raise pickle.UnpicklingError(f"an array of {found}, which is no kind of number")
        return found

    def rebuild_array(kind: Any, _shape: Any, _code: Any) -> AnyArray:
        if kind is not array_class:
            raise pickle.UnpicklingError("an array of an unknown class")
        return np.empty(0, dtype=np.int8)  # filled by the array's own state, whose length NumPy checks

    def rebuild_from_buffer(buffer: Any, code: Any, shape: Any, order: str) -> AnyArray:
        return np.frombuffer(buffer, dtype=code).reshape(shape, order="F" if order == "F" else "C")

    def rebuild_number(code: Any, value: bytes) -> Any:
        return np.frombuffer(value, dtype=code)[0]

    def text_to_bytes(text: str, _encoding: str = "latin1") -> bytes:
        return text.encode("latin1")

    def first(value: Any, *_: Any) -> Any:
        return value

    names: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): text_to_bytes,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): first,
        ("torch.storage", "_load_from_bytes"): _load_storage,
        ("numpy", "ndarray"): array_class,
        ("numpy", "dtype"): kind_of_number,
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = rebuild_array
        names[f"{core}.multiarray", "scalar"] = rebuild_number
        names[f"{core}.numeric", "_frombuffer"] = rebuild_from_buffer
    return names


def _load(data: bytes, names: dict[tuple[str, str], Any], persistent: Callable[[Any], Any] | None = None) -> Any:
    for operation, argument, _ in pickletools.genops(data):
        # A number under which a value is kept claims memory for all numbers below it.
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(data):
            raise pickle.UnpicklingError(f"a value is kept as number {argument}, more than the pickle has bytes")

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in names:
                raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no map needs")
            return names[module, name]

        def persistent_load(self, key: Any) -> Any:
            if persistent is None:
                raise pickle.UnpicklingError("it refers to values outside of it")
            return persistent(key)

    return Reader(io.BytesIO(data)).load()


def _load_storage(data: bytes) -> _Storage:
    """Values of one tensor, as ``torch.save`` writes them below a pickled tensor (its form before version 1.6).

    Five pickles stand before the values: a mark, the version, facts about the machine, a reference to the storage,
    and the names of the storages that follow.
    """
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError("the values of a tensor are not bytes")
    position, read = 0, []
    claimed: dict[str, tuple[str, int]] = {}
    storages = {("torch", name): (code,) for name, code in _STORAGES.items()}
    storages |= {("torch.storage", name): code for (_, name), code in storages.items()}

    def claim(key: Any) -> str:
        kind, (code,), name, _, count = key[:5]
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind!r} outside of it")
        claimed[str(name)] = (code, int(count))
        return str(name)

    for _ in range(5):
        *_, (_, _, stop) = pickletools.genops(data[position:])
        end = position + int(stop or 0) + 1
        read.append(_load(data[position:end], storages, claim))
        position = end
    magic, _, facts, asked, names = read
    if magic != _MAGIC or names != [asked] or not facts["little_endian"]:
        raise ValueError("the values of a tensor are not in the form of torch.save, little-endian, one storage")
    code, count = claimed[asked]
    (written,) = struct.unpack_from("<q", data, position)
    values = np.frombuffer(data, dtype=code, offset=position + 8)
    if not count == written <= values.size:
        raise ValueError(f"a tensor claims {count} values, but {values.size} are there")
    return _Storage(values[:count])
