"""Files are whole or absent."""

from __future__ import annotations

import os
import stat

import pytest

from patchcxr.io.atomic import write_bytes_atomically


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
