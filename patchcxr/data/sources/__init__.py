"""One module a public data set: from its folder, in the published layout, to a cohort table.

The docstring of a module states the facts of its data set: size, classes,
resolution, licence, citation, and the traps that await its users.
``patchcxr cohort sources`` prints them.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any, Final

from patchcxr.data.sources._layout import Imported
from patchcxr.errors import CohortError

SOURCES: Final = (
    "bimcv",
    "cohen",
    "cohen_masks",
    "covid_qu_ex",
    "covidgr",
    "covidx",
    "darwin",
    "hannover",
    "jsrt",
    "kermany",
    "montgomery",
    "nih",
    "padchest",
    "qata",
    "radiography",
    "ricord",
    "rsna",
    "shenzhen",
    "tb",
)
"""Names of the data sets, and of their modules; a new one takes one module and one line here."""


def build_source(name: str, root: str | Path, masks_dir: str | Path | None = None) -> Imported:
    """Cohort of a public data set from its folder, and what of it could not be used.

    Parameters
    ----------
    name
        One of :data:`SOURCES`.
    root
        Folder of the data set; nothing is written there.
    masks_dir
        Where masks are drawn for the data sets that give outlines, or masks
        of another size than their films.

    Raises
    ------
    CohortError
        If the name is unknown, the folder is missing, or it does not have
        the data set's layout.
    """
    root = Path(root)
    module = _module(name)
    if not root.is_dir():
        raise CohortError(f"{root}: no such folder; give the folder of {title(name)}")
    takes_masks = "masks_dir" in inspect.signature(module.build).parameters
    imported: Imported = module.build(root, masks_dir=masks_dir) if takes_masks else module.build(root)
    return imported


def title(name: str) -> str:
    """First line of a data set's description, without its full stop."""
    return facts(name).splitlines()[0].removesuffix(".")


def facts(name: str) -> str:
    """Size, classes, resolution, licence, citation and traps of a data set."""
    return inspect.cleandoc(_module(name).__doc__ or "")


def _module(name: str) -> Any:
    if name not in SOURCES:
        raise CohortError(f"source is {name!r}; expected one of {', '.join(SOURCES)}")
    return importlib.import_module(f"{__name__}.{name}")
