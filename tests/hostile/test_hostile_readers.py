"""More than two thousand damaged and malicious files: each reader ends with a valid result or an error of the package.

The files are made from fixed seeds and read in a process of its own (:mod:`hostile_process`), with warnings as
errors, at most ten seconds a file and 6 GiB of address space.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_readers import READERS

AT_LEAST = 2000
MEMORY = 400 * 2**20


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Reader, file, how it ended, message, seconds and growth of memory, of every file."""
    folder = tmp_path_factory.mktemp("hostile")
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("hostile_process.py")), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=290, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"[")]
    assert done.returncode == 0, f"ended with {done.returncode} at {lines[-1:]}: {done.stderr[-2000:]!r}"
    assert lines[-1] == ["canary", False], "a pickle has run its code"
    return [line for line in lines if len(line) > 2]


def test_at_least_two_thousand_files_are_tried_and_every_reader_among_them(outcomes):
    assert len(outcomes) >= AT_LEAST
    assert {line[0] for line in outcomes} == {reader.name for reader in READERS}


def test_every_reader_reads_its_sound_file(outcomes):
    assert [line[:4] for line in outcomes if line[1] == "sound" and line[2] != "read"] == []


def test_no_file_ends_in_another_exception_or_takes_too_long(outcomes):
    assert [line[:4] for line in outcomes if line[2] == "fault"] == []


def test_no_file_takes_much_memory(outcomes):
    assert [line for line in outcomes if line[5] > MEMORY] == []


def test_damage_is_seen_by_every_reader_of_a_format_with_a_header(outcomes):
    refused = {line[0] for line in outcomes if line[2] == "refused"}
    assert {reader.name for reader in READERS} - refused <= {"bimcv", "montgomery"}  # whose records may say nothing


def test_messages_are_short(outcomes):
    assert [line[:2] for line in outcomes if len(line[3]) > 200_000] == []
