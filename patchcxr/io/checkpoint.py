"""Weights with their description in one safetensors file.

A safetensors file holds numbers and text only: reading one runs no code, as
reading a pickle may.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from patchcxr.errors import CheckpointError
from patchcxr.io.atomic import write_bytes_atomically

FORMAT_VERSION = 1
_KEY = "patchcxr"
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def save_weights(path: str | Path, weights: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write weights and their description; a reader never sees half of the file.

    Parameters
    ----------
    path
        File to write; its folder is made.
    weights
        Tensors by name, as ``state_dict`` gives them.
    description
        Values that JSON can hold. ``format_version`` is added.

    Raises
    ------
    CheckpointError
        If the description is not made of plain values.
    """
    try:
        text = json.dumps({"format_version": FORMAT_VERSION, **description}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the description of {path} cannot be written as JSON ({error}); give plain, finite values only"
        ) from None
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    write_bytes_atomically(path, save(tensors, metadata={_KEY: text}))


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights and their description.

    Returns
    -------
    tuple
        Tensors by name, on the CPU, and the description with its ``format_version``.

    Raises
    ------
    CheckpointError
        If the file is missing, is no safetensors file (a pickle is never
        opened), has no description, or was written in a newer format.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise CheckpointError(f"{path}: {reason}; give the path of a weights file (.safetensors)") from None
    except ValueError as error:
        raise CheckpointError(f"{str(path)!r}: no possible file name ({error}); correct the path") from None
    if start.startswith(_PICKLE_STARTS):
        raise CheckpointError(
            f"{path}: is a pickle (a .pt, .pth or .ckpt file of PyTorch), which could run code when opened; "
            "expected a .safetensors file written by patchcxr"
        )
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error}); copy it again, or train the network again"
        ) from None
    return weights, _description(path, metadata)


def _description(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    try:
        description = json.loads(metadata[_KEY])
        version = description["format_version"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CheckpointError(
            f"{path}: has no patchcxr description (classes, image size, preprocessing); "
            "expected a file written by patchcxr.models.trained.save_model"
        ) from None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: has format version {version!r}, this patchcxr reads up to {FORMAT_VERSION}; update patchcxr"
        )
    return description
