"""Size and speed of the 15 networks for lungs and infection: Tahir 2021, Table 4, beside the paper's numbers.

    python analysis/tahir2021_table_4.py [--repeats 3]

Parameters in millions; milliseconds a film of 256 × 256 on this machine.
"""

import argparse

from patchcxr.inference.complexity import complexity_table
from patchcxr.models.published import tahir_networks
from patchcxr.report.tables import to_markdown

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="timed forward passes a network")
    options = parser.parse_args()
    table = complexity_table(tahir_networks(pretrained=False), 256, options.repeats)
    print(to_markdown(table.drop(columns=["frozen", "non_trainable_paper"]).round(3)))
