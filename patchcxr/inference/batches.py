"""Where a network runs, how many films it takes at a time, and reading the next films while it works."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from patchcxr.errors import ConfigError, ModelError
from patchcxr.inference.forward import device_of, evaluating

S = TypeVar("S")
T = TypeVar("T")
log = logging.getLogger(__name__)

AUTO: Final = "auto"
MOST_FILMS: Final = {"cpu": 8, "cuda": 128, "mps": 32}
"""Films a forward pass at most: beyond these a pass takes more memory, and no less time a film."""

USED_SHARE: Final = 0.5
"""Share of the free memory that a first guess may fill."""

UNKNOWN_MEMORY: Final = 2 * 1024**3
"""Bytes taken as free where the system does not tell."""

_OUT_OF_MEMORY: Final = re.compile(r"out of memory|allocate memory|not enough memory|ALLOC_FAILED", re.IGNORECASE)


def choose_device(name: str = AUTO) -> torch.device:
    """Device by name: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto`` for the fastest that is there.

    Raises
    ------
    ConfigError
        If the name is unknown, or the machine has no such device.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    have = ["cpu"]
    if torch.cuda.is_available():
        have += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        have.append("mps")
    if name == AUTO:
        return torch.device("cuda" if "cuda" in have else have[-1])
    if name not in have:
        raise ConfigError(f"device: got {name!r}; expected {AUTO} or one that this machine has: {', '.join(have)}")
    return torch.device(name)


class BatchSize:
    """How many films a forward pass takes; halved, for good, whenever memory runs out.

    Parameters
    ----------
    size
        Films to begin with.

    Raises
    ------
    ConfigError
        If it is below 1.

    Examples
    --------
    >>> room = BatchSize(8)
    >>> room.forward(lambda part: part + 1, torch.zeros(3, 1)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ConfigError(f"batch size: got {size}; expected at least 1, or {AUTO}")
        self.size = size

    def forward(self, network: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        """Output of a network for a batch, in as many passes as memory asks for.

        Raises
        ------
        ModelError
            If memory does not suffice for one film.
        """
        parts: list[Tensor] = []
        start = 0
        while start < len(batch):
            part = self._attempt(network, batch[start : start + self.size])
            if part is None:
                self._halve()
            else:
                parts.append(part)
                start += len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @staticmethod
    def _attempt(network: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor | None:
        """Output, or None if memory ran out; what the failed pass held is free once this has returned."""
        try:
            return network(batch)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            return None

    def _halve(self) -> None:
        if self.size == 1:
            raise ModelError(
                "memory does not suffice for one film; free some, choose another --device, or a smaller network"
            )
        self.size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        log.info("memory ran out; going on with %d films at a time", self.size)


def as_batch_size(size: int | BatchSize) -> BatchSize:
    """A batch size that can shrink, from a number."""
    return size if isinstance(size, BatchSize) else BatchSize(size)


def _is_out_of_memory(error: RuntimeError) -> bool:
    """CUDA has a class for it; the CPU, MPS and cuDNN raise a RuntimeError that says so."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def fitting_batch(model: nn.Module, side: int, size: int | str = AUTO) -> BatchSize:
    """Batch size as asked for, or a first guess from the free memory of the network's device.

    The guess runs one black film through the network and adds up all that its
    modules give, which is more than is held at any time.

    Parameters
    ----------
    model
        Network on its device.
    side
        Of its films, in pixels.
    size
        Films, or ``auto``.
    """
    if size != AUTO:
        return BatchSize(int(size))
    device = device_of(model)
    most = MOST_FILMS.get(device.type, MOST_FILMS["cpu"])
    guess = int(USED_SHARE * free_memory(device) / max(bytes_of_a_film(model, side), 1))
    return BatchSize(min(max(guess, 1), most))


def bytes_of_a_film(model: nn.Module, side: int) -> int:
    """Bytes of all tensors that the modules of a network give for one film: an upper bound of what it needs.

    Networks with a leaner way for evaluation, such as FC-DenseNet, are counted by their plain one.
    """
    total = 0

    def count(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal total
        if isinstance(output, Tensor):
            total += output.numel() * output.element_size()

    leaves = [module for module in model.modules() if not list(module.children())]
    with contextlib.ExitStack() as stack:
        for leaf in leaves:
            stack.callback(leaf.register_forward_hook(count).remove)
        stack.enter_context(evaluating(model))
        # With gradients on, networks take their plain way; weights without gradients keep nothing for them.
        stack.enter_context(torch.enable_grad())
        weights = {name: weight.detach() for name, weight in model.named_parameters()}
        functional_call(model, weights, torch.zeros(1, 1, side, side, device=device_of(model)))
    return total


def free_memory(device: torch.device) -> int:
    """Free bytes of a device; on the CPU those of the machine or, if less, of the container it runs in."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    bounds = []
    with contextlib.suppress(ValueError, OSError, AttributeError):
        bounds.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(ValueError, OSError):
        limit, used = (int(Path("/sys/fs/cgroup", f"memory.{name}").read_text()) for name in ("max", "current"))
        bounds.append(max(limit - used, 0))
    return min(bounds, default=UNKNOWN_MEMORY)


def read_ahead(load: Callable[[S], T], parts: Iterable[S]) -> Iterator[T]:
    """``load(part)`` of each part in order; the next is loaded in a thread while the caller works on this one.

    An error of ``load`` is raised where its result would have come.

    Examples
    --------
    >>> list(read_ahead(str.upper, ["a", "b"]))
    ['A', 'B']
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as pool:
        waiting: Future[T] | None = None
        for part in parts:
            following = pool.submit(load, part)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
