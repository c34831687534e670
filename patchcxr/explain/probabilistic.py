"""Probabilistic Grad-CAM: the saliency of a film from its patches (Oh 2020, section II.C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from patchcxr.errors import ConfigError, ModelError
from patchcxr.explain.dense import dense_cam
from patchcxr.explain.gradcam import NORMALIZATIONS, class_maps, scale_maps, upsample, uses_identity
from patchcxr.explain.gradients import find_layer
from patchcxr.inference.forward import evaluating, has_closed_form
from patchcxr.inference.voting import (
    VoteConfig,
    VoteResult,
    count_votes,
    patch_batches,
    patch_centres,
    vote,
)
from patchcxr.patches.assembly import PatchAggregator
from patchcxr.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class ProbabilisticCam:
    """Saliency of a film and the vote of the same patches.

    Attributes
    ----------
    maps
        Saliency of each class asked for, float32 (C, H, W); in [0, 1] unless
        it was asked for on the raw scale. 0 where no patch lies.
    vote
        The vote over all classes.
    """

    maps: FloatArray
    vote: VoteResult


def probabilistic_grad_cam(
    model: nn.Module,
    masked_image: FloatArray,
    lung_mask: BoolArray,
    config: VoteConfig,
    rng: np.random.Generator | None = None,
    classes: Sequence[int] | None = None,
    normalization: str = "minmax",
    method: str = "auto",
    layer: nn.Module | None = None,
) -> ProbabilisticCam:
    """Probabilistic Grad-CAM of a film (Oh 2020, eq. 5).

    Each patch's Grad-CAM is weighted with the patch's probability of the
    class, and the maps are averaged over the patches that cover a pixel. A
    patch that reaches over the edge is padded with zeros, and only its inside
    counts. One forward pass a patch gives the vote and the maps of all
    classes; memory grows with ``config.batch_size``, not with the number of
    patches.

    Parameters
    ----------
    model
        Classifier of (B, 1, H, W) patches.
    masked_image
        Film x lung mask, (image_size, image_size) in [0, 1].
    lung_mask
        Lung pixels, bool, same shape.
    config
        Patches and rule of the vote.
    rng
        Source of the random centres; seeded with ``config.seed`` by default.
    classes
        Class indices to map, in this order; None maps all, and an empty
        sequence none.
    normalization
        Scale of each patch's map before it is weighted: ``minmax`` to [0, 1],
        as in the paper, ``max`` or ``none`` (see
        :func:`~patchcxr.explain.gradcam.grad_cam`).
    method, layer
        As in :func:`~patchcxr.explain.gradcam.grad_cam`.

    Raises
    ------
    EmptyLungError
        If the mask has no pixel.
    ModelError
        If a class is none of the network's, its logits are not finite, or the
        identity or a dense pass is asked for and does not hold.

    Notes
    -----
    A film or a lung smaller than a patch needs nothing of its own: patches
    are centred on lung pixels, and what they see beyond the film is zero.

    Within ``torch.autocast`` the convolutions run in its type, and all from
    the features on is kept in float32.
    """
    if normalization not in NORMALIZATIONS:
        raise ConfigError(f"normalization: got {normalization!r}; expected one of {NORMALIZATIONS}")
    size = (config.patch_size, config.patch_size)
    identity = uses_identity(model, method, layer, size)
    if classes is not None and not len(classes):
        nothing = np.zeros((0, *masked_image.shape), dtype=np.float32)
        return ProbabilisticCam(nothing, vote(model, masked_image, lung_mask, config, rng))
    if config.mode == "dense" and not identity:
        raise ModelError(
            f"got {type(model).__name__} for maps of a dense pass; expected features(), their mean and a linear head "
            "with nothing between, no layer, and a method other than 'autograd'; set vote.mode to 'sampled'"
        )
    centres = patch_centres(masked_image, lung_mask, config, rng)
    with evaluating(model), torch.inference_mode(identity), torch.set_grad_enabled(not identity):
        if config.mode == "dense":
            r, maps = dense_cam(model, masked_image, centres, config, classes, normalization)
        else:
            r, maps = _sampled_cam(model, masked_image, centres, config, classes, normalization, identity, layer)
    np.clip(maps, 0, None if normalization == "none" else 1, out=maps)  # rounding
    return ProbabilisticCam(maps, count_votes(r, centres, lung_mask, config))


def _sampled_cam(
    model: nn.Module,
    image: FloatArray,
    centres: IntArray,
    config: VoteConfig,
    classes: Sequence[int] | None,
    normalization: str,
    identity: bool,
    layer: nn.Module | None,
) -> tuple[FloatArray, FloatArray]:
    """Softmax of each patch (K, C), and eq. 5, (C', H, W)."""
    size = (config.patch_size, config.patch_size)
    aggregator: PatchAggregator | None = None
    probabilities, done = [], 0
    for patches in patch_batches(model, image, centres, config):
        if layer is None and not has_closed_form(model, size):
            layer = find_layer(model, patches)
        logits, cams = class_maps(model, patches, classes, identity, layer)
        r = logits.softmax(dim=1)  # r^c(x_k)
        wanted = r if classes is None else r[:, list(classes)]
        weighted = upsample(scale_maps(cams, size, normalization) * wanted[:, :, None, None], size)  # r^c l^c, (3)
        if aggregator is None:
            aggregator = PatchAggregator(image.shape, weighted.shape[1])
        aggregator.add(weighted.numpy(force=True), centres[done : done + len(r)])  # sum_k Q_k(r^c l^c)
        probabilities.append(r.numpy(force=True))
        done += len(r)
    assert aggregator is not None
    return np.concatenate(probabilities), aggregator.average()  # (5): the sum over K_i
