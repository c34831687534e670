"""Speed and memory of the FC-DenseNets: forward pass and training step, with and without channels last.

    python benchmarks/fcdensenet.py [--sides 128 256] [--variants 56 67 103] [--repeats 3]

Prints milliseconds a film at batch 2 (median of the repeats), and the peak
memory of the process up to each line. Compare lines of one run only.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from patchcxr.models.fcdensenet import VARIANTS, FCDenseNet

BATCH = 2


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of ``work`` in milliseconds, after one call to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def forward(network: nn.Module, films: torch.Tensor) -> torch.Tensor:
    """Logits without gradients, in evaluation mode."""
    with torch.inference_mode():
        return network.eval()(films)


def train_step(network: nn.Module, optimizer: torch.optim.Optimizer, films: torch.Tensor, labels: torch.Tensor) -> None:
    """One step of Adam on the cross-entropy."""
    optimizer.zero_grad()
    nn.functional.cross_entropy(network.train()(films), labels).backward()
    optimizer.step()


def main() -> None:
    """Print one line for each variant, side and memory format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--variants", type=int, nargs="+", default=sorted(VARIANTS))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    print(f"{torch.get_num_threads()} threads, batch {BATCH}, torch {torch.__version__}")
    print("variant  side  format          forward ms/film  step ms/film  peak MiB")
    for variant in options.variants:
        for side in options.sides:
            for memory_format in (torch.contiguous_format, torch.channels_last):
                torch.manual_seed(0)
                network = FCDenseNet(4, variant).to(memory_format=memory_format)
                films = torch.rand(BATCH, 1, side, side)
                labels = torch.randint(4, (BATCH, side, side))
                optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
                ahead = milliseconds(lambda: forward(network, films), options.repeats) / BATCH  # noqa: B023
                step = milliseconds(lambda: train_step(network, optimizer, films, labels), options.repeats) / BATCH  # noqa: B023
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                name = str(memory_format).removeprefix("torch.").removesuffix("_format")
                print(f"{variant:7d}  {side:4d}  {name:14s}  {ahead:15.0f}  {step:12.0f}  {peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()
