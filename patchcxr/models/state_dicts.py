"""Weights by name, compared with those that a network has."""

from __future__ import annotations

import io
import pickle
import pickletools
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from patchcxr.errors import CheckpointError

_COSTLY: Final = (" bytearray", " _rebuild_device_tensor_from_cpu_tensor")
"""Names that torch lets a pickle call, with which a few bytes fill the memory; no weights need them."""
_OLD_PICKLES: Final = 5
"""Pickles in a file of before PyTorch 1.6: a mark, the version, the machine, the content, the storages' names."""
_MOST_WORK: Final = 20
"""Values for each byte of a pickle; ``torch.save`` writes about one."""
_GROWING: Final = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD")
"""Operations that put values into one that is there."""


def misfits(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """What is missing, unknown or of another shape, in words.

    Counters of batches may be missing, as in files of early PyTorch.

    >>> import torch
    >>> misfits({"head.weight": torch.zeros(2, 3), "tail": torch.zeros(1)}, {"head.weight": torch.zeros(4, 3)})
    ['tail is unknown', 'head.weight has shape (2, 3), expected (4, 3)']
    """
    needed = [name for name in expected if name in weights or not name.endswith("num_batches_tracked")]
    faults = [f"{name} is missing" for name in needed if name not in weights]
    faults += [f"{name} is unknown" for name in weights if name not in expected]
    faults += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in needed
        if name in weights and weights[name].shape != expected[name].shape
    ]
    return faults


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read weights by name from a file of ``torch.save`` or safetensors; no code in the file is run.

    Weights may lie below the key ``state_dict``. What is no tensor is left out.

    Raises
    ------
    CheckpointError
        If the file is missing, or not readable without running code.
    """
    content = _content(Path(path))
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path}: got a {type(content).__name__}; expected weights by name, as torch.save(model.state_dict(), …) "
            "writes them"
        )
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load

            return load(path.read_bytes())
        return load_pickled(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; set encoder_checkpoint to the file of the weights") from None
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: holds a whole pickled model, which could run code when opened, or is no file of PyTorch; "
            "where you trust it, save its weights alone, "
            "torch.save(torch.load(FILE, weights_only=False).state_dict(), NEW_FILE), and give the new file"
        ) from None
    except MemoryError:
        raise CheckpointError(f"{path}: its weights need more memory than there is; free some") from None
    except Exception as error:  # safetensors has an exception of its own that derives from Exception alone
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(
            f"{path}: not readable as a file of weights ({reason}); copy it again, or write it again with torch.save"
        ) from None


def load_pickled(path: Path) -> Any:
    """Content of a file of ``torch.save``, on the CPU; no code in the file is run.

    A small file takes little memory and time, whatever it claims: the members of a new file, a zip archive, may not be
    compressed, an old one is read from memory, and neither may hold values that unfold without end.

    Raises
    ------
    pickle.UnpicklingError
        If it asks for more than tensors, numbers, text and their collections.
    Exception
        Any other, if it is damaged or missing.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped:
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    # Read from the disk, a text that claims 4 GiB would get them before its end is missed.
    stream = io.BytesIO(path.read_bytes())
    for _ in range(_OLD_PICKLES):
        _check_pickle(stream)
    stream.seek(0)
    return torch.load(stream, map_location="cpu", weights_only=True)


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its members are compressed; expected them as torch.save writes them")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("its members claim more bytes than the file has")
        for member in members:
            if member.filename.lower().endswith("data.pkl"):
                _check_pickle(io.BytesIO(archive.read(member)))


def _check_pickle(stream: io.BytesIO) -> None:
    """Refuse a pickle whose values cost far more than its bytes account for; leaves the stream after it.

    Follows the sizes of values, not the values. A tuple that holds another one twice is twice as large, and so takes
    twice as long to hash, where it is a key, and to write into a message. Each value costs its size when it is made.
    """
    stack: list[list[int]] = []
    below: list[list[list[int]]] = []
    memo: dict[Any, list[int]] = {}
    start, work = stream.tell(), 0
    for code, argument, position in pickletools.genops(stream):
        if code.name == "GLOBAL" and str(argument).endswith(_COSTLY):
            raise pickle.UnpicklingError(f"it asks for {argument}")
        if code.name == "MARK":
            below.append(stack)
            stack = []
        elif code.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif code.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        else:
            taken: list[list[int]] = []
            needed = code.stack_before
            if pickletools.markobject in needed:
                taken, stack = stack, below.pop()
                needed = needed[: needed.index(pickletools.markobject)]
            taken = taken + [stack.pop() for _ in needed]
            holder = taken.pop() if code.name in _GROWING else [0]
            added = 1 + sum(size for (size,) in taken)
            holder[0] += added
            stack += [holder] * len(code.stack_after)
            work += added
        if work > _MOST_WORK * (int(position or 0) - start + 1):
            raise ValueError("its values unfold to far more than it has bytes")
