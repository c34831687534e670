"""FC-DenseNet against a plain implementation that concatenates at every layer: time, memory and numbers.

    python benchmarks/fcdensenet.py [--variant 103] [--side 256] [--repeats 7] [--training] [--bf16]

Each repeat times the three in turn, so that other work on the machine meets all of them; the ratios are those of a
repeat, with their median and quartiles. ``plain`` is PyTorch's default memory format, ``plain, channels last`` the
same with that format. Processor time leaves out the moments in which other programs ran. Memory is the growth of the
process's resident set during one pass, each in a process of its own (Linux). With ``--training``, dropout is off, so
that all three compute the same.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from patchcxr.models.fcdensenet import VARIANTS, FCDenseNet

KINDS = ("plain", "plain, channels last", "ours")
CLASSES = 4


def plain_block(block: nn.Module, x: Tensor) -> Tensor:
    """A dense block, with a concatenation for each layer."""
    for layer in block.layers:
        x = torch.cat([x, layer(x)], dim=1)
    return x


def plain_forward(network: FCDenseNet, films: Tensor) -> Tensor:
    """Jégou's network as it is written down, from the same layers."""
    x = network.first((films - network.standardize.mean) / network.standardize.std)
    skips = []
    for block, down in zip(network.down_blocks, network.downs, strict=True):
        skips.append(plain_block(block, x))
        x = down(skips[-1])
    block = network.bottleneck
    x = plain_block(block, x)
    for up, above in zip(network.ups, network.up_blocks, strict=True):
        x = plain_block(above, up(x[:, block.channels :], skips.pop()))
        block = above
    return network.head(x)


def make(kind: str, options: argparse.Namespace) -> Callable[[int], Tensor]:
    """One pass of a kind on films of a side; gives the logits."""
    torch.manual_seed(0)
    network = FCDenseNet(CLASSES, options.variant, dropout=0.0).train(options.training)
    if kind != "plain":
        network = network.to(memory_format=torch.channels_last)

    def forward(films: Tensor) -> Tensor:
        return network(films) if kind == "ours" else plain_forward(network, films)

    def run(side: int) -> Tensor:
        torch.manual_seed(1)
        films = torch.rand(options.batch, 1, side, side)
        if kind == "plain, channels last":
            films = films.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16) if options.bf16 else contextlib.nullcontext():
            if not options.training:
                with torch.inference_mode():
                    return forward(films)
            network.zero_grad()
            logits = forward(films)
        labels = torch.randint(CLASSES, (options.batch, side, side))
        nn.functional.cross_entropy(logits.float(), labels).backward()
        return logits.detach()

    return run


def _resident(field: str) -> float:
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def _peak(kind: str, options: argparse.Namespace, answer: multiprocessing.Queue) -> None:
    run = make(kind, options)
    run(64)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    run(options.side)
    answer.put(_resident("VmHWM") - before)


def peak_mebibytes(kind: str, options: argparse.Namespace) -> float:
    """Largest growth of the resident set during one pass, in a new process."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_peak, args=(kind, options, answer))
    process.start()
    peak = answer.get(timeout=600)
    process.join()
    return peak


def main() -> None:
    """Print times, memory and differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", type=int, choices=sorted(VARIANTS), default=103)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--training", action="store_true", help="forward and backward pass instead of evaluation")
    parser.add_argument("--bf16", action="store_true", help="under autocast to bfloat16")
    options = parser.parse_args()

    passes = {kind: make(kind, options) for kind in KINDS}
    logits = {kind: run(options.side) for kind, run in passes.items()}
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for _ in range(options.repeats):
        for kind, run in passes.items():
            start, busy = time.perf_counter(), time.process_time()
            run(options.side)
            times[kind].append((time.perf_counter() - start, time.process_time() - busy))
    peaks = {kind: peak_mebibytes(kind, options) for kind in KINDS}

    work = "step" if options.training else "evaluation"
    print(
        f"FC-DenseNet{options.variant}, {options.side} × {options.side}, batch {options.batch}, {work}, "
        f"{'bfloat16' if options.bf16 else 'float32'}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print("ours / each: median and quartiles of the repeats")
    seconds = {kind: np.array(pairs) for kind, pairs in times.items()}
    largest = float(logits["plain"].float().abs().max())
    for kind in KINDS:
        wall, busy = np.quantile(seconds["ours"] / seconds[kind], [0.5, 0.25, 0.75], axis=0).T
        difference = float((logits[kind].float() - logits["ours"].float()).abs().max()) / largest
        print(
            f"{kind:20s}  {np.median(seconds[kind][:, 0]):7.2f} s: {wall[0]:.2f} ({wall[1]:.2f} to {wall[2]:.2f})"
            f"   processor {np.median(seconds[kind][:, 1]):7.2f} s: {busy[0]:.2f} ({busy[1]:.2f} to {busy[2]:.2f})"
            f"   peak {peaks[kind]:5.0f} MiB: {peaks['ours'] / peaks[kind]:.2f}"
            f"   largest difference {difference:.0e} of the largest logit"
        )


if __name__ == "__main__":
    main()
