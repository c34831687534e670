"""Shared fixtures: a seeded generator and the folder of real films."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real films; the test is skipped where it is absent."""
    root = Path(os.environ.get("PATCHCXR_DATA", DEFAULT_DATA))
    if not (root / "jsrt").is_dir():
        pytest.skip(f"no real films at {root}; set PATCHCXR_DATA to their folder")
    return root
