"""Probabilistic Grad-CAM: the saliency of a film from its patches (Oh 2020, section II.C)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from patchcxr.errors import ConfigError
from patchcxr.explain.gradcam import (
    NORMALIZATIONS,
    forward_with_features,
    gradient_map,
    normalize,
    pooled_linear_maps,
    upsample,
    uses_identity,
)
from patchcxr.inference.forward import evaluating, pool
from patchcxr.inference.voting import (
    VoteConfig,
    VoteResult,
    count_votes,
    patch_batches,
    patch_centres,
    patch_features,
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
    """
    if normalization not in NORMALIZATIONS:
        raise ConfigError(f"normalization: got {normalization!r}; expected one of {NORMALIZATIONS}")
    identity = uses_identity(model, method, layer)
    if classes is not None and not len(classes):
        nothing = np.zeros((0, *masked_image.shape), dtype=np.float32)
        return ProbabilisticCam(nothing, vote(model, masked_image, lung_mask, config, rng))

    centres = patch_centres(masked_image, lung_mask, config, rng)
    aggregator: PatchAggregator | None = None
    probabilities, done = [], 0
    with evaluating(model), torch.inference_mode(identity), torch.set_grad_enabled(not identity):
        for logits, cams in _patch_cams(model, masked_image, centres, config, classes, identity, layer):
            r = logits.softmax(dim=1)  # r^c(x_k)
            cam = normalize(upsample(cams, (config.patch_size, config.patch_size)), normalization)  # l^c(x_k), (3)
            weighted = cam.mul_((r if classes is None else r[:, list(classes)])[:, :, None, None])
            if aggregator is None:
                aggregator = PatchAggregator(masked_image.shape, weighted.shape[1])
            aggregator.add(weighted.numpy(force=True), centres[done : done + len(r)])  # sum_k Q_k(r^c l^c)
            probabilities.append(r.numpy(force=True))
            done += len(r)
    assert aggregator is not None
    maps = aggregator.average()  # (5): the sum over K_i
    return ProbabilisticCam(maps, count_votes(np.concatenate(probabilities), centres, lung_mask, config))


def _patch_cams(
    model: nn.Module,
    image: FloatArray,
    centres: IntArray,
    config: VoteConfig,
    classes: Sequence[int] | None,
    identity: bool,
    layer: nn.Module | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (b, C) and Grad-CAM at feature resolution (b, classes, u, v) of the patches, batch by batch."""
    if identity:
        for features in patch_features(model, image, centres, config):
            logits = pool(model, features)
            yield logits, pooled_linear_maps(model, features, _indices(classes, logits)[None])
        return
    for patches in patch_batches(model, image, centres, config):
        logits, features = forward_with_features(model, patches, layer)
        maps = [
            gradient_map(logits, features, c.expand(len(logits)), retain_graph=True) for c in _indices(classes, logits)
        ]
        yield logits.detach(), torch.stack(maps, dim=1)


def _indices(classes: Sequence[int] | None, logits: Tensor) -> Tensor:
    wanted = range(logits.shape[1]) if classes is None else classes
    return torch.as_tensor(list(wanted), dtype=torch.long, device=logits.device)
