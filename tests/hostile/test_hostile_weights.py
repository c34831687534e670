"""Files of weights and of a training's state that claim, unfold to or ask for more than they hold."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile_bombs import description
from torch import nn

from patchcxr.errors import CheckpointError, ModelError, TrainingError
from patchcxr.io.checkpoint import load_weights
from patchcxr.models import trained
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.state_dicts import read_state_dict
from patchcxr.models.trained import TrainedModel, load_model, save_model
from patchcxr.training.fit import LAST, Session
from patchcxr.training.recipe import TrainConfig

EMPTY = b"\x80\x02}."
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
EXPANDED = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K\x00(K\x09t(K\x00t\x89}tR"


def doubled(start: bytes, pair: bytes) -> bytes:
    """A value that holds the one before it twice, 60 times over: 2 to the power of 60 values."""
    return start + b"".join(b"q" + bytes([number]) + pair.replace(b"?", bytes([number])) for number in range(60))


UNFOLDING = {
    "key": b"\x80\x02}" + doubled(b")", b"h?\x86") + b"Ns.",
    "one of several keys": b"\x80\x02}(K\x01N" + doubled(b")", b"h?\x86") + b"Nu.",
    "name of a storage": b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    + doubled(b")", b"h?\x86")
    + b"X\x03\x00\x00\x00cpuK\x04tQ.",
    "function": b"\x80\x02" + doubled(b")", b"h?\x86") + b")R.",
    "lists in a message": b"\x80\x02" + doubled(b"]", b"](h?h?e") + b")R.",
}


def archive(pickled: bytes, how: int = zipfile.ZIP_STORED, storage: bytes = bytes(16)) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as file:
        for name, data in {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little", "data/0": storage}.items():
            file.writestr(f"archive/{name}", data)
    return stream.getvalue()


def old(content: bytes) -> bytes:
    """A file as PyTorch wrote them before 1.6, with another pickle in place of its content."""
    stream = io.BytesIO()
    torch.save({}, stream, _use_new_zipfile_serialization=False)
    assert stream.getvalue().count(b"\x80\x02}q\x00.") == 1
    return stream.getvalue().replace(b"\x80\x02}q\x00.", content)


def session(folder: Path) -> Session:
    return Session(nn.Linear(3, 2), TrainConfig(), folder, "s")


def sound_state(folder: Path) -> dict[str, Any]:
    return {"settings": "s", "module": nn.Linear(3, 2).state_dict(), "record": session(folder).record.state()}


READ_ALL = """
import json, signal, sys
from pathlib import Path
from patchcxr.errors import CheckpointError
from patchcxr.models.state_dicts import read_state_dict

signal.setitimer(signal.ITIMER_PROF, 5)  # of processor time; ends the process, which hears nothing while it hashes
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(json.dumps(path.name), flush=True)
    try:
        read_state_dict(path)
    except CheckpointError as error:
        print(json.dumps(str(error)), flush=True)
