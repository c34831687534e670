"""Sanity checks of saliency (Adebayo 2018): whether a map changes when what it should depend on changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata
from torch import nn

from patchcxr.errors import MaskError, ModelError
from patchcxr.types import AnyArray, BoolArray, FloatArray

T = TypeVar("T")
TOP_SHARE = 0.1
FEWEST_STEPS = 5


class MapSimilarity(NamedTuple):
    """How alike two maps are; NaN where one is constant on the pixels compared, or none is left.

    Attributes
    ----------
    spearman
        Rank correlation in [-1, 1].
    ssim
        Structural similarity (Wang 2004) of the maps, each divided by its
        maximum; mean over the pixels compared.
    top_overlap
        Share of the top tenth of the pixels of one map that is in the top
        tenth of the other; 0.1 by chance.
    """

    spearman: float
    ssim: float
    top_overlap: float


def map_similarity(first: FloatArray, second: FloatArray, within: BoolArray | None = None) -> MapSimilarity:
    """Compare two saliency maps of one film.

    Parameters
    ----------
    first, second
        Maps (H, W), not negative; NaN where a map has no value (no patch lies
        there), and such pixels are left out.
    within
        Pixels compared, bool (H, W): the lungs, so that what both maps leave
        out does not count as agreement. None takes all.

    Raises
    ------
    MaskError
        If the shapes differ, or no pixel is left.

    Examples
    --------
    >>> ramp = np.arange(400.0).reshape(20, 20)
    >>> tuple(round(float(value), 6) for value in map_similarity(ramp, ramp))
    (1.0, 1.0, 1.0)
    """
    inside = np.ones(first.shape, dtype=bool) if within is None else np.asarray(within, dtype=bool)
    if not first.shape == second.shape == inside.shape or not inside.any():
        raise MaskError(
            f"got maps of shape {first.shape} and {second.shape} and {np.count_nonzero(inside)} pixels of a mask of "
            f"shape {inside.shape}; expected one shape and at least one pixel; resize them first"
        )
    inside = inside & np.isfinite(first) & np.isfinite(second)
    a, b = (np.nan_to_num(np.asarray(found, dtype=np.float64)) for found in (first, second))
    x, y = a[inside], b[inside]
    if not x.size or x.min() == x.max() or y.min() == y.max():
        return MapSimilarity(float("nan"), float("nan"), float("nan"))
    top = max(1, round(TOP_SHARE * x.size))
    shared = np.intersect1d(_highest(x, top), _highest(y, top), assume_unique=True).size
    ssim = float(_ssim(a / a.max(), b / b.max())[inside].mean())
    return MapSimilarity(float(np.corrcoef(rankdata(x), rankdata(y))[0, 1]), ssim, shared / top)


def _highest(values: FloatArray, count: int) -> AnyArray:
    return np.argsort(values, kind="stable")[-count:]


def _ssim(a: FloatArray, b: FloatArray) -> FloatArray:
    """Structural similarity at each pixel for a data range of 1 (Wang 2004, eq. 13, Gaussian window of 11 pixels)."""

    def local(values: FloatArray) -> FloatArray:
        smooth: FloatArray = gaussian_filter(values, 1.5, truncate=3.5)
        return smooth

    c1, c2, ma, mb = 0.01**2, 0.03**2, local(a), local(b)
    variance = local(a * a) - ma**2 + local(b * b) - mb**2
    covariance = local(a * b) - ma * mb
    return np.asarray((2 * ma * mb + c1) * (2 * covariance + c2) / ((ma**2 + mb**2 + c1) * (variance + c2)))


def seed_agreement(maps: Sequence[FloatArray], within: BoolArray | None = None) -> float:
    """Mean rank correlation of all pairs of maps of one film, each from another draw of patches.

    Raises
    ------
    MaskError
        If there are fewer than two maps, or they do not fit.
    """
    if len(maps) < 2:
        raise MaskError(f"got {len(maps)} maps to compare; expected two or more; draw the patches with more seeds")
    return float(np.mean([map_similarity(a, b, within).spearman for a, b in combinations(maps, 2)]))


def cascade_steps(model: nn.Module) -> dict[str, list[nn.Module]]:
    """Weighted modules by part of the network, from the head backwards.

    Parts are the shortest prefixes of the modules' names that give at least
    five parts: ``head``, ``layer4``, ... ``conv1`` of a ResNet. The order is
    that in which the network defines its modules, reversed.

    Raises
    ------
    ModelError
        If the network has no weights.
    """
    weighted = [(name, module) for name, module in model.named_modules() if list(module.parameters(recurse=False))]
    if not weighted:
        raise ModelError(f"{type(model).__name__} has no weights; there is nothing to randomise")
    deepest = max(name.count(".") for name, _ in weighted) + 1
    for depth in range(1, deepest + 1):
        steps: dict[str, list[nn.Module]] = {}
        for name, module in reversed(weighted):
            steps.setdefault(".".join(name.split(".")[:depth]), []).append(module)
        if len(steps) >= FEWEST_STEPS:
            break
    return steps


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """Give a network its weights and running statistics back, whatever happens to them in between."""
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        yield
    finally:
        model.load_state_dict(kept)


def randomise(modules: Sequence[nn.Module], seed: int) -> None:
    """Draw the weights of modules anew, as they were before training.

    Modules that can reset themselves do (and their running statistics with
    them); other weights are drawn from a normal distribution of their own
    mean and standard deviation. The global random state stays as it was.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in modules:
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for weight in module.parameters(recurse=False):
                weight.normal_(float(weight.mean()), float(weight.std(correction=0)))


def cascade(model: nn.Module, explain: Callable[[], T], seed: int = 0) -> dict[str, T]:
    """Explain with more and more of the network randomised, from the head backwards (Adebayo 2018, section 3).

    A map that hardly changes does not depend on what the network learned.

    Parameters
    ----------
    model
        Network; it has its weights back afterwards, also after an error.
    explain
        Called for each step, while the network is randomised down to it.
    seed
        Of the weights drawn.

    Returns
    -------
    dict
        What ``explain`` gave, by the part of the network that was randomised
        last; ``original`` comes first.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    >>> list(cascade(network, lambda: 0))
    ['original', '1', '0']
    """
    found = {"original": explain()}
    with restored(model):
        for index, (name, modules) in enumerate(cascade_steps(model).items()):
            randomise(modules, seed + index)
            found[name] = explain()
    return found
