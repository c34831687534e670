"""Which layers train in which epoch: the head alone, then the trunk from its end to its start (Hertel 2022)."""

from __future__ import annotations

from typing import Final, NamedTuple

from torch import Tensor, nn

from patchcxr.config import config
from patchcxr.errors import ConfigError, TrainingError

BATCH_NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@config
class UnfreezeConfig:
    """Training of the head alone, then of more and more layers.

    The paper states five epochs of the head with Adam's defaults, then
    progressively more layers at a fixed rate of 1e-5. It leaves open what a
    step takes in, how long it lasts and how far it goes: here a step is one
    of :func:`layer_groups`, it lasts ``epochs_per_group``, and it goes on to
    the first layer unless ``epochs`` end before.

    Attributes
    ----------
    head_epochs
        Epochs of the head alone. As many as the training has leave the trunk as it is.
    head_learning_rate
        In these epochs; after them it is ``learning_rate`` (Adam's default in PyTorch and Keras: 0.001).
    epochs_per_group
        Epochs from one group of layers to the next.
    """

    head_epochs: int = 5
    head_learning_rate: float = 1e-3
    epochs_per_group: int = 2

    def __post_init__(self) -> None:
        if self.head_epochs < 1 or self.epochs_per_group < 1 or not self.head_learning_rate > 0:
            raise ConfigError(
                f"unfreeze: got {self}; expected 1 or more for head_epochs and epochs_per_group, and a "
                "head_learning_rate above 0"
            )


class LayerGroup(NamedTuple):
    """Layers that begin to train together: their names, joined by ``+``, and the layers."""

    name: str
    layers: tuple[nn.Module, ...]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Weights of all layers."""
        return [parameter for layer in self.layers for parameter in layer.parameters()]


def layer_groups(module: nn.Module) -> tuple[LayerGroup, ...]:
    """Groups of layers in the order in which they begin to train: the head, then the trunk, last layers first.

    With a part named ``trunk``, as the classifiers have, the head is all that
    is not in it, and the groups are the trunk's children. Other networks are
    taken as a trunk whose last child is the head. A part with a single child
    is opened, so that the blocks of a DenseNet are groups; a child that only
    scales and shifts, such as a batch normalisation, goes with the one before.

    Raises
    ------
    TrainingError
        If there are not at least two groups.

    Examples
    --------
    >>> from patchcxr.models.registry import ModelConfig, create_model
    >>> network = create_model(ModelConfig(architecture="resnet18", num_classes=4), seed=0)
    >>> [group.name for group in layer_groups(network)]
    ['head', 'layer4', 'layer3', 'layer2', 'layer1', 'conv1+bn1']
    """
    trunk = module._modules.get("trunk")
    groups = _children(trunk if trunk is not None else module)
    if trunk is not None:
        rest = [(name, child) for name, child in module.named_children() if child is not trunk and _weights(child)]
        if rest:
            groups.append(LayerGroup("+".join(name for name, _ in rest), tuple(child for _, child in rest)))
    if len(groups) < 2 or (trunk is not None and not rest):
        raise TrainingError(
            f"unfreeze: {type(module).__name__} has no head and trunk that could train one after the other; expected "
            "a classifier, or a network of two parts or more; remove unfreeze"
        )
    return tuple(reversed(groups))


def _weights(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters())


def _children(part: nn.Module) -> list[LayerGroup]:
    """Children with weights, first ones first."""
    found = [(name, child) for name, child in part.named_children() if _weights(child)]
    if len(found) == 1:
        return _children(found[0][1])
    groups: list[LayerGroup] = []
    for name, child in found:
        if groups and all(weight.ndim < 2 for weight in child.parameters()):
            before = groups.pop()
            groups.append(LayerGroup(f"{before.name}+{name}", (*before.layers, child)))
        else:
            groups.append(LayerGroup(name, (child,)))
    return groups


class Stages:
    """What trains in each epoch of a training, and which statistics move.

    Parameters
    ----------
    module
        Network. Weights that do not ask for gradients never train.
    unfreeze
        None trains everything from the start.
    frozen_statistics
        Whether all batch normalisation works with its running mean and
        variance, and leaves them as they are; its scale and shift train like
        other weights. In groups that do not train yet it always does.
    """

    def __init__(
        self, module: nn.Module, unfreeze: UnfreezeConfig | None = None, frozen_statistics: bool = False
    ) -> None:
        self.module = module
        self.unfreeze = unfreeze
        self.frozen_statistics = frozen_statistics
        self.trainable: list[Tensor] = [weight for weight in module.parameters() if weight.requires_grad]
        self.groups = layer_groups(module) if unfreeze is not None else ()

    def training(self, epoch: int) -> int:
        """How many groups train in an epoch, counted from 0."""
        if self.unfreeze is None:
            return 0
        steps = 1 + (epoch - self.unfreeze.head_epochs) // self.unfreeze.epochs_per_group
        return min(len(self.groups), 1 + max(0, steps))

    @property
    def complete_after(self) -> int:
        """Epochs until all groups train."""
        if self.unfreeze is None:
            return 0
        return self.unfreeze.head_epochs + (len(self.groups) - 2) * self.unfreeze.epochs_per_group

    def learning_rate(self, epoch: int) -> float | None:
        """Rate that differs from the recipe's in this epoch, or None."""
        if self.unfreeze is None or epoch >= self.unfreeze.head_epochs:
            return None
        return self.unfreeze.head_learning_rate

    def begin(self, epoch: int) -> None:
        """Bring the network into the state of an epoch, counted from 0: modes, and which weights get gradients.

        It depends on the epoch only, so that a resumed training repeats it.
        """
        self.module.train()
        waiting = self.groups[self.training(epoch) :]
        frozen = {id(weight) for group in waiting for weight in group.parameters}
        for weight in self.trainable:
            weight.requires_grad_(id(weight) not in frozen)
            if id(weight) in frozen:
                weight.grad = None
        still = [self.module] if self.frozen_statistics else [layer for group in waiting for layer in group.layers]
        for layer in still:
            for part in layer.modules():
                if isinstance(part, BATCH_NORMS):
                    part.eval()

    def end(self) -> None:
        """Let all weights ask for gradients again that did so before the training."""
        for weight in self.trainable:
            weight.requires_grad_(True)
