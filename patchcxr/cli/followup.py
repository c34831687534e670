"""``followup``: the course of one patient as a table and a figure (Tahir 2021, Fig. 5b)."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from patchcxr.cli.options import filled, finish, open_cohort
from patchcxr.errors import CohortError
from patchcxr.io.arrays import ArrayFolder
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.followup import FollowUpFilm, followup_figure
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.style import save_figure
from patchcxr.report.tables import write_table
from patchcxr.study.evaluate.followup import course, dated_patients, films_of_patient, reader_lungs, reader_shares
from patchcxr.study.reading import as_film

SIZE = 512
INFECTED = 0.5


def followup(options: argparse.Namespace) -> int:
    """Write ``followup.csv`` and the figure of one patient.

    ``options.shares`` is the ``infection.csv`` of ``patchcxr infection``: its
    shares make the curve, and the maps beside it are drawn. Without it the
    curve and the overlay are those of the cohort's own masks. Without
    ``options.patient`` the patients with films of several days are listed.
    """
    out, table = Path(options.out), open_cohort(options.cohort)
    if options.patient is None:
        patients = dated_patients(table)
        if patients.empty:
            raise CohortError(f"{options.cohort}: no patient has films of two days; fill in the column days")
        print(patients.to_string(index=False))
        print("give one of them by --patient")
        return 0
    films = films_of_patient(table, options.patient)
    store = FilmStore(out / "films", SIZE, PreprocessConfig(equalize=False, gamma=1))
    failures = filled(films, [store])
    films = films[~films["study"].isin(failures["study"])].reset_index(drop=True)
    readers = reader_shares(store, list(films["study"]))
    if options.shares is None:
        if readers.empty:
            raise CohortError(
                f"patient {options.patient!r} has no film with masks of lungs and infection; give --shares "
                "infection.csv, which patchcxr infection writes"
            )
        visits, source = course(films, readers), "readers' masks"
    else:
        visits, source = course(films, read_table(options.shares), readers), "predicted"
    maps = None if options.shares is None else ArrayFolder(Path(options.shares).parent / "probability")
    shown = {str(study): _film(store, str(study), maps) for study in films["study"]}
    write_table(visits, out / "followup", kinds=("csv", "md"))
    save_figure(followup_figure(visits, shown, source), out / "followup")
    return finish(failures, out, len(visits), "follow-up")


def _film(store: FilmStore, study: str, maps: ArrayFolder | None) -> FollowUpFilm:
    """Film at its own aspect, with the predicted infection where maps are given, else the readers'."""
    lungs, infection = reader_lungs(store, study), None
    both = None if lungs is None else lungs[0] | lungs[1]
    if maps is not None and study in maps:
        infection = resize_mask(np.asarray(maps.load(study)) >= INFECTED, SIZE)
    elif maps is None and store.has(study, "infection"):
        infection = store.mask(study, "infection")
    if infection is not None and both is not None:
        infection = infection & both
    rows, columns = store.source_shape(study)
    shape = max(1, round(SIZE * rows / max(rows, columns))), max(1, round(SIZE * columns / max(rows, columns)))
    film = resize_image(as_film(store.film(study)), shape)
    return FollowUpFilm(film, *(None if mask is None else resize_mask(mask, shape) for mask in (infection, both)))
