"""QaTa-COV19 of Qatar and Tampere Universities: COVID-19 infection masks, versions 1 and 2.

- Films: PNG, 224 x 224 (control group II: other sizes). Version 2: 9,258 COVID-19 (7,145 train, 2,113 test).
  Version 1: 2,951 with masks (Degerli 2021), in later downloads among 4,603.
  Early-QaTa-COV19: 1,065 with no or limited signs of pneumonia. Control group
  I: 12,544 normal; group II: 116,365, of which 112,120 of ChestX-ray14, 2,760
  bacterial and 1,485 viral pneumonia of children.
- Classes: ``covid19``; in the control groups ``normal``, ``bacterial`` and
  ``viral``.
- Masks: COVID-19 infection, drawn by physicians together with networks. None
  for the control groups, the early set and some films of version 1.
- Layout: ``QaTa-COV19/`` with ``QaTa-COV19-v2/{Train Set,Test Set}/`` and
  ``QaTa-COV19-v1/`` (``QaTa-COV19/`` in the first download), each with
  ``Images/`` and ``Ground-truths/mask_<name>``;
  ``Early-QaTa-COV19/{No,Limited}_COVID-19_Pneumonia_Cases/``;
  ``Control_Group/Control_Group_I/`` and ``Control_Group_II/`` with
  ``Pediatric_Bacterial_Pneumonia``, ``Pediatric_Viral_Pneumonia`` and
  ``CHESTXRAY-14/{Train,Test}``.
- Licence: not stated where looked for; the sources have their own.
- Citation: Degerli et al., Health Information Science and Systems, 2021,
  doi:10.1007/s13755-021-00146-8 (version 1); Degerli et al., OSegNet, arXiv:2202.10185, 2022 (version 2);
  Ahishali et al., arXiv:2006.05332, 2020 (early).

Decisions: ``part`` says where a film is from. Of one name in several parts
only the first counts, in the order v2, v1, early, control. Films of
BIMCV-COVID19+ that kept their name have its subject as patient. Version 2's
sides are in ``published_split``; ``split`` repeats them, but is empty for
training films of a patient who is also in the test set. Films of ChestX-ray14
are skipped: their folder does not say what they show (source ``nih`` does).

Traps: hardly any patient is named, so that the published split is free of
leaks only as far as can be known; the same films are in BIMCV-COVID19+,
Hannover, ieee8023 and COVID-QU-Ex under other ids; controls come from other
hospitals than COVID-19 films, and those of group II with bacterial or viral
pneumonia, and some of group I, are children; ``early`` films show next to
nothing.
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

LABELS: Final = {
    "no_covid-19_pneumonia_cases": "covid19",
    "limited_covid-19_pneumonia_cases": "covid19",
    "control_group_i": "normal",
    "pediatric_bacterial_pneumonia": "bacterial",
    "pediatric_viral_pneumonia": "viral",
}
"""Label of each folder outside versions 1 and 2, whose films are all COVID-19."""

LICENCE: Final = "not stated; research use only"

_PARTS: Final = ("v2", "v1", "early", "control")
_PREFIX: Final = "mask_"


def build(root: str | Path) -> Imported:
    """Cohort of all parts of the set that are below ``root``.

    Raises
    ------
    CohortError
        If there is no film in the published layout.
    LabelError
        If a folder of the early set or of a control group is not in
        :data:`LABELS`.
    """
    root = Path(root)
    tree = file_tree(root, RASTER_SUFFIXES, depth=3)
    masks = tree[tree["folder_1"].eq("ground-truths")]
    tree["part"] = _part(tree)
    unlabelled = tree["part"].eq("chestx-ray14")
    skipped = [
        skip(tree, tree["part"].isna() & ~tree.index.isin(masks.index), "not in a folder of the published layout"),
        skip(tree, unlabelled, "film of ChestX-ray14 without its findings; import it with source nih"),
    ]
    films = tree[tree["part"].isin(_PARTS)].sort_values("path", kind="stable")
    films = films.sort_values("part", key=lambda part: part.map(_PARTS.index), kind="stable").reset_index(drop=True)
    films, repeats = first_of_each(films, "stem", "the same name is in another part of the set")
    masks = masks.assign(stem=masks["stem"].str.replace(f"^{_PREFIX}", "", regex=True, case=False))
    masks = masks.drop_duplicates(["home", "stem"])[["home", "stem", "path"]]
    films = films.merge(masks, on=["home", "stem"], how="left", suffixes=("", "_mask"))
    subject = bimcv_subjects(films["stem"])
    published = films["folder_2"].map(SPLIT_NAMES).astype("string").where(films["part"].eq("v2"))
    return finish(
        pd.DataFrame(
            {
                "study": films["stem"],
                "patient": subject,
                "image": films["path"],
                "label": _labels(films, root),
                "split": split_without_leaks(published, subject),
                "infection_mask": films["path_mask"].where(films["folder_1"].eq("images")),
                "licence": LICENCE,
                "part": films["part"],
                "published_split": published,
            }
        ),
        "qata",
        root,
        joined([*skipped, repeats]),
    )


def _part(tree: pd.DataFrame) -> pd.Series:
    """Part of the set that a file belongs to; empty for masks and for files elsewhere."""
    part = pd.Series(pd.NA, index=tree.index, dtype="string")
    with_masks = set(tree.loc[tree["folder_1"].eq("ground-truths"), "home"])
    ours = (
        tree["home"].isin(with_masks)
        | tree["folder_2"].str.startswith("qata")
        | tree["folder_3"].str.startswith("qata")
    )
    images = tree["folder_1"].eq("images") & ours
    second = tree["folder_2"].isin(list(SPLIT_NAMES)) | tree["folder_2"].str.endswith("-v2")
    part = part.mask(images & second, "v2").mask(images & ~second, "v1")
    part = part.mask(tree["folder_2"].eq("early-qata-cov19"), "early")
    part = part.mask(tree["folder_1"].eq("control_group_i") | tree["folder_2"].eq("control_group_ii"), "control")
    return part.mask(tree["folder_1"].eq("chestxray-14") | tree["folder_2"].eq("chestxray-14"), "chestx-ray14")


def _labels(films: pd.DataFrame, root: Path) -> pd.Series:
    labels = pd.Series("covid19", index=films.index, dtype="string")
    named = films["part"].isin(["early", "control"])
    return labels.mask(named, map_labels(films.loc[named, "folder_1"], LABELS, root))
