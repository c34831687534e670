"""Time probabilistic Grad-CAM of one film by several routes, in one run and on the same patches.

Routes: a loop that takes one patch, one forward and one backward pass at a
time; captum, pytorch-grad-cam and torchcam in batches, each if it is
installed; patchcxr on the same patches, by the closed form and by gradients;
patchcxr with one dense pass over the film. The others map one class,
patchcxr maps all of them. The loop and the others get the network in the
memory layout in which torchvision makes it, patchcxr with channels last; with
--same-layout the others get channels last too. torchcam upsamples as the others do here; its own
normalisation of the small map is left out. With --bfloat16 patchcxr runs once
more in bfloat16, and its maps are compared with those in float32. --bounds times
the convolutions of the same patches alone, as they are, with batch normalisation
folded into them, and as a frozen graph: what no route over these patches can pass.

    pip install captum grad-cam torchcam
    python benchmarks/probabilistic_gradcam.py --patches 25
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.inference.forward import has_closed_form
from patchcxr.inference.voting import VoteConfig, patches_a_pass
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.patches.location import PatchLocation
from patchcxr.patches.sampling import cut_patches, sample_centres
from patchcxr.types import BoolArray, FloatArray, IntArray

PEERS = {"captum": "captum", "pytorch-grad-cam": "pytorch_grad_cam", "torchcam": "torchcam"}
OURS = "patchcxr, closed form"


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


class Contiguous(nn.Module):
    """What ``standardize`` gives, channels first in memory."""

    def __init__(self, standardize: nn.Module) -> None:
        super().__init__()
        self.standardize = standardize

    def forward(self, x):
        """Standardised films."""
        return self.standardize(x).contiguous()


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


def batches(image: FloatArray, centres: IntArray, config: VoteConfig) -> Iterator[torch.Tensor]:
    """Patches as network input."""
    for start in range(0, len(centres), config.batch_size):
        part = cut_patches(image, centres[start : start + config.batch_size], config.patch_size)
        yield torch.from_numpy(part)[:, None]


def in_batches(explain, image, centres, config, target) -> FloatArray:
    """Stitch what ``explain`` gives for each batch: maps at patch or feature size, and probabilities of the target."""
    maps, weights = [], []
    for batch in batches(image, centres, config):
        cam, probability = explain(batch, target)
        if cam.shape[1:] != batch.shape[2:]:
            cam = functional.interpolate(cam[:, None], batch.shape[2:], mode="bilinear")[:, 0]
        maps.append(scaled(cam.detach().numpy()))
        weights.append(probability.detach().numpy())
    return stitch(np.concatenate(maps), np.concatenate(weights), centres, image.shape)


def with_captum(model: nn.Module, layer: nn.Module) -> Callable:
    """Captum's LayerGradCam, and a forward pass for the probabilities, which it does not give."""
    from captum.attr import LayerGradCam

    explainer = LayerGradCam(model, layer)

    def explain(batch, target):
        cam = explainer.attribute(batch, target=target, relu_attributions=True)[:, 0]
        with torch.inference_mode():
            return cam, model(batch).softmax(1)[:, target]

    return explain


def with_pytorch_grad_cam(model: nn.Module, layer: nn.Module) -> Callable:
    """pytorch-grad-cam's GradCAM; it keeps the logits of its forward pass."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    explainer = GradCAM(model=model, target_layers=[layer])

    def explain(batch, target):
        cam = explainer(input_tensor=batch, targets=[ClassifierOutputTarget(target)] * len(batch))
        return torch.from_numpy(cam), explainer.outputs.softmax(1)[:, target]

    return explain


def with_torchcam(model: nn.Module, layer: nn.Module) -> Callable:
    """Torchcam's GradCAM; the forward pass is the caller's."""
    from torchcam.methods import GradCAM

    def explain(batch, target):
        with GradCAM(model, target_layer=layer) as explainer:
            logits = model(batch.requires_grad_())
            return explainer(target, logits, normalized=False)[0], logits.softmax(1)[:, target]

    return explain


def with_torchcam_cam(model: nn.Module, layer: nn.Module) -> Callable:
    """Torchcam's CAM: the weights of the linear layer, no backward pass."""
    from torchcam.methods import CAM

    def explain(batch, target):
        shape = tuple(batch.shape[1:])
        with CAM(model, layer, fc_layer="head", input_shape=shape) as explainer, torch.inference_mode():
            logits = model(batch)
            return explainer(target, normalized=False)[0].relu(), logits.softmax(1)[:, target]

    return explain


def bounds(model: nn.Module, image: FloatArray, centres: IntArray, config: VoteConfig) -> dict[str, Callable]:
    """Passes of the patches through the trunk and nothing else, in batches as patchcxr makes them on a CPU."""
    from torch.fx.experimental.optimization import fuse

    size = replace(config, batch_size=patches_a_pass(config, torch.device("cpu")))
    parts = [
        model.standardize(part).contiguous(memory_format=torch.channels_last) for part in batches(image, centres, size)
    ]
    folded = fuse(model.trunk).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model.trunk, parts[0])))

    def passes(trunk: Callable) -> Callable:
        def run() -> None:
            with torch.inference_mode():
                for part in parts:
                    trunk(part)

        return run

    trunks = {"convolutions alone": model.trunk, "batch normalisation folded": folded, "frozen graph": frozen}
    return {name: passes(trunk) for name, trunk in trunks.items()}


