"""COVID-QU-Ex of Qatar University: lung masks for all films, infection masks for some.

- Films: 33,920, frontal, 256 x 256: 11,956 COVID-19, 11,263 other infections,
  10,701 normal; of them 5,826 (2,913, 1,457, 1,456) in the infection tree.
- Classes: ``COVID-19`` (``covid19``), ``Non-COVID`` (viral or bacterial
  pneumonia and RSNA's lung opacities, not told apart: ``pneumonia``),
  ``Normal`` (``normal``).
- Masks: both lungs in one for every film, drawn by networks, chosen by people,
  20 % checked by radiologists; COVID-19 infection in the infection tree, from
  QaTa-COV19. Of the other two classes the infection masks are files without a
  positive pixel.
- Layout: ``Infection Segmentation Data/<split>/<class>/`` with ``images``,
  ``lung masks`` and ``infection masks``, and ``Lung Segmentation Data/`` alike
  without the last; splits are ``Train``, ``Val`` and ``Test``. Kaggle's archive
  repeats the name of either tree one folder deeper.
- Licence: not stated in the paper (the article itself is CC BY).
- Citation: Tahir et al., Computers in Biology and Medicine, 2021,
  doi:10.1016/j.compbiomed.2021.105002.

Decisions: a film of one name and class in both trees is one row, with the
masks and the split of the infection tree; ``infection_split`` and
``lung_split`` keep what each tree said. Where a film still carries the name of
BIMCV-COVID19+, its subject is the patient, and ``split`` is left empty for
films that share their patient with a later side (test, then validation).

Traps: hardly any patient is named, and the split was drawn by film: 10,814 of
the COVID-19 films are from BIMCV-COVID19+ with several films of one patient,
which the published sides may share; the same films are also in Hannover,
ieee8023, QaTa-COV19, RSNA, PadChest and Kermany's children (1,300 viral, 1,700
bacterial, 1,000 normal); class is source; the two trees are split apart from
each other, so that a network trained on one has seen test films of the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.sources._layout import Imported, finish, map_labels
from patchcxr.data.sources._published import (
    SPLIT_NAMES,
    bimcv_subjects,
    file_tree,
    first_of_each,
    joined,
    skip,
    split_without_leaks,
)
from patchcxr.io.radiograph import RASTER_SUFFIXES

LABELS: Final = {"covid-19": "covid19", "non-covid": "pneumonia", "normal": "normal"}
"""Label of each class, by its folder's name in lower case."""

LICENCE: Final = "not stated; research use only"

_KINDS: Final = ("images", "lung masks", "infection masks")


def build(root: str | Path) -> Imported:
    """Cohort of the films of one or both trees below ``root``.

    Raises
    ------
    CohortError
        If there is no film in the published layout.
    LabelError
        If a class is not in :data:`LABELS`.
    """
    root = Path(root)
    tree = file_tree(root, RASTER_SUFFIXES, depth=4)
    placed = tree["folder_1"].isin(_KINDS) & tree["folder_3"].isin(list(SPLIT_NAMES))
    skipped = [skip(tree, ~placed, "not in a folder of the published layout")]
    tree = tree[placed].assign(
        tree=tree["folder_4"].str.contains("infection").map({True: "infection", False: "lung"}),
        published=tree["folder_3"].map(SPLIT_NAMES),
    )
    films = tree[tree["folder_1"].eq("images")].sort_values(["tree", "path"], kind="stable").reset_index(drop=True)
    for kind in _KINDS[1:]:
        masks = tree[tree["folder_1"].eq(kind)].drop_duplicates(["home", "stem"])
        column = kind.replace(" masks", "_mask")
        masks = masks[["home", "stem", "path"]].rename(columns={"path": column})
        films = films.merge(masks, on=["home", "stem"], how="left")
    films["film"] = films["folder_2"] + "/" + films["stem"]
    splits = {}
    for name in ("infection", "lung"):
        of_tree = films[films["tree"].eq(name)]
        splits[name] = of_tree.drop_duplicates("film").set_index("film")["published"]
        again = of_tree.index[of_tree["film"].duplicated()]
        skipped.append(skip(films, films.index.isin(again), f"the same name is in another split of the {name} tree"))
        films = films.drop(index=again)
    # Lung masks of a film that the infection tree has without one are those of the lung tree.
    films["lung_mask"] = films.groupby("film")["lung_mask"].transform("first")
    films, _ = first_of_each(films, "film", "in both trees")
    films, repeats = first_of_each(films, "stem", "the same name is in another class")
    subject = bimcv_subjects(films["stem"])
    return finish(
        pd.DataFrame(
            {
                "study": films["stem"],
                "patient": subject,
                "image": films["path"],
                "label": map_labels(films["folder_2"], LABELS, root),
                "split": split_without_leaks(films["published"], subject),
                "lung_mask": films["lung_mask"],
                "infection_mask": films["infection_mask"],
                "licence": LICENCE,
                **{
                    f"{name}_split": films["film"].map(published).astype("string") for name, published in splits.items()
                },
            }
        ),
        "covid_qu_ex",
        root,
        joined([*skipped, repeats]),
    )
