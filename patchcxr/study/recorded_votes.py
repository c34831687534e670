"""The votes and patches that ``patchcxr classify`` recorded, read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from patchcxr.errors import CohortError, ConfigError, PatchCXRError
from patchcxr.inference.patches_needed import lies_on_a_grid
from patchcxr.inference.predictions import Predictions
from patchcxr.inference.vote_error import PatchVotes
from patchcxr.io.arrays import ArrayFolder
from patchcxr.study.classify_films import PATCH_COLUMNS


def recorded_votes(
    folder: Path, predictions: Predictions, rule: str, failures: list[tuple[str, str, str]]
) -> Iterator[tuple[str, PatchVotes]]:
    """Study and patches of every film of a table of predictions, from ``folder/patches``.

    Where the probabilities of each patch are recorded, as columns after :data:`PATCH_COLUMNS`, they are used; else the
    film's mean probability decides ties. Films that cannot be read go to ``failures``.

    Raises
    ------
    ConfigError
        If the patches are those of dense voting, or the recorded prediction of a film does not follow from its patches
        by this rule.
    CohortError
        If there is no folder of patches.
    """
    stored, count = ArrayFolder(folder / "patches"), len(predictions.classes)
    if not stored.root.is_dir():
        raise CohortError(f"{stored.root}: no such folder; classify films by their patches, not as a whole")
    for place, study in enumerate(predictions.table["study"]):
        try:
            found = stored.load(str(study))
            said = found[:, PATCH_COLUMNS.index("predicted")].astype(int)
            own = found[:, len(PATCH_COLUMNS) :]
            film = PatchVotes(said, own if own.shape[1] == count else predictions.probability[place], rule)
        except ConfigError:
            raise
        except (PatchCXRError, IndexError) as error:
            failures.append((str(study), "patches", str(error)))
            continue
        if lies_on_a_grid(found[:, :2]):
            raise ConfigError(
                f"the patches of {study!r} lie on a grid, as in dense voting; its vote has no sampling error and needs "
                "no number of patches; classify with --set mode=sampled to ask for one"
            )
        if film.prediction != predictions.predicted[place]:
            raise ConfigError(
                f"the patches of {study!r} vote for {predictions.classes[film.prediction]}, and "
                f"{predictions.classes[predictions.predicted[place]]} was predicted; give the --rule of the vote"
            )
        yield str(study), film
