"""Size and speed of the 24 networks for infection: Degerli 2021, Table 8, beside the paper's numbers.

    python analysis/degerli2021_table_8.py [--repeats 3]

Parameters in millions; milliseconds a film of 224 × 224 on this machine (the paper's GPU: GeForce RTX 2080 Ti). The
paper's frozen encoders still train the scales and shifts of their batch normalisation, ours do not; its films have
three channels, its Inception-v3 no scales, and its ResNet-50 fewer normalised maps.
"""

import argparse

from patchcxr.inference.complexity import complexity_table
from patchcxr.models.published import degerli_networks
from patchcxr.report.tables import to_markdown

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="timed forward passes a network")
    options = parser.parse_args()
    print(to_markdown(complexity_table(degerli_networks(pretrained=False), 224, options.repeats).round(3)))