def main() -> None:
    """Run all routes, and print seconds, ratios and the largest difference to the loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=1, help="the fastest of so many runs counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true", help="patchcxr in bfloat16 too; slow on CPUs without it")
    parser.add_argument("--cpu", action="store_true", help="CPU time of all threads; steadier on a busy machine")
    parser.add_argument("--same-layout", action="store_true", help="channels last for all")
    parser.add_argument("--bounds", action="store_true", help="time the convolutions alone too")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    warnings.simplefilter("ignore")

    image, lung = film_and_lungs(1024, np.random.default_rng(options.seed))
    model = create_model(ModelConfig(architecture="resnet18", num_classes=4), seed=options.seed).eval()
    usual = copy.deepcopy(model)
    model.to(memory_format=torch.channels_last)
    if options.same_layout:
        usual = model
    else:
        usual.standardize = Contiguous(usual.standardize)
    layer = usual.trunk.get_submodule("layer4")
    config = VoteConfig(patches=options.patches, batch_size=options.batch_size)
    target = 3
    centres = sample_centres(lung, config.patches, np.random.default_rng(options.seed))

    def ours(mode: str = "sampled", method: str = "auto", half: bool = False) -> FloatArray:
        rng = np.random.default_rng(options.seed)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            chosen = replace(config, mode=mode)
            return probabilistic_grad_cam(model, image, lung, chosen, rng, method=method).maps[target]

    def peer(name: str, make: Callable[[nn.Module, nn.Module], Callable]) -> None:
        if importlib.util.find_spec(PEERS[name.split(",")[0]]) is None:
            missing.append(name)
        else:
            routes[name] = lambda: in_batches(make(usual, layer), image, centres, config, target)

    missing: list[str] = []
    routes: dict[str, Callable[[], FloatArray]] = {
        "one patch at a time": lambda: one_patch_at_a_time(usual, layer, image, centres, config, target)
    }
    peer("captum", with_captum)
    peer("pytorch-grad-cam", with_pytorch_grad_cam)
    peer("torchcam", with_torchcam)
    peer("torchcam, CAM (no backward pass)", with_torchcam_cam)
    peers = list(routes)[1:]
    routes["patchcxr, gradients"] = lambda: ours(method="autograd")
    routes[OURS] = ours
    routes["patchcxr, dense"] = lambda: ours("dense")
    exact = {"patchcxr, closed form, bfloat16": OURS, "patchcxr, dense, bfloat16": "patchcxr, dense"}
    if options.bfloat16:
        routes["patchcxr, closed form, bfloat16"] = lambda: ours(half=True)
        routes["patchcxr, dense, bfloat16"] = lambda: ours("dense", half=True)

    with torch.inference_mode():
        for network in (model, usual):
            network(torch.rand(2, 1, 224, 224))
    has_closed_form(model, (224, 224))  # tried once a network
    seconds, maps = {name: float("inf") for name in routes}, {}
    for _ in range(options.repeats):
        for name, route in routes.items():
            begin = clock()
            maps[name] = route()
            seconds[name] = min(seconds[name], clock() - begin)

    limits = bounds(model, image, centres, config) if options.bounds else {}
    for name, route in list(limits.items()) * options.repeats:
        begin = clock()
        route()
        seconds[name] = min(seconds.get(name, float("inf")), clock() - begin)

    loop = next(iter(routes))
    graded = min((name for name in peers if "no backward" not in name), key=seconds.__getitem__, default=None)
    print(
        f"{config.patches} patches of {config.patch_size}² from {image.shape[0]}², {torch.get_num_threads()} threads;"
    )
    print(f"best peer that takes gradients: {graded or 'none is installed'}; missing: {', '.join(missing) or 'none'}\n")
    print("| route | s | of the loop | of the best peer | largest difference | mean difference |")
    print("|---|---|---|---|---|---|")
    for name in routes:
        to = exact.get(name, loop)
        difference = np.abs(maps[name] - maps[to])
        share = f"{seconds[name] / seconds[graded]:.2f}" if graded else "-"
        print(
            f"| {name} | {seconds[name]:.2f} | {seconds[name] / seconds[loop]:.3f} | {share} "
            f"| {difference.max():.1e} | {difference.mean():.1e} |"
        )
    for name in limits:
        share = f"{seconds[name] / seconds[graded]:.2f}" if graded else "-"
        print(f"| {name} | {seconds[name]:.2f} | {seconds[name] / seconds[loop]:.3f} | {share} | | |")
    print("\nDifferences are to the loop; those of bfloat16 to the same route in float32.")


if __name__ == "__main__":
    main()
