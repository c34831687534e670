"""A small cohort with broken films, and how it is scored in the tests."""

import shutil
from pathlib import Path

import pandas as pd

from patchcxr.data.cohort import read_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.scoring.part import fingerprints
from patchcxr.scoring.plan import Plan, ScoreConfig, open_plan

SETTINGS = ScoreConfig(vote={"patches": 4}, part_size=2)


def cohort_with_broken_films(folder: Path, films: int = 5) -> pd.DataFrame:
    """Synthetic films, the second of which is no picture and the fourth of which is gone."""
    generate_cohort(folder, SyntheticConfig(patients=films, films_per_patient_max=1, size=128))
    table = read_cohort(folder / "cohort.csv")
    Path(table.loc[1, "image"]).write_bytes(b"no picture")
    Path(table.loc[3, "image"]).unlink()
    return table


def planned(out: Path, table: pd.DataFrame, settings: ScoreConfig = SETTINGS) -> Plan:
    """Plan of a folder, begun or gone on with."""
    out.mkdir(parents=True, exist_ok=True)
    return open_plan(out, table, settings, fingerprints(settings))


def files_of(out: Path) -> dict[str, bytes]:
    """Scores, failures and maps, byte by byte."""
    kinds = ("scores", "failures", "maps")
    found = [path for kind in kinds for path in sorted((out / kind).rglob("*")) if path.is_file()]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def litter(out: Path) -> list[str]:
    """What should not be left behind."""
    return [str(path) for path in out.rglob("*") if path.name.startswith(".") or path.parent.name == "scratch"]


def forget(out: Path) -> None:
    """Begin anew."""
    shutil.rmtree(out, ignore_errors=True)
