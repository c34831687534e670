"""How often the audit tells negative, turned, flipped and lateral films, and how often it is wrong.

Run ``python benchmarks/view_checks.py COHORT.csv --laterals TABLE.csv``. COHORT holds upright frontal films; of each,
reduced to 512 pixels, an inverted copy, one turned by 90, 180 or 270 degrees, and one flipped top to bottom are made in
memory and judged by the audit's own checks. TABLE is any cohort table; its rows with a lateral view are taken. The
limits of the scores were chosen on films whose name hashes to an even number: rates are printed for both halves, and
those of the odd one count. (They are not untouched: the way of comparing was settled with all films in view, and
numbers of both halves had been seen when the limits were set.)
"""

import argparse
import dataclasses
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from patchcxr.data.audit.appearance import check_views
from patchcxr.data.audit.patients import LATERAL_VIEWS
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AuditConfig
from patchcxr.data.cohort import read_cohort
from patchcxr.io.radiograph import read_radiograph
from patchcxr.measure.appearance import appearance

SIDE = 512
FINDINGS = ("lateral-by-pixels", "inverted-by-pixels", "rotated-by-pixels", "no-chest")


def copies(pixels, number):
    """Film as it is, and the copies that the audit should tell."""
    scale = SIDE / max(pixels.shape)
    film = pixels if scale >= 1 else cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    turned = np.rot90(film, number % 3 + 1)
    return {"as it is": film, "inverted": 1 - film, "turned": turned, "flipped": film[::-1]}


def judge(films):
    """Findings by film for a table with source, image and the measures of appearance."""
    facts = films.assign(error="", bit_depth=8).reset_index(drop=True)
    names = pd.Series([str(row) for row in range(len(facts))], dtype="string")
    table = pd.DataFrame({"study": names, "source": facts["source"].astype("string")})
    empty = np.zeros((len(facts), 1, 1), dtype=np.uint8)
    scan = FilmScan(facts, empty[:, 0].astype(bool), empty, empty.astype(bool), np.zeros(len(facts), dtype=bool))
    found = {finding.check: set(finding.studies) for finding in check_views(table, scan, AuditConfig())}
    return pd.DataFrame({name: names.isin(found.get(name, set())).to_numpy() for name in FINDINGS}, index=films.index)


def measure(table):
    """One row a film and copy, with the findings."""
    rows = []
    for number, (source, image) in enumerate(table[["source", "image"]].itertuples(index=False, name=None)):
        half = int(hashlib.sha256(Path(image).name.encode()).hexdigest(), 16) % 2
        for kind, pixels in copies(read_radiograph(image).pixels, number).items():
            seen = dataclasses.asdict(appearance(np.ascontiguousarray(pixels)))
            rows.append({"source": source, "half": ("even", "odd")[half], "kind": kind, **seen})
    films = pd.DataFrame(rows)
    parts = [part.join(judge(part)) for _, part in films.groupby("kind", sort=False)]
    return pd.concat(parts)


def main():
    """Print counts and rates by half, kind and source."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort")
    parser.add_argument("--laterals", help="table with lateral views among its rows")
    options = parser.parse_args()
    films = measure(read_cohort(options.cohort, check_files=False))
    wanted = {"inverted": "inverted-by-pixels", "turned": "rotated-by-pixels", "flipped": "rotated-by-pixels"}
    for half, part in films.groupby("half"):
        print(f"{half} half, {int((part['kind'] == 'as it is').sum())} films")
        for kind, check in wanted.items():
            told = part[part["kind"] == kind].groupby("source")[check].mean()
            share = part.loc[part["kind"] == kind, check].mean()
            by_source = ", ".join(f"{name} {100 * value:.1f}" for name, value in told.items())
            print(f"  {kind}: {100 * share:.1f} % told ({by_source})")
        alone = part[part["kind"] == "as it is"]
        print("  false: " + ", ".join(f"{name} {int(alone[name].sum())}" for name in FINDINGS))
    if options.laterals:
        table = read_cohort(options.laterals, check_files=False)
        table = table[table["view"].str.upper().isin(LATERAL_VIEWS).fillna(False)]
        lateral = measure(table)
        lateral = lateral[lateral["kind"] == "as it is"]
        for half, part in lateral.groupby("half"):
            other = part[list(FINDINGS[1:])].any(axis=1) & ~part["lateral-by-pixels"]
            told = f"{int(part['lateral-by-pixels'].sum())} of {len(part)} told as such"
            print(f"lateral views, {half} half: {told}, {int(other.sum())} more as something else")


if __name__ == "__main__":
    main()
