"""Biomarkers of a cohort and their tests: Oh 2020, Tables VI to IX and Fig. 4, on any cohort.

    python analysis/biomarker_statistics.py COHORT.csv --anatomy anatomy.safetensors --out runs/biomarkers

Without ``--anatomy`` the cohort's own masks of lungs and heart are used.
"""

import sys

from patchcxr.cli import main

if __name__ == "__main__":
    sys.exit(main(["biomarkers", *sys.argv[1:]]))
