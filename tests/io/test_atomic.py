"""Files are whole or absent."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest
from power_loss import disk

from patchcxr.io.arrays import ArrayFolder
from patchcxr.io.atomic import sync_tree, without_waiting, write_bytes_atomically


def test_an_existing_file_is_replaced_and_nothing_is_left_over(tmp_path):
    write_bytes_atomically(tmp_path / "a" / "file", b"old")
    write_bytes_atomically(tmp_path / "a" / "file", b"new")
    assert (tmp_path / "a" / "file").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_an_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    write_bytes_atomically(tmp_path / "file", b"old")

    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_permissions_follow_the_umask_as_for_any_other_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes_atomically(tmp_path / "atomic", b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")]
    assert modes[0] == modes[1]


def test_what_was_written_outlives_a_loss_of_power_unless_it_need_not(tmp_path):
    with disk() as machine:
        write_bytes_atomically(tmp_path / "kept", b"bytes")
        write_bytes_atomically(tmp_path / "cheap", b"bytes", durable=False)
        ArrayFolder(tmp_path / "arrays").save("film", np.arange(3))
        with without_waiting():
            ArrayFolder(tmp_path / "scratch").save("film", np.arange(3))
            write_bytes_atomically(tmp_path / "scratch" / "record", b"bytes")
        (tmp_path / "tables").mkdir()
        (tmp_path / "tables" / "a.csv").write_text("1")
        sync_tree(tmp_path / "tables")
        (tmp_path / "tables" / "b.csv").write_text("2")
    assert machine.lose_power(tmp_path) == ["cheap", "scratch/film.npy", "scratch/record", "tables/b.csv"]
    assert (tmp_path / "cheap").read_bytes() == b""
    assert (tmp_path / "kept").read_bytes() == b"bytes"


def test_the_bytes_are_on_the_disk_before_they_have_their_name_and_the_name_before_all_that_follows(
    tmp_path, monkeypatch
):
    said, replace = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: said.append(stat.S_ISDIR(os.fstat(handle).st_mode)))
    monkeypatch.setattr(os, "replace", lambda *names: (said.append("replace"), replace(*names)))
    write_bytes_atomically(tmp_path / "file", b"bytes")
    assert said == [False, "replace", True]
