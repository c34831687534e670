"""Size and speed of networks (Degerli 2021, Table 8; Tahir 2021, Table 4)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd
import torch
from torch import nn

from patchcxr.inference.forward import device_of, evaluating
from patchcxr.models.published import PublishedNetwork
from patchcxr.models.registry import count_parameters, create_model


class Complexity(NamedTuple):
    """Size and speed of a network.

    Attributes
    ----------
    trainable
        Values that training changes by gradients.
    non_trainable
        Frozen values, and the means and variances of batch normalisation.
    seconds
        A film, median of the repeats; NaN without repeats.
    """

    trainable: int
    non_trainable: int
    seconds: float


def measure_complexity(model: nn.Module, image_size: int = 256, repeats: int = 5, batch: int = 1) -> Complexity:
    """Count a network's parameters and time it on the device where it is.

    Parameters
    ----------
    model
        Network that takes grey films.
    image_size
        Side of the films in pixels.
    repeats
        Forward passes that are timed, after one to warm up; 0 counts only.
    batch
        Films a forward pass.

    Examples
    --------
    >>> from patchcxr.models.unet import UNet
    >>> measure_complexity(UNet(1, filters=(4, 8)), repeats=0)
    Complexity(trainable=1677, non_trainable=64, seconds=nan)
    """
    trainable = count_parameters(model)
    everything = sum(parameter.numel() for parameter in model.parameters())
    running = count_parameters(model, running_statistics=True) - trainable
    seconds = _seconds(model, image_size, repeats, batch) if repeats else float("nan")
    return Complexity(trainable, everything - trainable + running, seconds)


def _seconds(model: nn.Module, image_size: int, repeats: int, batch: int) -> float:
    device = device_of(model)
    films = torch.rand((batch, 1, image_size, image_size), generator=torch.Generator().manual_seed(0)).to(device)
    times = []
    with evaluating(model), torch.inference_mode():
        for _ in range(1 + repeats):
            start = time.perf_counter()
            model(films)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append((time.perf_counter() - start) / batch)
    return statistics.median(times[1:])


def complexity_table(networks: Iterable[PublishedNetwork], image_size: int, repeats: int = 3) -> pd.DataFrame:
    """Measure the networks of a paper, beside what the paper prints.

    Returns
    -------
    pandas.DataFrame
        One row a network: decoder, encoder, frozen; trainable and
        non_trainable in millions, and milliseconds a film; the same with
        ``_paper`` as printed, NaN where it prints none.
    """
    rows = []
    for network in networks:
        measured = measure_complexity(create_model(network.config, seed=0), image_size, repeats)
        rows.append(
            {
                "decoder": network.decoder,
                "encoder": network.encoder,
                "frozen": network.config.encoder_frozen,
                "trainable": measured.trainable / 1e6,
                "trainable_paper": network.trainable,
                "non_trainable": measured.non_trainable / 1e6,
                "non_trainable_paper": network.non_trainable,
                "milliseconds": 1000 * measured.seconds,
                "milliseconds_paper": network.milliseconds,
            }
        )
    table = pd.DataFrame(rows)
    return table.astype({"non_trainable_paper": float})
