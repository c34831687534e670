"""Time probabilistic Grad-CAM of one film by several routes, in one run and on the same patches.

Routes: a loop that takes one patch, one forward and one backward pass at a
time; captum in batches; patchcxr on the same patches; patchcxr with one dense
pass over the film. The first two map one class, patchcxr maps all of them.

    python benchmarks/probabilistic_gradcam.py --patches 25
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam

from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.inference.voting import VoteConfig
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.patches.location import PatchLocation
from patchcxr.patches.sampling import cut_patches, sample_centres
from patchcxr.types import BoolArray, FloatArray, IntArray


def film_and_lungs(size: int, rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    """Smooth noise, masked by two ellipses in place of lungs."""
    rows, columns = np.indices((size, size)) / size
    lung = np.zeros((size, size), dtype=bool)
    for middle in (0.3, 0.7):
        lung |= ((rows - 0.5) / 0.36) ** 2 + ((columns - middle) / 0.15) ** 2 < 1
    noise = torch.from_numpy(rng.random((1, 1, 64, 64), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(noise, (size, size), mode="bilinear")[0, 0].numpy()
    return smooth * lung, lung


def stitch(maps: FloatArray, weights: FloatArray, centres: IntArray, shape: tuple[int, int]) -> FloatArray:
    """Oh 2020, eq. 5, for one class."""
    total, count = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for cam, weight, (row, column) in zip(maps, weights, centres.tolist(), strict=True):
        inside, part = PatchLocation(row, column, cam.shape[-1]).window(shape)
        total[inside] += weight * cam[part]
        count[inside] += 1
    return total / np.maximum(count, 1)


def scaled(cam: FloatArray) -> FloatArray:
    """Each map to [0, 1]."""
    low, high = cam.min((-2, -1), keepdims=True), cam.max((-2, -1), keepdims=True)
    return (cam - low) / np.where(high > low, high - low, 1)


def one_patch_at_a_time(model, layer, image, centres, config, target) -> FloatArray:
    """One forward and one backward pass a patch, features and gradients caught by hooks."""
    maps, weights = [], []
    for centre in centres:
        seen = {}

        def remember(module, inputs, output, seen=seen):
            seen["features"] = output
            output.register_hook(lambda gradient: seen.update(gradient=gradient))

        handle = layer.register_forward_hook(remember)
        logits = model(torch.from_numpy(cut_patches(image, centre[None], config.patch_size))[:, None])
        handle.remove()
        model.zero_grad()
        logits[0, target].backward()
        alpha = seen["gradient"].mean((2, 3), keepdim=True)
        cam = (alpha * seen["features"]).sum(1, keepdim=True).relu().detach()
        size = (config.patch_size, config.patch_size)
        maps.append(scaled(torch.nn.functional.interpolate(cam, size, mode="bilinear")[0, 0].numpy()))
        weights.append(float(logits.softmax(1)[0, target].detach()))
    return stitch(np.stack(maps), np.array(weights, dtype=np.float32), centres, image.shape)


def captum_batches(model, layer, image, centres, config, target) -> FloatArray:
    """Captum's LayerGradCam, and a forward pass for the probabilities."""
    explainer, maps, weights = LayerGradCam(model, layer), [], []
    for start in range(0, len(centres), config.batch_size):
        part = cut_patches(image, centres[start : start + config.batch_size], config.patch_size)
        batch = torch.from_numpy(part)[:, None]
        cam = explainer.attribute(batch, target=target, relu_attributions=True)
        cam = LayerAttribution.interpolate(cam, batch.shape[2:], "bilinear")
        maps.append(scaled(cam[:, 0].detach().numpy()))
        with torch.inference_mode():
            weights.append(model(batch).softmax(1)[:, target].numpy())
    return stitch(np.concatenate(maps), np.concatenate(weights), centres, image.shape)


def main() -> None:
    """Run all routes and print seconds, ratios and the largest difference to the loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=1, help="the fastest of so many runs counts")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    image, lung = film_and_lungs(1024, np.random.default_rng(options.seed))
    model = create_model(ModelConfig(architecture="resnet18", num_classes=4), seed=options.seed).eval()
    layer = model.trunk.get_submodule("layer4")
    config = VoteConfig(patches=options.patches, batch_size=options.batch_size)
    target = 3
    centres = sample_centres(lung, config.patches, np.random.default_rng(options.seed))

    def ours(config: VoteConfig) -> FloatArray:
        rng = np.random.default_rng(options.seed)
        return probabilistic_grad_cam(model, image, lung, config, rng).maps[target]

    routes: dict[str, Callable[[], FloatArray]] = {
        "one patch at a time": lambda: one_patch_at_a_time(model, layer, image, centres, config, target),
        f"captum, batch {config.batch_size}": lambda: captum_batches(model, layer, image, centres, config, target),
        f"patchcxr, batch {config.batch_size}": lambda: ours(config),
        "patchcxr, dense": lambda: ours(replace(config, mode="dense")),
    }
    with torch.inference_mode():
        model(torch.rand(2, 1, 224, 224))
    seconds, maps = {}, {}
    for name, route in routes.items():
        spent = []
        for _ in range(options.repeats):
            begin = time.perf_counter()
            maps[name] = route()
            spent.append(time.perf_counter() - begin)
        seconds[name] = min(spent)

    first = next(iter(routes))
    print(f"{config.patches} patches of {config.patch_size} from {image.shape[0]}, {torch.get_num_threads()} threads")
    print(f"{'route':24}{'s':>8}{'times faster':>14}{'max difference':>16}")
    for name in routes:
        difference = np.abs(maps[name] - maps[first]).max()
        print(f"{name:24}{seconds[name]:8.2f}{seconds[first] / seconds[name]:14.1f}{difference:16.1e}")


if __name__ == "__main__":
    main()
