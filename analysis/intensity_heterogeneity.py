"""Grey levels of lungs and heart before and after normalisation: Oh 2020, Fig. 11, on any cohort.

    python analysis/intensity_heterogeneity.py COHORT.csv --by source --anatomy anatomy.safetensors --out runs/intensity

Without ``--anatomy`` the cohort's own masks of lungs and heart are used.
"""

import sys

from patchcxr.cli import main

if __name__ == "__main__":
    sys.exit(main(["intensity", *sys.argv[1:]]))