"""


def test_values_that_unfold_without_end_are_refused_at_once(tmp_path):
    for name, pickled in UNFOLDING.items():
        for kind, data in {"new": archive(pickled), "old": old(pickled)}.items():
            (tmp_path / f"{name}, {kind}.pt").write_bytes(data)
    command = [sys.executable, "-c", READ_ALL, str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended with {done.returncode} at {lines[-1:]}: {done.stderr[-2000:]!r}"
    assert len(lines) == 2 * 2 * len(UNFOLDING)
    assert [message for message in lines[1::2] if "unfold to far more" not in message] == []


def test_values_that_are_shared_or_nested_as_in_sound_files_are_read(tmp_path):
    key, weight = ("a", (1, 2)), torch.arange(6.0).reshape(2, 3)
    shared = {"weight": weight, "same": weight, "again": nn.Parameter(weight), "half": weight.half()}
    groups = [{"betas": (0.9, 0.999), "params": list(range(700))}] * 40
    content = {"state_dict": shared, "ema": shared, "groups": groups, "pairs": {key: key}, "rows": [{"a": 0.5}] * 5000}
    for new in (True, False):
        torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=new)
        read = read_state_dict(tmp_path / "w.pt")
        assert {name: tuple(value.shape) for name, value in read.items()} == dict.fromkeys(shared, (2, 3))
        assert torch.equal(read["same"], weight)


@pytest.mark.parametrize("inflating", ["pickle", "storage"])
def test_compressed_members_of_an_archive_are_refused_before_they_are_inflated(tmp_path, inflating):
    long = bytes(1_000_000)
    data = archive(EMPTY + long, 8) if inflating == "pickle" else archive(EMPTY, 8, long)
    assert len(data) < 10_000
    (tmp_path / LAST).write_bytes(data)
    with pytest.raises(CheckpointError, match="members are compressed"):
        read_state_dict(tmp_path / LAST)
    with pytest.raises(TrainingError, match=r"last\.ckpt: not a readable checkpoint .*members are compressed"):
        session(tmp_path).resume()


def test_members_that_share_their_bytes_are_refused(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", EMPTY)
        file.writestr("archive/data/0", bytes(1000))
        file.filelist += [file.getinfo("archive/data/0")] * 5
    (tmp_path / "w.pt").write_bytes(stream.getvalue())
    with pytest.raises(CheckpointError, match="claim more bytes than the file has"):
        read_state_dict(tmp_path / "w.pt")


@pytest.mark.parametrize(
    "call",
    [
        b"c__builtin__\nbytearray\n(J\x00\x00\x01\x00tR",
        b"cbuiltins\nbytearray\n(J\x00\x00\x01\x00tR",
        b"ctorch._utils\n_rebuild_device_tensor_from_cpu_tensor\n("
        + EXPANDED
        + b"ctorch\nfloat64\nX\x03\x00\x00\x00cpu\x89tR",
    ],
)
def test_calls_that_fill_the_memory_are_refused(tmp_path, call):
    (tmp_path / "w.pt").write_bytes(archive(b"\x80\x02}X\x01\x00\x00\x00a" + call + b"s."))
    with pytest.raises(CheckpointError, match="holds a whole pickled model"):
        read_state_dict(tmp_path / "w.pt")


def test_a_tensor_that_repeats_one_value_takes_no_memory(tmp_path):
    (tmp_path / "w.pt").write_bytes(archive(b"\x80\x02}X\x01\x00\x00\x00a" + EXPANDED + b"s."))
    assert read_state_dict(tmp_path / "w.pt")["a"].tolist() == [0] * 9


def test_an_old_file_is_given_no_memory_for_a_text_that_it_only_claims(tmp_path):
    (tmp_path / "w.pth").write_bytes(old(b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"abc"))
    with pytest.raises(CheckpointError, match=r"4294967295 bytes .*remain"):
        read_state_dict(tmp_path / "w.pth")


def test_old_files_are_read_from_memory_and_new_ones_from_the_disk(tmp_path, monkeypatch):
    given, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda source, **options: given.append(type(source)) or load(source, **options))
    for new in (True, False):
        torch.save({"a": torch.ones(2)}, tmp_path / "w.pt", _use_new_zipfile_serialization=new)
        assert read_state_dict(tmp_path / "w.pt")["a"].tolist() == [1, 1]
    assert given == [type(tmp_path), io.BytesIO]


@pytest.mark.parametrize(("raised", "said"), [(MemoryError, "more memory than there is"), (IndexError, "IndexError")])
def test_whatever_torch_raises_names_the_file(tmp_path, monkeypatch, raised, said):
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pt")

    def load(*_, **__):
        raise raised

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(CheckpointError, match=rf"w\.pt: .*{said}"):
        read_state_dict(tmp_path / "w.pt")


def test_a_folder_is_no_file_of_weights(tmp_path):
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_state_dict(tmp_path)


@pytest.mark.parametrize("data", [b"", b"0", b"X\1\2", b"\x80\x02J", b"PK\x03\x04", b"cx\xe9\nb\n.", archive(b"X\1")])
def test_a_damaged_state_of_a_training_is_named(tmp_path, data):
    (tmp_path / LAST).write_bytes(data)
    with pytest.raises(TrainingError, match=r"last\.ckpt: not a readable checkpoint .*delete it"):
        session(tmp_path).resume()


@pytest.mark.parametrize(
    "changed",
    [
        {"record": None},
        {"record": [1]},
        {"record": {"rows": 5, "best_epoch": 0, "best_value": 0.0, "waited": 0}},
        {"record": {"rows": ["a"], "best_epoch": 0, "best_value": 0.0, "waited": 0}},
        {"module": None},
        {"module": {}},
        {"module": nn.Linear(4, 2).state_dict()},
        {"module": {1: torch.zeros(1)}},
    ],
)
def test_a_state_of_a_training_with_other_content_is_named(tmp_path, changed):
    torch.save(sound_state(tmp_path) | changed, tmp_path / LAST)
    with pytest.raises(TrainingError, match=r"last\.ckpt: does not hold the state of a training .*delete it"):
        session(tmp_path).resume()


@pytest.mark.parametrize("missing", ["settings", "record", "module", "all"])
def test_a_state_of_a_training_that_lacks_something_is_named(tmp_path, missing):
    state = sound_state(tmp_path)
    torch.save(
        torch.zeros(3) if missing == "all" else {k: v for k, v in state.items() if k != missing}, tmp_path / LAST
    )
    with pytest.raises(TrainingError, match=r"last\.ckpt: .*delete it to train from the start"):
        session(tmp_path).resume()


def test_nobody_is_told_to_delete_a_state_because_the_file_server_is_away(tmp_path, monkeypatch):
    torch.save(sound_state(tmp_path), tmp_path / LAST)

    def away(*_, **__):
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(torch, "load", away)
    with pytest.raises(OSError, match="Transport endpoint is not connected"):
        session(tmp_path).resume()


@pytest.mark.parametrize("place", [(torch, "load"), (nn.Module, "load_state_dict")])
def test_a_training_can_be_interrupted_while_it_is_resumed(tmp_path, monkeypatch, place):
    torch.save(sound_state(tmp_path), tmp_path / LAST)
    session(tmp_path).resume()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(*place, interrupted)
    with pytest.raises(KeyboardInterrupt):
        session(tmp_path).resume()


@pytest.mark.parametrize(
    "model",
    [
        {"architecture": "resnet18", "num_classes": 100_000},
        {"architecture": "resnet18", "num_classes": 1, "hidden": 100_000},
        {"architecture": "compact_unet", "num_classes": 100_000},
    ],
)
def test_a_network_of_other_sizes_than_its_weights_is_refused_before_it_is_made(tmp_path, monkeypatch, model):
    path, devices = tmp_path / "m.safetensors", set()
    path.write_bytes(description(model=model)())

    def create(*given, **options):
        module = create_model(*given, **options)
        devices.update(parameter.device.type for parameter in module.parameters())
        return module

    monkeypatch.setattr(trained, "create_model", create)
    with pytest.raises(CheckpointError, match=r"m\.safetensors: the weights do not fit"):
        load_model(path)
    assert devices == {"meta"}


def test_more_classes_than_names_are_refused_although_the_weights_fit(tmp_path):
    path, config = tmp_path / "m.safetensors", ModelConfig(architecture="compact_unet", num_classes=2)
    save_model(path, TrainedModel(create_model(config, seed=0), config, ("a", "b"), 64))
    path.write_bytes(path.read_bytes().replace(rb"[\"a\", \"b\"]", rb"[\"a, b\"]    "))
    with pytest.raises(CheckpointError, match="1 class names"):
        load_model(path)


@pytest.mark.parametrize("fault", [RuntimeError("no values"), ModelError("no values")])
def test_a_network_that_a_library_cannot_make_without_values_is_read(tmp_path, monkeypatch, fault):
    path, config = tmp_path / "m.safetensors", ModelConfig(architecture="compact_unet", num_classes=1)
    module = create_model(config, seed=3)
    save_model(path, TrainedModel(module, config, ("a",), 64))

    def create(*given, **options):
        if torch.empty(0).device.type == "meta":
            raise fault
        return create_model(*given, **options)

    monkeypatch.setattr(trained, "create_model", create)
    read = load_model(path).module.state_dict()
    assert all(torch.equal(read[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize("name", ["a\0b.safetensors", "a\ud800b.safetensors"])
def test_a_name_that_no_file_can_have_is_refused_in_words(tmp_path, name):
    for read in (load_weights, read_state_dict, load_model):
        with pytest.raises(CheckpointError, match=r"no possible file name|copy it again"):
            read(tmp_path / name)
