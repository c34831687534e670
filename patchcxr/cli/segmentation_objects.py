"""Masks of a cohort as DICOM segmentation objects, for ``segment --dicom-seg`` and ``infection --dicom-seg``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from patchcxr.errors import PatchCXRError
from patchcxr.io.arrays import safe_name
from patchcxr.io.dicom_seg import Algorithm, write_dicom_seg
from patchcxr.study.steps import FAILURE_COLUMNS
from patchcxr.types import AnyArray


def save_masks_as_dicom(
    table: pd.DataFrame,
    masks_of: Callable[[str], Mapping[str, AnyArray]],
    folder: Path,
    algorithm: Algorithm | None = None,
    pseudonymise: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Write a segmentation object for every film of a cohort that is DICOM.

    Parameters
    ----------
    table
        Cohort; the columns ``study``, ``patient`` and ``image`` are used.
    masks_of
        Gives the masks of a study at the film's own size, see
        :func:`patchcxr.io.dicom_seg.write_dicom_seg`.
        One film's masks are in memory at a time.
    folder
        Where the objects are written, one ``.dcm`` a study.
    algorithm
        What drew the masks.
    pseudonymise
        Whether the cohort's ``patient`` stands for name and id in the header,
        and the film's other facts of patient and study are left out.
    progress
        Called with the films done and the films in all after each film.

    Returns
    -------
    pandas.DataFrame
        Films without an object (study, stage, error), such as those that are
        no DICOM. They do not stop the others.
    """
    failures = []
    rows = table[["study", "patient", "image"]].astype(str).itertuples(index=False, name=None)
    for done, (study, patient, image) in enumerate(rows, start=1):
        try:
            path = folder / f"{safe_name(study)}.dcm"
            write_dicom_seg(path, image, masks_of(study), algorithm, patient if pseudonymise else None)
        except PatchCXRError as error:
            failures.append((study, "dicom_seg", str(error)))
        if progress is not None:
            progress(done, len(table))
    return pd.DataFrame(failures, columns=list(FAILURE_COLUMNS))
