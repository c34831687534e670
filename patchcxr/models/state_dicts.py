"""Weights by name, compared with those that a network has."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from patchcxr.errors import CheckpointError


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
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; set encoder_checkpoint to the file of the weights") from None
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: holds a whole pickled model, which could run code when opened, or is no file of PyTorch; "
            "where you trust it, save its weights alone, "
            "torch.save(torch.load(FILE, weights_only=False).state_dict(), NEW_FILE), and give the new file"
        ) from None
    except MemoryError:  # a damaged file of torch's old format may claim any size
        raise CheckpointError(
            f"{path}: asks for more memory than there is; a file of {path.stat().st_size:,} bytes that does is damaged "
            "(copy it again) unless its weights are indeed larger than the memory"
        ) from None
    except Exception as error:  # safetensors has an exception of its own that derives from Exception alone
        raise CheckpointError(f"{path}: not readable as a file of weights ({error}); copy it again") from None
