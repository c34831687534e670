"""The exceptions that patchcxr raises on purpose.

Every message says what was got, what was expected and how to mend it. The
command line prints it on one line and exits with code 2.

::

    PatchCXRError
    ├── ConfigError          a configuration file or value is wrong
    ├── CohortError          a row or column of the cohort table is wrong
    │   ├── LabelError       a class name that the label scheme does not know
    │   └── SplitError       a split that cannot be made or used
    ├── ImageError           a radiograph that cannot be read or used
    ├── MaskError            a mask that cannot be read or does not fit its film
    │   └── EmptyLungError   a lung mask without a single pixel
    ├── ModelError           an unknown network, or input that it cannot take
    │   └── CheckpointError  a weights file that cannot be used
    ├── TrainingError        a training that cannot start or go on
    ├── ReviewError          a review of masks that cannot be opened, read or written
    └── MissingExtraError    an optional package is not installed
"""

from __future__ import annotations

import importlib
from types import ModuleType


class PatchCXRError(Exception):
    """Base of all errors that patchcxr raises on purpose."""

    exit_code = 2


class ConfigError(PatchCXRError, ValueError):
    """A configuration file or value is wrong."""


class CohortError(PatchCXRError, ValueError):
    """A row or column of the cohort table is wrong."""


class LabelError(CohortError):
    """A class name that the label scheme does not know."""


class SplitError(CohortError):
    """A split that cannot be made or used, such as one with a single class."""


class ImageError(PatchCXRError, ValueError):
    """A radiograph that cannot be read or used."""


class MaskError(PatchCXRError, ValueError):
    """A mask that cannot be read or does not fit its film."""


class EmptyLungError(MaskError):
    """A lung mask without a single pixel, where lung pixels are needed."""


class ModelError(PatchCXRError, ValueError):
    """An unknown network, or input that a network cannot take."""


class CheckpointError(ModelError):
    """A weights file that cannot be read or does not fit its network."""


class TrainingError(PatchCXRError, RuntimeError):
    """A training that cannot start or go on."""


class ReviewError(PatchCXRError, RuntimeError):
    """A review of masks that cannot be opened, read or written, or a decision that cannot be taken."""


class MissingExtraError(PatchCXRError, ImportError):
    """An optional package is not installed."""


def require_extra(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Parameters
    ----------
    module
        Dotted name of the module to import.
    extra
        Name of the extra in ``pyproject.toml`` that installs it.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"the package {module!r} is not installed; install it with pip install 'patchcxr[{extra}]'"
        ) from error
