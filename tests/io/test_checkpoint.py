"""Weights files: what is read back, and what is refused."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from patchcxr.errors import CheckpointError
from patchcxr.io.checkpoint import FORMAT_VERSION, load_weights, save_weights


def test_weights_and_description_come_back(tmp_path):
    weights = {"a": torch.arange(24.0).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last), "n": torch.tensor(3)}
    save_weights(tmp_path / "folder" / "w.safetensors", weights, {"classes": ["normal"], "size": 8})
    loaded, description = load_weights(tmp_path / "folder" / "w.safetensors")
    assert {name: torch.equal(loaded[name], weights[name]) for name in loaded} == {"a": True, "n": True}
    assert description == {"format_version": FORMAT_VERSION, "classes": ["normal"], "size": 8}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.ones(1)}, {})
    with pytest.raises(CheckpointError, match="plain"):
        save_weights(path, {"a": torch.zeros(1)}, {"module": object()})
    assert float(load_weights(path)[0]["a"]) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was opened')",))


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_is_refused_and_never_opened(tmp_path, writer):
    path = tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps(Bomb())) if writer == "pickle" else torch.save({"a": Bomb()}, path)
    with pytest.raises(CheckpointError, match="is a pickle"):
        load_weights(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such file"):
        load_weights(tmp_path / "none.safetensors")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="give the path of a weights file"):
        load_weights(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"not a weights file", None])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.ones(1000)}, {})
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_weights(path)


@pytest.mark.parametrize("metadata", [None, {"patchcxr": "{"}, {"patchcxr": "[]"}, {"patchcxr": "{}"}])
def test_a_file_without_description_is_refused(tmp_path, metadata):
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match="has no patchcxr description"):
        load_weights(tmp_path / "w.safetensors")


def test_a_newer_format_asks_for_an_update(tmp_path):
    metadata = {"patchcxr": json.dumps({"format_version": FORMAT_VERSION + 1})}
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match=f"reads up to {FORMAT_VERSION}; update patchcxr"):
        load_weights(tmp_path / "w.safetensors")
