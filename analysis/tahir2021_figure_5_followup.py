"""Follow-up of a patient over days: Tahir 2021, Fig. 5b, on any cohort with days.

    python analysis/tahir2021_figure_5_followup.py COHORT.csv --shares infection.csv --patient ID --out DIR

``--shares`` is the table that ``patchcxr infection`` writes; without it the readers' masks of the cohort are used.
Without ``--patient`` the patients with films of several days are listed.
"""

import sys

from patchcxr.cli import main

if __name__ == "__main__":
    sys.exit(main(["followup", *(sys.argv[1:] or ["--help"])]))
