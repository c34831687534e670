"""Classification of a film: one pass over the whole of it, or the vote of its patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from patchcxr.config import config
from patchcxr.errors import ConfigError, ImageError, MaskError, ModelError
from patchcxr.inference.forward import as_batch, device_of, evaluating, features_of, has_closed_form, pool
from patchcxr.measure.votes import winners
from patchcxr.patches.location import CoverageReport, coverage, coverage_report
from patchcxr.patches.sampling import cut_patches, dense_centres, pad_for_patches, sample_centres
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray

MODES = ("sampled", "dense")
RULES = ("majority", "mean_probability")
MOST_CPU_PIXELS: Final = 8 * 224**2
"""Pixels a forward pass on a CPU at most: the maps of more leave its cache, and a patch takes a sixth longer."""


@config
class VoteConfig:
    """How the patches of a film vote (Oh 2020, section II.B).

    Attributes
    ----------
    patches
        Number of patches K drawn in the lungs.
    patch_size
        Side of a patch in pixels.
    image_size
        Side of the square film that the patches are cut from, in pixels.
    mode
        ``sampled``: K patches drawn at random, as in the paper. ``dense``:
        every window whose centre is a lung pixel on a regular grid, from one
        pass over the whole film (see :func:`patch_features`).
    stride
        Distance between windows in ``dense`` mode, in pixels.
    batch_size
        Patches a forward pass; on a CPU at most so many as have :data:`MOST_CPU_PIXELS`.
    seed
        Seed of the draw where no generator is given.
    rule
        ``majority``: the most frequent class wins, as in the paper.
        ``mean_probability``: the class with the largest mean probability.
    """

    patches: int = 100
    patch_size: int = 224
    image_size: int = 1024
    mode: str = "sampled"
    stride: int = 32
    batch_size: int = 25
    seed: int = 0
    rule: str = "majority"

    def __post_init__(self) -> None:
        for name in ("patches", "patch_size", "image_size", "stride", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"vote.{name}: got {getattr(self, name)}; expected at least 1")
        if self.seed < 0:
            raise ConfigError(f"vote.seed: got {self.seed}; expected 0 or more")
        if self.mode not in MODES:
            raise ConfigError(f"vote.mode: got {self.mode!r}; expected one of {MODES}")
        if self.rule not in RULES:
            raise ConfigError(f"vote.rule: got {self.rule!r}; expected one of {RULES}")


@dataclass(frozen=True)
class VoteResult:
    """The vote of a film's patches.

    Attributes
    ----------
    prediction
        Class index that won.
    votes
        Patches for each class, int (C,).
    probabilities
        Softmax of each patch, float32 (K, C).
    centres
        Centre pixel of each patch, int (K, 2).
    mean_probability
        Mean of ``probabilities`` over the patches, float64 (C,).
    entropy
        Entropy of the vote shares over its largest value, log C: 0 when all
        patches agree, 1 when every class has equally many.
    margin
        Votes for the prediction minus those for the best other class, over
        K; negative only under the rule ``mean_probability``.
    coverage
        How often the patches cover the lung pixels.
    """

    prediction: int
    votes: IntArray
    probabilities: FloatArray
    centres: IntArray
    mean_probability: FloatArray
    entropy: float
    margin: float
    coverage: CoverageReport


def majority(probabilities: FloatArray) -> tuple[int, IntArray]:
    """Most frequent class of the patches (Oh 2020, section II.B).

    A patch votes for its most probable class. Among classes with equally
    many votes the one with the larger mean probability wins, and among those
    the lower index.

    Parameters
    ----------
    probabilities
        (K, C).

    Returns
    -------
    prediction, votes
        Class index, and the number of patches for each class, int (C,).

    Raises
    ------
    ModelError
        If a probability is NaN.

    Examples
    --------
    >>> majority(np.array([[0.9, 0.1], [0.2, 0.8]]))
    (0, array([1, 1]))
    """
    if np.isnan(probabilities).any():
        raise ModelError("the network gives NaN for this film; expected probabilities; check its weights and the film")
    votes = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    mean = probabilities.mean(axis=0, dtype=np.float64)
    return int(winners(votes, mean)), votes


def vote_entropy(votes: IntArray) -> float:
    """Entropy of the vote shares over log C: 0 when all agree, 1 when all classes have equally many.

    NaN for a single class, which leaves nothing to vote on.
    """
    if len(votes) < 2:
        return float("nan")
    shares = votes[votes > 0] / votes.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(votes))) + 0.0


def vote_margin(votes: IntArray, prediction: int) -> float:
    """Share of votes for ``prediction`` minus that of the best other class.

    >>> vote_margin(np.array([7, 2, 1]), 0)
    0.5
    """
    others = np.delete(votes, prediction)
    return float((votes[prediction] - others.max(initial=0)) / votes.sum())


def vote(
    model: nn.Module,
    masked_image: FloatArray,
    lung_mask: BoolArray,
    config: VoteConfig,
    rng: np.random.Generator | None = None,
) -> VoteResult:
    """Classify a film by the vote of its patches.

    Parameters
    ----------
    model
        Classifier of (B, 1, H, W) patches.
    masked_image
        Film x lung mask, (image_size, image_size) in [0, 1].
    lung_mask
        Lung pixels, bool, same shape.
    config
        Patches and rule.
    rng
        Source of the random centres; seeded with ``config.seed`` by default.

    Raises
    ------
    EmptyLungError
        If the mask has no pixel.
    ImageError, MaskError
        If a shape or an intensity does not fit.
    """
    centres = patch_centres(masked_image, lung_mask, config, rng)
    with evaluating(model), torch.inference_mode():
        if has_closed_form(model, (config.patch_size, config.patch_size)):
            batches = (pool(model, features) for features in patch_features(model, masked_image, centres, config))
        else:
            batches = (model(patches) for patches in patch_batches(model, masked_image, centres, config))
        probabilities = torch.cat([logits.float().softmax(dim=1) for logits in batches])
    return count_votes(probabilities.numpy(force=True), centres, lung_mask, config)


def count_votes(probabilities: FloatArray, centres: IntArray, lung_mask: BoolArray, config: VoteConfig) -> VoteResult:
    """Decide from the probabilities (K, C) of patches at ``centres``, by ``config.rule``."""
    prediction, votes = majority(probabilities)
    mean = probabilities.mean(axis=0, dtype=np.float64)
    if config.rule == "mean_probability":
        prediction = int(mean.argmax())
    return VoteResult(
        prediction=prediction,
        votes=votes,
        probabilities=probabilities,
        centres=centres,
        mean_probability=mean,
        entropy=vote_entropy(votes),
        margin=vote_margin(votes, prediction),
        coverage=coverage_report(coverage(centres, config.patch_size, lung_mask.shape), lung_mask),
    )


def patch_centres(
    masked_image: FloatArray, lung_mask: BoolArray, config: VoteConfig, rng: np.random.Generator | None = None
) -> IntArray:
    """Centres of the patches that ``config`` asks for, int (K, 2), after a check of the film and mask."""
    expected = (config.image_size, config.image_size)
    if masked_image.shape != expected:
        raise ImageError(
            f"masked_image has shape {masked_image.shape}; expected {expected} from vote.image_size; resize the film "
            "with preprocessing.geometry.resize_image, or set vote.image_size"
        )
    if lung_mask.shape != expected:
        raise MaskError(
            f"lung_mask has shape {lung_mask.shape} but the film has {expected}; "
            "resize the mask with preprocessing.geometry.resize_mask"
        )
    if config.mode == "dense":
        return dense_centres(lung_mask, config.stride)
    return sample_centres(lung_mask, config.patches, np.random.default_rng(config.seed) if rng is None else rng)


def patch_batches(model: nn.Module, image: FloatArray, centres: IntArray, config: VoteConfig) -> Iterator[Tensor]:
    """Patches as network input, (b, 1, size, size), at most ``batch_size`` at a time, in the order of ``centres``."""
    if config.mode == "dense":
        raise ModelError(
            f"dense voting needs a network with features() and a linear head; got {type(model).__name__}; "
            "set vote.mode to 'sampled'"
        )
    device = device_of(model)
    size = patches_a_pass(config, device)
    for start in range(0, len(centres), size):
        part = centres[start : start + size]
        yield as_batch(cut_patches(image, part, config.patch_size), device)


def patches_a_pass(config: VoteConfig, device: torch.device) -> int:
    """Patches a forward pass.

    >>> patches_a_pass(VoteConfig(patch_size=224, batch_size=25), torch.device("cpu"))
    8
    >>> patches_a_pass(VoteConfig(patch_size=112, batch_size=25), torch.device("cpu"))
    25
    """
    if device.type != "cpu":
        return config.batch_size
    return min(config.batch_size, max(1, MOST_CPU_PIXELS // config.patch_size**2))


def patch_features(model: nn.Module, image: FloatArray, centres: IntArray, config: VoteConfig) -> Iterator[Tensor]:
    """Features of the patches of a pooled-linear classifier, (b, F, h, w), batch by batch.

    In ``dense`` mode one pass over the film gives the features of all
    windows, and each window is cut out of them. Such a window sees the film
    around it where a patch cut from the film sees the zeros that the
    convolutions pad with, so its probabilities differ from those of the
    patch, and by how much depends on the network: measure the agreement
    before relying on it.
    """
    if config.mode == "sampled":
        for patches in patch_batches(model, image, centres, config):
            yield features_of(model, patches)
        return
    features, places, cell = film_features(model, image, centres, config)
    side = config.patch_size // cell
    windows = features.unfold(1, side, 1).unfold(2, side, 1)
    for part in places.split(config.batch_size):
        yield windows[:, part[:, 0], part[:, 1]].transpose(0, 1)


def film_features(
    model: nn.Module, image: FloatArray, centres: IntArray, config: VoteConfig
) -> tuple[Tensor, Tensor, int]:
    """Features of a film from one pass over the part of it that the windows at ``centres`` cover.

    Returns
    -------
    features, places, cell
        (F, h, w); the upper left feature of each window, int (K, 2); and the
        pixels of the film a feature.

    Raises
    ------
    ModelError
        If the windows do not lie on the grid of the features.
    """
    size, first, last = config.patch_size, centres.min(axis=0), centres.max(axis=0)
    region = pad_for_patches(image, size)[first[0] : last[0] + size, first[1] : last[1] + size]
    features = features_of(model, as_batch(region, device_of(model)))[0]
    cell = round(region.shape[0] / features.shape[1])
    if size % cell or config.stride % cell or features.shape[1] * cell != region.shape[0]:
        raise ModelError(
            f"dense voting got patch_size {size} and stride {config.stride} for a network with one feature every "
            f"{cell} pixels; expected multiples of {cell}; change them, or set vote.mode to 'sampled'"
        )
    return features, torch.from_numpy((centres - first) // cell).to(features.device), cell


def classify_global(
    model: nn.Module, masked_images: AnyArray, size: int | None = None, batch_size: int = 16
) -> FloatArray:
    """Class probabilities of whole masked films (Oh 2020, section II.B, global approach).

    Parameters
    ----------
    model
        Classifier of (B, 1, H, W) films.
    masked_images
        Film x lung mask, (N, H, W) in [0, 1] or uint8.
    size
        Side that the films are resized to first, 224 in the paper; None
        leaves them as they are.
    batch_size
        Films a forward pass.

    Returns
    -------
    float32 (N, C)
    """
    probabilities = []
    for start in range(0, len(masked_images), batch_size):
        batch = masked_images[start : start + batch_size]
        if size is not None:
            batch = np.stack([resize_image(_unit(image), size) for image in batch])
        with evaluating(model), torch.inference_mode():
            probabilities.append(model(as_batch(batch, device_of(model))).float().softmax(dim=1).numpy(force=True))
    return np.concatenate(probabilities)


def _unit(image: AnyArray) -> FloatArray:
    return np.divide(image, 255, dtype=np.float32) if image.dtype == np.uint8 else np.asarray(image, dtype=np.float32)
