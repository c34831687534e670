"""Triage by the classifier: Oh 2020, Fig. 9, with numbers; from the predictions of a finished study.

    python analysis/oh2020_figure_9_triage.py runs/oh2020/classification/predictions.csv --positive viral
        --method local --out runs/triage

Films predicted as viral (COVID-19 among them) go to RT-PCR or CT, all others are excluded; with ``--threshold`` the
films whose uncertainty reaches it are read by a radiologist.
"""

import sys

from patchcxr.cli import main

if __name__ == "__main__":
    sys.exit(main(["triage", *(sys.argv[1:] or ["--help"])]))
