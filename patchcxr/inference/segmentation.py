"""Segmentation of films, and of heart and lungs in particular."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from patchcxr.errors import ConfigError, MaskError, ModelError
from patchcxr.inference.batches import BatchSize, as_batch_size
from patchcxr.inference.forward import as_batch, device_of, evaluating
from patchcxr.preprocessing.geometry import resize_mask
from patchcxr.preprocessing.lungfields import postprocess_lungs
from patchcxr.types import ANATOMY, PARTITION, AnyArray, BoolArray

ACTIVATIONS = ("softmax", "sigmoid")
BEHIND_HEART: Final = {"left_lung": "left_lung_behind_heart", "right_lung": "right_lung_behind_heart"}
"""The part of each lung that ``PARTITION`` tells apart."""


def predict_probabilities(
    model: nn.Module,
    images: AnyArray,
    batch_size: int | BatchSize = 8,
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
        Films a forward pass; halved where memory runs out.
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
    room = as_batch_size(batch_size)

    def network(batch: Tensor) -> Tensor:
        logits = model(batch).float()
        return logits.softmax(dim=1) if activation == "softmax" else logits.sigmoid()

    start = 0
    while start < len(images):
        batch = as_batch(images[start : start + room.size], device_of(model))
        with evaluating(model), torch.inference_mode():
            probabilities = room.forward(network, batch)
        if probabilities.ndim != 4 or probabilities.shape[2:] != batch.shape[2:]:
            raise ModelError(
                f"{type(model).__name__} gives logits of shape {tuple(probabilities.shape)} for input of shape "
                f"{tuple(batch.shape)}; expected (B, C, H, W) of the input's size; use a segmentation network"
            )
        yield np.ascontiguousarray(probabilities.numpy(force=True))
        start += len(batch)
        if progress is not None:
            progress(start, len(images))


def segment_partition(model: nn.Module, images: AnyArray, batch_size: int | BatchSize = 8) -> npt.NDArray[np.uint8]:
    """Most probable structure of every pixel (Oh 2020, section II.A), with both conventions of lungs in one label map.

    Left lung, right lung and all that is heart are those of JSRT's convention,
    lungs that end at the heart; heart that is lung where lungs are drawn whole
    is ``left_lung_behind_heart`` or ``right_lung_behind_heart``
    (:func:`structure_mask` reads either). A network of ``ANATOMY`` finds
    neither; the map of one of ``PARTITION`` is cleaned by :func:`keep_one_heart`.

    Parameters
    ----------
    model
        Network with one channel for each name in :data:`patchcxr.types.ANATOMY`
        or in :data:`patchcxr.types.PARTITION`.
    images
        Prepared films (N, H, W), floating point in [0, 1] or uint8.
    batch_size
        Films a forward pass.

    Returns
    -------
    uint8 (N, H, W), indices into ``PARTITION``

    Raises
    ------
    ModelError
        If the network has other classes.
    """
    maps = []
    for probabilities in predict_probabilities(model, images, batch_size):
        labels = merge_partition(probabilities).argmax(axis=1).astype(np.uint8)
        if probabilities.shape[1] == len(PARTITION):
            whole = merge_partition(probabilities, whole_lungs=True).argmax(axis=1)
            heart = labels == ANATOMY.index("heart")
            for side, behind in BEHIND_HEART.items():
                labels[heart & (whole == ANATOMY.index(side))] = PARTITION.index(behind)
            for film in labels:
                keep_one_heart(film)
        maps.append(labels)
    return np.concatenate(maps) if maps else np.zeros(np.shape(images), dtype=np.uint8)


def keep_one_heart(labels: npt.NDArray[np.uint8]) -> None:
    """Leave a film its largest region of heart; what is called lung behind the heart elsewhere is lung. In place.

    Opacities at the border of a lung look like a heart in front of it; they do
    not touch the heart.

    Parameters
    ----------
    labels
        Indices into ``PARTITION``, (H, W).
    """
    heart = np.isin(labels, [PARTITION.index(name) for name in ("heart", *BEHIND_HEART.values())])
    count, regions, stats, _ = cv2.connectedComponentsWithStats(heart.astype(np.uint8), connectivity=8)
    if count <= 2:
        return
    stray = heart & (regions != 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))
    for side, behind in BEHIND_HEART.items():
        labels[stray & (labels == PARTITION.index(behind))] = ANATOMY.index(side)
    labels[stray & (labels == ANATOMY.index("heart"))] = ANATOMY.index("background")


def merge_partition(probabilities: npt.NDArray[np.float32], whole_lungs: bool = False) -> npt.NDArray[np.float32]:
    """Probabilities of :data:`patchcxr.types.ANATOMY` (B, 4, H, W) from those of it or of ``PARTITION`` (B, 6, H, W).

    Raises
    ------
    ModelError
        If there are other numbers of channels, or whole lungs are asked of a
        network that does not know the part behind the heart.
    """
    channels = probabilities.shape[1]
    if channels not in (len(ANATOMY), len(PARTITION)):
        raise ModelError(
            f"the network has {channels} classes; expected {len(ANATOMY)} ({', '.join(ANATOMY)}) "
            f"or {len(PARTITION)} ({', '.join(PARTITION)}); load an anatomy network"
        )
    if channels == len(ANATOMY):
        if whole_lungs:
            raise ModelError(
                f"whole lungs need a network of {len(PARTITION)} classes ({', '.join(PARTITION)}); this one has "
                f"{channels}; train one with anatomy.whole_lungs, or do without the part behind the heart"
            )
        return probabilities
    merged = probabilities[:, : len(ANATOMY)].copy()
    for side, behind in BEHIND_HEART.items():
        target = side if whole_lungs else "heart"
        merged[:, ANATOMY.index(target)] += probabilities[:, PARTITION.index(behind)]
    return merged


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
            f"(H, W) with 0 to {len(ANATOMY) - 1}; take one map of segment_partition"
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


def clean_labels(labels: npt.NDArray[np.integer[Any]], minimum_share: float = 0.05) -> npt.NDArray[np.uint8]:
    """A label map with its structures cleaned as by :func:`anatomy_masks`.

    Parts of the lungs behind the heart are cleaned together with the lung
    that they belong to, and stay within the cleaned heart.

    Parameters
    ----------
    labels
        Indices into :data:`patchcxr.types.PARTITION`, (H, W).
    minimum_share
        As for :func:`anatomy_masks`.

    Returns
    -------
    uint8 (H, W), indices into ``PARTITION``
    """
    behind = {side: labels == PARTITION.index(part) for side, part in BEHIND_HEART.items()}
    heart = ANATOMY.index("heart")
    masks = anatomy_masks(np.where(behind["left_lung"] | behind["right_lung"], heart, labels), None, minimum_share)
    cleaned = np.zeros(labels.shape, dtype=np.uint8)
    for index, name in enumerate(ANATOMY[1:], start=1):
        cleaned[masks[name]] = index
    for side, part in behind.items():
        if part.any():
            whole = _cleaned(masks[side] | part, minimum_share)
            cleaned[whole & (cleaned == heart)] = PARTITION.index(BEHIND_HEART[side])
    return cleaned


def structure_mask(labels: npt.NDArray[np.integer[Any]], name: str, whole_lungs: bool = False) -> BoolArray:
    """Mask of a structure in a label map of :func:`clean_labels`.

    Parameters
    ----------
    labels
        Indices into :data:`patchcxr.types.PARTITION`, (H, W).
    name
        ``heart``, ``left_lung``, ``right_lung`` or ``lung`` (both).
    whole_lungs
        Count the part of the lungs behind the heart as lung. It is heart in
        either case, so that then the masks overlap.

    Examples
    --------
    >>> labels = np.array([[0, 1, 2, 3, 4, 5]])
    >>> structure_mask(labels, "heart").astype(int).tolist()
    [[0, 1, 0, 0, 1, 1]]
    >>> structure_mask(labels, "lung", whole_lungs=True).astype(int).tolist()
    [[0, 0, 1, 1, 1, 1]]
    """
    lungs = ("left_lung", "right_lung")
    parts = {"lung": lungs, "heart": ("heart", *BEHIND_HEART.values())}.get(name, (name,))
    if whole_lungs and name != "heart":
        parts = (*parts, *(BEHIND_HEART[side] for side in lungs if side in parts))
    if unknown := [part for part in parts if part not in PARTITION]:
        raise MaskError(f"structure: got {unknown[0]!r}; expected heart, left_lung, right_lung or lung")
    return np.isin(np.arange(len(PARTITION)), [PARTITION.index(part) for part in parts])[labels]


def _cleaned(mask: BoolArray, minimum_share: float) -> BoolArray:
    return postprocess_lungs(mask, minimum_share=minimum_share) if mask.any() else np.zeros_like(mask)
