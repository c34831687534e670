"""Probabilistic Grad-CAM of all windows of a regular grid, from one pass over the film."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from patchcxr.explain.gradcam import pooled_linear_maps, scale_maps, upsample
from patchcxr.inference.forward import check_logits
from patchcxr.inference.voting import VoteConfig, film_features
from patchcxr.patches.location import coverage, overlap
from patchcxr.types import FloatArray, IntArray


def dense_cam(
    model: nn.Module,
    image: FloatArray,
    centres: IntArray,
    config: VoteConfig,
    classes: Sequence[int] | None,
    normalization: str,
) -> tuple[FloatArray, FloatArray]:
    """Eq. 5 over the windows at ``centres`` of a pooled-linear classifier.

    The maps are upsampled once a film, not once a window: interpolation is
    linear, and every window lies on the grid of the features, so that their
    sum can be formed there (:func:`sum_windows`).

    Parameters
    ----------
    model
        Classifier in evaluation mode.
    image, centres, config
        Film (H, W), windows on a grid, and their size and stride.
    classes, normalization
        As for :func:`~patchcxr.explain.probabilistic.probabilistic_grad_cam`.

    Returns
    -------
    probabilities, maps
        Softmax of each window, float32 (K, C); and eq. 5, float32 (C', H, W).
    """
    features, places, cell = film_features(model, image, centres, config)
    size, n = config.patch_size, config.patch_size // cell
    features = features.float()
    with torch.autocast(features.device.type, enabled=False):
        means = functional.avg_pool2d(features, n, stride=1)[:, places[:, 0], places[:, 1]].T
        logits = check_logits(model.get_submodule("head")(means))
        r = logits.softmax(dim=1)  # r^c(x_k)
        wanted = list(range(r.shape[1]) if classes is None else classes)
        film = pooled_linear_maps(model, features[None], torch.tensor([wanted], device=features.device))[0]
        film *= film.shape[1] * film.shape[2] / n**2  # Z of eq. 4 is that of a window
        windows = film.unfold(1, n, 1).unfold(2, n, 1)[:, places[:, 0], places[:, 1]].transpose(0, 1)
        weighted = scale_maps(windows, (size, size), normalization) * r[:, wanted, None, None]  # r^c l^c, (3)
        sums = sum_windows(weighted, places, config.stride // cell, cell).numpy(force=True)  # sum_k Q_k(r^c l^c)
    maps = np.zeros((len(sums), *image.shape), dtype=np.float32)
    rows, columns = (
        overlap(int(start) - size // 2, covered, length)
        for start, covered, length in zip(centres.min(axis=0), sums.shape[1:], image.shape, strict=True)
    )
    counts = np.maximum(coverage(centres, size, image.shape), 1)
    np.divide(sums[:, rows[1], columns[1]], counts[rows[0], columns[0]], out=maps[:, rows[0], columns[0]])  # (5)
    return r.numpy(force=True), maps


def sum_windows(maps: Tensor, places: Tensor, step: int, cell: int) -> Tensor:
    """Upsample maps of windows, and add them up where they lie.

    Within one cell, bilinear interpolation mixes the cell with its
    neighbours, by the same weights in every window; at the border of a window
    the cell stands for the neighbour that is missing. So the cells and their
    neighbours are added up over the windows first, and interpolated once.

    Parameters
    ----------
    maps
        (K, C, n, n).
    places
        Upper left cell of each window, int (K, 2), multiples of ``step``, the
        least of them 0 in both columns.
    step
        Cells between neighbouring windows.
    cell
        Pixels a side of a cell.

    Returns
    -------
    (C, H, W)
        With H and W from the first pixel to the last that a window covers.

    Examples
    --------
    >>> sum_windows(torch.tensor([[[[0.0, 4.0]] * 2], [[[1.0, 1.0]] * 2]]), torch.tensor([[0, 0], [0, 1]]), 1, 2)[0, 0]
    tensor([0., 1., 4., 5., 1., 1.])
    """
    k, channels, n = maps.shape[:3]
    rows, columns = (int(last) for last in places.amax(dim=0))
    bordered = functional.pad(maps, (1, 1, 1, 1), mode="replicate")
    neighbours = torch.stack(
        [bordered[:, :, i : i + n, j : j + n] for i in range(3) for j in range(3)], dim=2
    )  # (K, C, 9, n, n)
    grid = (rows // step + 1, columns // step + 1)
    columns_of = (places[:, 0] // step) * grid[1] + places[:, 1] // step
    blocks = maps.new_zeros((channels * 9 * n * n, grid[0] * grid[1]))
    blocks[:, columns_of] = neighbours.reshape(k, -1).T
    sums = functional.fold(blocks[None], (rows + n, columns + n), n, stride=step)
    sums = sums.reshape(channels, 3, 3, rows + n, columns + n)
    weights = upsample(torch.eye(3, device=maps.device)[None, :, :, None], (3 * cell, 1))[0, :, cell : 2 * cell, 0]
    tall = torch.einsum("cijhw,it->cjhtw", sums, weights.to(maps))
    wide = torch.einsum("cjhtw,ju->chtwu", tall, weights.to(maps))
    return wide.reshape(channels, (rows + n) * cell, (columns + n) * cell)
