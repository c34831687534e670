"""Films that do not belong in an adult frontal cohort."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from patchcxr.data.cohort import complete_columns
from patchcxr.data.hygiene import HygieneConfig, clean_cohort
from patchcxr.errors import ConfigError


@pytest.fixture
def cohort(tmp_path, rng):
    films = [
        np.clip(ndimage.gaussian_filter(rng.random((300, 280)), 9) * 255, 0, 255).astype(np.uint8) for _ in range(5)
    ]
    films[4] = cv2.resize(films[0], (260, 270), interpolation=cv2.INTER_AREA)
    films[3] = films[3][:200]
    rows = []
    for index, pixels in enumerate(films):
        cv2.imwrite(str(tmp_path / f"{index}.png"), pixels)
        rows.append({"study": f"s{index}", "patient": f"p{index}", "image": str(tmp_path / f"{index}.png")})
    (tmp_path / "cut.png").write_bytes((tmp_path / "0.png").read_bytes()[:400])
    rows.append({"study": "s5", "patient": "p5", "image": str(tmp_path / "cut.png")})
    table = complete_columns(pd.DataFrame(rows))
    table.loc[1, "view"], table.loc[2, "age_years"], table.loc[0, "age_years"] = "L", 17, 18
    return table


def test_each_film_is_left_out_for_its_own_reason(cohort):
    kept, dropped = clean_cohort(cohort)
    assert kept["study"].tolist() == ["s0"]
    reasons = dict(zip(dropped["study"], dropped["reason"], strict=True))
    assert reasons["s1"] == "lateral view"
    assert reasons["s2"] == "younger than 18 years"
    assert reasons["s3"] == "200 x 280 pixels, below 256"
    assert reasons["s4"] == "near-duplicate of s0"
    assert "truncated" in reasons["s5"]
    assert len(kept) + len(dropped) == len(cohort)


def test_each_rule_can_be_switched_off_and_files_are_then_not_opened(cohort):
    config = HygieneConfig(drop_lateral=False, minimum_age_years=None, minimum_side=0, drop_duplicates=False)
    kept, dropped = clean_cohort(cohort, config)
    pd.testing.assert_frame_equal(kept, cohort)
    assert dropped.empty
    kept, _ = clean_cohort(cohort, HygieneConfig(minimum_side=0, drop_duplicates=False))
    assert kept["study"].tolist() == ["s0", "s3", "s4", "s5"]
    with pytest.raises(ConfigError, match="minimum_side"):
        HygieneConfig(minimum_side=-1)
