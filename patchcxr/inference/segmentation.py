"""Segmentation of films, and of heart and lungs in particular."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from patchcxr.errors import ConfigError, MaskError, ModelError
from patchcxr.inference.forward import as_batch, device_of, evaluating
from patchcxr.preprocessing.geometry import resize_mask
from patchcxr.preprocessing.lungfields import postprocess_lungs
from patchcxr.types import ANATOMY, AnyArray, BoolArray

ACTIVATIONS = ("softmax", "sigmoid")


def predict_probabilities(
    model: nn.Module,
    images: AnyArray,
    batch_size: int = 8,
    activation: str = "softmax",
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[npt.NDArray[np.float32]]:
    """Pixel probabilities of many films, one batch at a time.

    Memory stays that of one batch, so ``images`` may be a memory map.

    Parameters
    ----------
    model
        Segmentation network: (B, 1, H, W) to logits (B, C, H, W).
    images
        (N, H, W), floating point in [0, 1] or uint8.
    batch_size
        Films a forward pass.
    activation
        ``softmax`` over the channels, or ``sigmoid`` of each.
    progress
        Called with the films done and the films in all after each batch.

    Yields
    ------
    float32 (b, C, H, W) in [0, 1]
    """
    if activation not in ACTIVATIONS:
        raise ConfigError(f"activation: got {activation!r}; expected one of {ACTIVATIONS}")
    for start in range(0, len(images), batch_size):
        batch = as_batch(images[start : start + batch_size], device_of(model))
        with evaluating(model), torch.inference_mode():
            logits = model(batch).float()
            probabilities = logits.softmax(dim=1) if activation == "softmax" else logits.sigmoid()
        if probabilities.ndim != 4 or probabilities.shape[2:] != batch.shape[2:]:
            raise ModelError(
                f"{type(model).__name__} gives logits of shape {tuple(probabilities.shape)} for input of shape "
                f"{tuple(batch.shape)}; expected (B, C, H, W) of the input's size; use a segmentation network"
            )
        yield np.ascontiguousarray(probabilities.numpy(force=True))
        if progress is not None:
            progress(start + len(batch), len(images))


def segment_anatomy(model: nn.Module, images: AnyArray, batch_size: int = 8) -> npt.NDArray[np.uint8]:
    """Most probable structure of every pixel (Oh 2020, section II.A).

    Parameters
    ----------
    model
        Network with one channel for each name in :data:`patchcxr.types.ANATOMY`.
    images
        Prepared films (N, H, W), floating point in [0, 1] or uint8.
    batch_size
        Films a forward pass.

    Returns
    -------
    uint8 (N, H, W), indices into ``ANATOMY``
    """
    maps = []
    for probabilities in predict_probabilities(model, images, batch_size):
        if probabilities.shape[1] != len(ANATOMY):
            raise ModelError(
                f"{type(model).__name__} has {probabilities.shape[1]} classes; expected {len(ANATOMY)} "
                f"({', '.join(ANATOMY)}); load an anatomy network"
            )
        maps.append(probabilities.argmax(axis=1).astype(np.uint8))
    return np.concatenate(maps) if maps else np.zeros(np.shape(images), dtype=np.uint8)


def anatomy_masks(
    label_map: npt.NDArray[np.integer[Any]], size: int | None = None, minimum_share: float = 0.05
) -> dict[str, BoolArray]:
    """Masks of the structures in a label map, cleaned as in Tahir 2021, section 3.2.

    Holes are filled, and regions under ``minimum_share`` of a structure's
    pixels removed. The paper cleans one mask of both lungs; here each lung is
    cleaned by itself, so that lungs that touch above and below the heart do
    not close over it, and a small lung is not measured against a large one.
    The heart is cleaned alike, because the cardiothoracic ratio goes by its
    outermost pixels. The masks of heart and lungs never overlap.

    Parameters
    ----------
    label_map
        Indices into :data:`patchcxr.types.ANATOMY`, (H, W).
    size
        Side that the masks are resized to; None leaves them as they are.
    minimum_share
        Least share of a structure's pixels that a region needs, in [0, 1].

    Returns
    -------
    dict
        bool masks ``right_lung``, ``left_lung``, ``heart`` and ``lung`` (both).
        A structure that is not in the map has an empty mask.
    """
    if label_map.ndim != 2 or (label_map.size and not 0 <= label_map.min() <= label_map.max() < len(ANATOMY)):
        raise MaskError(
            f"got a label map of shape {label_map.shape} with values {np.unique(label_map)[:10].tolist()}; expected "
            f"(H, W) with 0 to {len(ANATOMY) - 1}; take one map of segment_anatomy"
        )
    labelled = {name: label_map == ANATOMY.index(name) for name in ("right_lung", "left_lung", "heart")}
    masks = {name: _cleaned(mask, minimum_share) for name, mask in labelled.items()}
    contested = masks["right_lung"] & masks["left_lung"]
    masks["right_lung"] &= ~(contested & labelled["left_lung"])
    masks["left_lung"] &= ~(contested & ~labelled["left_lung"])
    masks["lung"] = masks["right_lung"] | masks["left_lung"]
    masks["heart"] &= ~masks["lung"]
    if size is None:
        return masks
    return {name: resize_mask(mask, size) for name, mask in masks.items()}


def _cleaned(mask: BoolArray, minimum_share: float) -> BoolArray:
    return postprocess_lungs(mask, minimum_share=minimum_share) if mask.any() else np.zeros_like(mask)
