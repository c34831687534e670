"""Array aliases and the names of anatomical classes.

Axes are (row, column) for arrays and (batch, channel, height, width) for
tensors. Intensities lie in [0, 1], and higher is brighter on a normal display
(bone is white, air is black).
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
AnyArray: TypeAlias = npt.NDArray[Any]

ANATOMY: Final = ("background", "heart", "left_lung", "right_lung")
"""Classes of the anatomy segmentation, in channel order (Oh 2020, eq. 2).

``left_lung`` is the patient's left lung, on the right side of a PA film as displayed.
"""

PARTITION: Final = (*ANATOMY, "left_lung_behind_heart", "right_lung_behind_heart")
"""Classes that tell apart what readers draw differently.

JSRT's lungs end at the heart; other readers include the part of the lung that
lies behind it. With that part as a class of its own, the first four names and
their sums give either convention: heart = ``heart`` and both parts behind it;
whole left lung = ``left_lung`` and ``left_lung_behind_heart``.
"""
