"""Pickles of tensors, read without running what they say.

A pickle is a program: its operations build values, name functions, call them
and set the state of what they return. This module carries out only the
operations that a dictionary of tensors, arrays, numbers and text needs, one by
one, on values that it can vouch for:

- A name stands for a function of this module; every other name is refused.
- Only a list grows, only a dictionary gets entries, and its keys are text.
- Arrays are read-only and look at bytes, which nothing can change or free.
- Only what :class:`_Unfinished` stands for takes a state, and NumPy never sees one.
- Operations, and bytes that are read again, are limited in number.

Tensors become NumPy arrays, on whatever device they were, and PyTorch is not needed.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
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
_NUMBERS: Final = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_MOST_OPERATIONS: Final = 20_000  # a map with its film takes a few hundred
_LONGEST_KEY: Final = 1000
_MOST_AXES: Final = 32  # of NumPy 1
DAMAGED: Final = (
    pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    MemoryError, BufferError, SystemError, RuntimeError, struct.error, DeprecationWarning,
)  # fmt: skip
"""What reading a damaged or hostile pickle may raise; the warning, where warnings are errors, by a text of Python 2."""


class _Storage(NamedTuple):
    """Values that tensors may look at; a pickle can neither make nor change one."""

    values: AnyArray


class _Unfinished:
    """A kind of number or an array whose state is still to come; ``made`` of it, once it has come."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make
        self.made: Any = self


