"""COVID-19 Radiography Database of Qatar and Dhaka Universities.

- Films: 21,165 in the last release, PNG, 299 x 299: 3,616 COVID-19, 10,192
  normal, 6,012 lung opacity, 1,345 viral pneumonia. First release: 219
  COVID-19, 1,341 normal, 1,345 viral pneumonia; then 1,200 COVID-19.
- Classes: ``COVID`` (``covid19``), ``Normal``, ``Viral Pneumonia`` (``viral``),
  ``Lung_Opacity`` (lung infection other than COVID-19 without a stated cause,
  from the RSNA set: ``pneumonia``).
- Masks: both lungs in one, 256 x 256, in the last release only.
- Layout: ``<class>/images/`` and ``<class>/masks/`` with the same names in the
  last release; before it, the films lie in the folder of the class. The
  folder of COVID-19 is ``COVID`` or ``COVID-19``.
- Licence: not stated in the readme of the set, which asks for the citations.
- Citation: Chowdhury et al., IEEE Access 8:132665-132676, 2020; Rahman et al.,
  Computers in Biology and Medicine, 2021, doi:10.1016/j.compbiomed.2021.104319.

Decisions: masks that do not fit their film are resized to the nearest pixel
and written below ``masks_dir``; without one their cells stay empty, and the
skipped rows say so. If a table
``<class>.metadata.csv`` (FILE NAME, URL) lies beside the folders, its URL
becomes the column ``url``; the published ``.xlsx`` tables say no more than the
folders and are not read. Import one release at a time: another release holds the
same films under other names.

Traps: masks are 256 x 256 and films 299 x 299; no patient ids, although 2,473 of the COVID-19 films come
from BIMCV-COVID19+ and 183 from Hannover with several films of one patient;
all viral and 1,341 of the normal films are of children of one to five years
(Kermany), lung opacity and most normal films are adults of RSNA: class is
source; ieee8023's films are in it too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.sources._layout import Imported, finish, map_labels, read_metadata
from patchcxr.data.sources._masks import image_shape, masks_folder, save_mask
from patchcxr.data.sources._published import file_tree, first_of_each, joined, skip
from patchcxr.io.masks import read_mask, resize_mask
from patchcxr.io.radiograph import RASTER_SUFFIXES

LABELS: Final = {
    "covid": "covid19",
    "covid 19": "covid19",
    "normal": "normal",
    "lung opacity": "pneumonia",
    "viral pneumonia": "viral",
}
"""Label of each class, by its folder's name in lower case with spaces for ``_`` and ``-``."""

LICENCE: Final = "not stated"


def build(root: str | Path, masks_dir: str | Path | None = None) -> Imported:
    """Cohort of the films below ``root``; the name of the class's folder is kept as ``finding``.

    Parameters
    ----------
    root
        Folder of the data set.
    masks_dir
        Folder outside of ``root`` for the masks, resized to their films.

    Raises
    ------
    CohortError
        If there is no film in the published layout.
    LabelError
        If a folder that holds ``images`` is no class of :data:`LABELS`.
    """
    root = Path(root)
    tree = file_tree(root, RASTER_SUFFIXES, depth=2)
    tree = tree.assign(
        **{name: tree[name].str.replace(r"[_\-]+", " ", regex=True) for name in ("folder_1", "folder_2")}
    )
    in_images, in_masks = tree["folder_1"].eq("images"), tree["folder_1"].eq("masks")
    flat = tree["folder_1"].isin(list(LABELS))
    masks = tree[in_masks].drop_duplicates(["home", "stem"])
    films = tree[in_images | flat].reset_index(drop=True)
    films["finding"] = films["folder_2"].where(films["folder_1"].eq("images"), films["folder_1"])
    films, repeats = first_of_each(films, "stem", "the same name is in another folder")
    films = films.merge(masks[["home", "stem", "path"]], on=["home", "stem"], how="left", suffixes=("", "_mask"))
    lungs, unfit = _fitting_masks(films, root, masks_dir)
    return finish(
        pd.DataFrame(
            {
                "study": films["stem"],
                "image": films["path"],
                "label": map_labels(films["finding"], LABELS, root),
                "lung_mask": lungs,
                "licence": LICENCE,
                "finding": films["finding"],
                "url": films["stem"].str.lower().map(_urls(root)).astype("string"),
            }
        ),
        "radiography",
        root,
        joined([unfit, repeats, skip(tree, ~(in_images | in_masks | flat), "not in a folder of the published layout")]),
    )


def _fitting_masks(
    films: pd.DataFrame, root: Path, masks_dir: str | Path | None
) -> tuple[list[str | None], pd.DataFrame]:
    """Path of a mask of its film's size for every film, and the masks that are left out."""
    folder = None if masks_dir is None else masks_folder(masks_dir, root, "radiography", "masks do not fit the films")
    fields: list[str | None] = []
    unfit = []
    for stem, image, mask in films[["stem", "path", "path_mask"]].itertuples(index=False, name=None):
        if pd.isna(mask):
            fields.append(None)
            continue
        shape, size = image_shape(image), image_shape(mask)
        if shape is None or size is None or shape == size:
            fields.append(mask)  # what cannot be read is found, and named, when it is used
        elif folder is None:
            fields.append(None)
            unfit.append((stem, f"mask of {size} for a film of {shape}; give masks_dir to have it resized"))
        else:
            fields.append(save_mask(resize_mask(read_mask(mask), shape), folder, "lung", stem))
    return fields, pd.DataFrame(unfit, columns=["name", "reason"])


def _urls(root: Path) -> dict[str, str]:
    """URL of every film that a CSV table names, by its name in lower case."""
    urls: dict[str, str] = {}
    for path in sorted(root.glob("*.metadata.csv")):
        table = read_metadata(path, ("FILE NAME", "URL"), ("FILE NAME", "URL")).dropna(subset=["FILE NAME", "URL"])
        urls.update(zip(table["FILE NAME"].str.strip().str.lower(), table["URL"], strict=True))
    return urls
