"""``patchcxr models``: the networks that come with patchcxr."""

from __future__ import annotations

import argparse

from patchcxr.models.shipped import SHIPPED, card, weights_path


def models(options: argparse.Namespace) -> int:
    """List the shipped networks, or print the model card of one."""
    if options.name is not None:
        print(card(options.name))
        return 0
    for name, text in SHIPPED.items():
        path = weights_path(name)
        print(f"{name:10} {path.stat().st_size / 1e6:5.1f} MB  {text}: {path}")
    return 0