def load_tensors(data: bytes) -> Any:
    """Object of a pickle made of dictionaries, lists, numbers, text, tensors and arrays; tensors become arrays.

    Raises
    ------
    pickle.UnpicklingError
        If it asks for anything else; the message says what.
    Exception
        One of :data:`DAMAGED`, if it is damaged.
    """
    reader = _Reader(2 * len(data))  # at most, all of it is text that stands for bytes, and these are tensors' values
    names = {
        "collections.OrderedDict": _ordered,
        "_codecs.encode": reader.text_to_bytes,
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        "torch._utils._rebuild_parameter": _first,
        "torch.storage._load_from_bytes": reader.load_storage,
        "numpy.ndarray": _array_class,
        "numpy.dtype": _kind_of_number,
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray._reconstruct"] = _rebuild_array
        names[f"{core}.multiarray.scalar"] = _rebuild_number
        names[f"{core}.numeric._frombuffer"] = _rebuild_from_buffer
    return reader.run(io.BytesIO(data), names)


class _Reader:
    """Carries out a pickle and those inside its tensors; what all of them together may cost is limited."""

    def __init__(self, bytes_left: int) -> None:
        self.bytes_left = bytes_left
        self.operations_left = _MOST_OPERATIONS

    def run(self, stream: io.BytesIO, names: dict[str, Any], refer: Callable[[Any], str] | None = None) -> Any:
        """What the next pickle of a stream makes; ``refer`` takes its references to values outside of it."""
        stack: list[Any] = []
        marks: list[int] = []
        kept: dict[int, Any] = {}
        argument: Any

        def since(start: int) -> list[Any]:
            values = stack[start:]
            del stack[start:]
            return values

        def last(count: int) -> list[Any]:
            if count > len(stack):
                raise ValueError("an operation lacks its values")
            return since(len(stack) - count)

        for operation, argument, _ in pickletools.genops(stream):
            self.operations_left -= 1
            if self.operations_left < 0:
                raise pickle.UnpicklingError(f"it has more than {_MOST_OPERATIONS} operations")
            match operation.name:
                case "PROTO" | "FRAME":
                    pass
                case "INT" | "BININT" | "BININT1" | "BININT2" | "LONG" | "LONG1" | "FLOAT" | "BINFLOAT":
                    stack.append(argument)
                case "UNICODE" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES":
                    stack.append(argument)
                case "NONE":
                    stack.append(None)
                case "NEWTRUE" | "NEWFALSE" as name:
                    stack.append(name == "NEWTRUE")
                case "BYTEARRAY8":
                    stack.append(bytes(argument))
                case "MARK":
                    marks.append(len(stack))
                case "EMPTY_TUPLE":
                    stack.append(())
                case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                    stack.append(tuple(last(int(name[-1]))))
                case "TUPLE":
                    stack.append(tuple(since(marks.pop())))
                case "LIST":
                    stack.append(since(marks.pop()))
                case "EMPTY_LIST":
                    stack.append([])
                case "APPEND":
                    values = last(1)
                    _grow(stack[-1], values)
                case "APPENDS":
                    values = since(marks.pop())
                    _grow(stack[-1], values)
                case "DICT":
                    stack.append(_enter({}, since(marks.pop())))
                case "EMPTY_DICT":
                    stack.append({})
                case "SETITEM":
                    values = last(2)
                    _enter(stack[-1], values)
                case "SETITEMS":
                    values = since(marks.pop())
                    _enter(stack[-1], values)
                case "PUT" | "BINPUT" | "LONG_BINPUT":
                    if not 0 <= argument < _MOST_OPERATIONS:  # larger ones can be chosen to make a table slow
                        raise pickle.UnpicklingError("a value is kept under a number beyond all operations")
                    kept[argument] = stack[-1]
                case "MEMOIZE":
                    kept[len(kept)] = stack[-1]
                case "GET" | "BINGET" | "LONG_BINGET":
                    value = kept[argument]
                    stack.append(value.made if isinstance(value, _Unfinished) else value)
                case "GLOBAL":
                    stack.append(_named(names, *argument.split(" ", 1)))
                case "STACK_GLOBAL":
                    stack.append(_named(names, *last(2)))
                case "REDUCE":
                    function, arguments = last(2)
                    if type(arguments) is not tuple:
                        raise pickle.UnpicklingError("a function is called with something other than arguments")
                    stack.append(function(*arguments))
                case "BUILD":
                    begun, state = last(2)
                    if not isinstance(begun, _Unfinished):
                        raise pickle.UnpicklingError(f"it sets the state of {type(begun).__name__}")
                    begun.made = begun.make(state)
                    stack.append(begun.made)
                case "BINPERSID" if refer is not None:
                    stack.append(refer(stack.pop()))
                case "STOP":
                    return stack.pop()
                case _:
                    raise pickle.UnpicklingError(f"it has the operation {operation.name}, which no map needs")

    def spend(self, count: int) -> None:
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise pickle.UnpicklingError("its tensors read the same bytes again and again")

    def text_to_bytes(self, text: Any, _encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str):
            raise pickle.UnpicklingError(f"bytes written as {type(text).__name__}, not as text")
        self.spend(len(text))
        return text.encode("latin1")

    def load_storage(self, data: Any) -> _Storage:
        """Values of one tensor, as ``torch.save`` writes them below a pickled tensor (its form before version 1.6).

        Five pickles stand before the values: a mark, the version, facts about the machine, a reference to the
        storage, and the names of the storages that follow.
        """
        if not isinstance(data, bytes):
            raise pickle.UnpicklingError("the values of a tensor are not bytes")
        self.spend(len(data))
        storages = {f"{module}.{name}": name for name in _STORAGES for module in ("torch", "torch.storage")}
        claimed: list[tuple[str, str, int]] = []

        def claim(key: Any) -> str:
            match key:
                case (str("storage"), str(kind), str(name), _, int(count), *_) if kind in _STORAGES:
                    claimed.append((name, _STORAGES[kind], count))
                    return name
            raise pickle.UnpicklingError("it refers to values outside of it")

        stream = io.BytesIO(data)
        magic, _, facts, asked, names = (self.run(stream, storages, claim) for _ in range(5))
        little = isinstance(facts, dict) and facts.get("little_endian") is True
        if magic != _MAGIC or not little or len(claimed) != 1 or names != [claimed[0][0]] or asked != claimed[0][0]:
            raise ValueError("the values of a tensor are not in the form of torch.save, little-endian, one storage")
        _, code, count = claimed[0]
        (written,) = struct.unpack_from("<q", data, stream.tell())
        values = np.frombuffer(data, dtype=code, offset=stream.tell() + 8)
        if not 0 <= count == written <= values.size:
            raise ValueError(f"a tensor claims {count} values, but {values.size} are there")
        return _Storage(values[:count])


def _named(names: dict[str, Any], module: Any, name: Any) -> Any:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise pickle.UnpicklingError("it asks for something whose name is no text")
    if f"{module}.{name}" not in names:
        raise pickle.UnpicklingError(f"it asks for {f'{module}.{name}'[:100]!r}, which no map needs")
    return names[f"{module}.{name}"]


def _grow(held: Any, values: list[Any]) -> None:
    if type(held) is not list:
        raise pickle.UnpicklingError(f"it adds values to {type(held).__name__}, which is no list")
    held.extend(values)


def _enter(held: Any, entries: list[Any]) -> dict[str, Any]:
    if type(held) is not dict:
        raise pickle.UnpicklingError(f"it adds entries to {type(held).__name__}, which is no dictionary")
    for key, value in zip(entries[::2], entries[1::2], strict=True):
        if not isinstance(key, str) or len(key) > _LONGEST_KEY:  # to hash a nested tuple may never come to an end
            raise pickle.UnpicklingError(f"a dictionary has {type(key).__name__} for a key; expected a short text")
        held[key] = value
    return held


def _whole_numbers(value: Any) -> bool:
    return type(value) is tuple and len(value) <= _MOST_AXES and all(type(number) is int for number in value)


def _ordered() -> dict[str, Any]:
    return {}


def _first(value: Any, *_: Any) -> Any:
    return value


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> AnyArray:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor of something that holds no values")
    if not (type(offset) is int and _whole_numbers(size) and _whole_numbers(stride)):
        raise pickle.UnpicklingError("a tensor whose offset, shape and steps are not whole numbers")
    values = storage.values
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= values.size):
        raise ValueError(f"a tensor of shape {size} reaches beyond its {values.size} values")
    steps = [step * values.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(values[offset:], size, steps, writeable=False)


def _array_class(*_: Any) -> Any:
    raise pickle.UnpicklingError("an array that is made of nothing")


def _kind_of_number(code: Any, *_: Any) -> _Unfinished:
    if not isinstance(code, str) or code not in _NUMBERS:
        what = repr(code[:100]) if isinstance(code, str) else type(code).__name__
        raise pickle.UnpicklingError(f"an array of {what}, which is no kind of number")

    def make(state: Any) -> np.dtype[Any]:
        match state:
            case (int(3), str("<" | ">" | "|" as order), None, None, None, int(-1), int(-1), int(0)):
                return np.dtype(order + code)
        raise pickle.UnpicklingError("a kind of number whose state is more than its byte order")

    return _Unfinished(make)


def _rebuild_array(kind: Any, *_: Any) -> _Unfinished:
    if kind is not _array_class:
        raise pickle.UnpicklingError("an array of an unknown class")

    def make(state: Any) -> AnyArray:
        match state:
            case (int(1), shape, number, bool(by_column), values):
                return _rebuild_from_buffer(values, number, shape, "F" if by_column else "C")
        raise pickle.UnpicklingError("an array whose state is not its shape, kind, order and values")

    return _Unfinished(make)


def _rebuild_from_buffer(values: Any, kind: Any, shape: Any, order: Any, axes: Any = None) -> AnyArray:
    if not (isinstance(values, bytes) and isinstance(kind, np.dtype) and _whole_numbers(shape)):
        raise pickle.UnpicklingError("an array that is not made of bytes, a kind of number and a shape")
    if min(shape, default=0) < 0:
        raise ValueError(f"an array has the shape {shape}")
    array = np.frombuffer(values, dtype=kind)
    match order:
        case str("C" | "F"):
            return array.reshape(shape, order="F" if order == "F" else "C")
        case str("K") if _whole_numbers(axes):  # neither by row nor by column; newer NumPy writes it so
            return array.reshape(shape).transpose(axes)
    raise pickle.UnpicklingError("an array whose order is none that NumPy writes")


def _rebuild_number(kind: Any, value: Any) -> Any:
    return _rebuild_from_buffer(value, kind, (), "C")[()]
