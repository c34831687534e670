"""A folder of saliency maps, whoever wrote them: NumPy, PNG or CheXlocalize files, one a film."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from patchcxr.errors import ConfigError, ImageError
from patchcxr.io.arrays import safe_name
from patchcxr.io.chexlocalize import MAP_ENDING, parse_map_name, read_saliency
from patchcxr.io.folders import files_below
from patchcxr.io.limits import read_file
from patchcxr.io.raster import decode_raster, is_raster
from patchcxr.types import FloatArray

KINDS: Final = (".npy", ".png", ".pkl")


class MapFolder:
    """Maps by study.

    Parameters
    ----------
    root
        Folder; folders in it are looked into. It holds one kind of maps:

        - ``STUDY.npy``, arrays (H, W);
        - ``STUDY.png``, grey levels of 8 or 16 bits, of which 0 is 0 and the largest 1; colours are refused, because a
          drawn heat map is no map;
        - ``STUDY_FINDING_map.pkl``, CheXlocalize's files (:mod:`patchcxr.io.chexlocalize`).
    finding
        Which maps of CheXlocalize files are meant; needed where the folder has several findings.

    Raises
    ------
    ConfigError
        If there is no such folder, it holds no map or several kinds, or the finding is missing or not there.
    """

    def __init__(self, root: str | Path, finding: str | None = None) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise ConfigError(f"{root}: no such folder; expected one with maps ({', '.join(KINDS)})")
        files = files_below(self.root, KINDS)
        kinds = sorted({file.suffix.lower() for file in files})
        if len(kinds) != 1:
            found = f"maps of the kinds {', '.join(kinds)}" if kinds else "no map"
            raise ConfigError(f"{root}: {found} in this folder; expected files of one of the kinds {', '.join(KINDS)}")
        self.kind = kinds[0]
        if self.kind == ".pkl":
            named = [(*parse_map_name(file.name), file) for file in files if file.name.endswith(MAP_ENDING)]
            chosen = _chosen(sorted({name for _, name, _ in named}), finding, self.root)
            pairs = [(image, file) for image, name, file in named if name == chosen]
        else:
            pairs = [(file.stem, file) for file in files]
        self.files: dict[str, Path] = {}
        for name, file in pairs:
            if name in self.files:
                raise ConfigError(f"{file} and {self.files[name]} are maps of one film, {name}; keep one of them")
            self.files[name] = file

    def __contains__(self, study: str) -> bool:
        return self._file(study) is not None

    def __len__(self) -> int:
        return len(self.files)

    def load(self, study: str) -> FloatArray:
        """Map of a study, (H, W).

        Raises
        ------
        ImageError
            If there is none, or it cannot be read.
        """
        path = self._file(study)
        if path is None:
            raise ImageError(f"no map of {study!r} in {self.root}; expected {safe_name(study)}{self.kind}")
        if self.kind == ".pkl":
            return read_saliency(path).saliency
        return _read_array(path)

    def _file(self, study: str) -> Path | None:
        return self.files.get(study) or self.files.get(safe_name(study))


def _chosen(findings: list[str], finding: str | None, root: Path) -> str:
    if finding is None and len(findings) == 1:
        return findings[0]
    if finding is None or finding not in findings:
        wanted = "no finding is chosen" if finding is None else f"no map of {finding!r}"
        raise ConfigError(f"{root}: {wanted}; the folder has maps of {', '.join(findings) or 'nothing'}; choose one")
    return finding


def _read_array(path: Path) -> FloatArray:
    data = read_file(path, "map")
    if not is_raster(data):
        raise ImageError(f"{path}: empty, damaged, or neither NPY nor PNG; export the map again")
    stored, _ = decode_raster(data, path)
    picture = path.suffix.lower() == ".png"
    if stored.ndim != 2 or (picture and stored.dtype not in (np.bool_, np.uint8, np.uint16)):
        raise ImageError(
            f"{path}: {stored.dtype} of shape {stored.shape}; expected one map (H, W); a drawing in colours is no map, "
            "give the values that were drawn"
        )
    if not picture:
        return stored
    highest = 1 if stored.dtype == np.bool_ else np.iinfo(stored.dtype).max
    return stored.astype(np.float32) / np.float32(highest)
