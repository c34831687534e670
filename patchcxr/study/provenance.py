"""What the results in a folder were made with, so that those of two networks or settings are never mixed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import torch

from patchcxr.config import fingerprint, to_dict
from patchcxr.errors import ConfigError
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.models.trained import TrainedModel

NETWORK: Final = "network.json"


def network_fingerprint(model: TrainedModel) -> str:
    """Sixteen hexadecimal digits that change with any weight, class, size or preprocessing of a network."""
    digest = hashlib.sha256()
    for name, value in sorted(model.module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return fingerprint(digest.hexdigest(), to_dict(model.config), model.classes, model.image_size, model.preprocessing)


def claim_folder(folder: Path, model: TrainedModel) -> None:
    """Note in a folder which network its arrays are of; on the next call, check that it is the same.

    Raises
    ------
    ConfigError
        If the folder holds the results of another network.
    """
    mark, name = folder / NETWORK, network_fingerprint(model)
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))["fingerprint"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        write_bytes_atomically(mark, json.dumps({"fingerprint": name, "model": to_dict(model.config)}).encode())
        return
    if found != name:
        raise ConfigError(
            f"{folder} holds the results of another network (fingerprint {found}, this one has {name}); "
            "give another --out, or delete the folder"
        )


def settings_since(path: Path, settings: Any) -> int:
    """When the settings noted in a file were first used, in nanoseconds; other settings are noted anew.

    Whatever is older was made with other settings and is to be made again.
    """
    text = json.dumps({"fingerprint": fingerprint(settings), "settings": to_dict(settings)}, default=str).encode()
    if not path.is_file() or path.read_bytes() != text:
        write_bytes_atomically(path, text)
    return path.stat().st_mtime_ns
