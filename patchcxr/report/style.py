"""One look for every figure: journal widths, 8 pt sans-serif, colour-blind-safe colours.

Figures are plain :class:`matplotlib.figure.Figure` objects, never pyplot's, so
that no state is shared and nothing has to be closed. The palette is that of
Okabe and Ito (2008).
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine

from patchcxr.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")

MILLIMETRES_PER_INCH: Final = 25.4
SINGLE_COLUMN_MM: Final = 85.0
DOUBLE_COLUMN_MM: Final = 174.0
FORMATS: Final = ("png", "svg", "pdf")

BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY_BLUE: Final = "#56B4E9"
GREEN: Final = "#009E73"
YELLOW: Final = "#F0E442"
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#7F7F7F"

CYCLE: Final = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY_BLUE, BLACK, GREY)
"""Colours of series without a colour of their own, in the order in which they are used."""

CLASS_COLOURS: Final = {
    "normal": GREEN,
    "bacterial": BLUE,
    "tuberculosis": ORANGE,
    "viral": PURPLE,
    "covid19": VERMILION,
    "pneumonia": SKY_BLUE,
    "nodule": GREY,
    "fungal": BLACK,
    "other": "#B0B0B0",
}
"""A class has the same colour in every figure."""

ORGAN_COLOURS: Final = {"lungs": "#1F77FF", "heart": "#E3262E", "truth": "#2BE34A", "lesion": "#FFFFFF"}
"""Lungs blue, heart red and true contours green, as in Oh 2020, Fig. 2; bright, to be seen on a film."""

_MEASURE_NAMES: Final = {
    f"{structure}_{measure}{unit}": f"{structure.replace('_', ' ').capitalize()} {written}{said}"
    for structure in ("lung", "right_lung", "left_lung", "heart")
    for measure, written in {
        "jaccard": "Jaccard",
        "dice": "Dice",
        "surface_dice": "surface Dice",
        "hausdorff": "Hausdorff distance",
        "hd95": "HD95",
        "assd": "ASSD",
    }.items()
    for unit, said in (("", ""), ("_mm", " (mm)"))
}

CLASS_NAMES: Final = _MEASURE_NAMES | {
    "normal": "Normal",
    "bacterial": "Bacterial",
    "tuberculosis": "Tuberculosis",
    "viral": "Viral",
    "covid19": "COVID-19",
    "pneumonia": "Pneumonia",
    "nodule": "Nodule",
    "fungal": "Fungal",
    "other": "Other",
    "right_lung": "Right lung",
    "left_lung": "Left lung",
    "heart": "Heart",
    "lungs": "Lungs",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "pointing_hit": "Pointing game",
    "energy_in_lesion": "Energy in lesion",
    "energy_in_lungs": "Energy in lungs",
    "energy_outside_lungs": "Energy outside lungs",
    "iou_at_half": "IoU at half",
    "dice_at_half": "Dice at half",
    "hit": "Hit rate",
    "iou_at_otsu": "IoU at Otsu's threshold",
    "best_iou": "Best IoU",
    "best_dice": "Best Dice",
    "lung_mean": "Lung intensity, mean",
    "lung_std": "Lung intensity, SD",
    "lung_skewness": "Lung intensity, skewness",
    "lung_entropy": "Lung intensity, entropy (bit)",
    "lung_central_mean": "Central lung intensity, mean",
    "lung_peripheral_mean": "Peripheral lung intensity, mean",
    "area_asymmetry": "Asymmetry of lung area",
    "lung_deformation": "Deformation of the lungs",
    "cardiothoracic_ratio": "Cardiothoracic ratio",
    "global_gradcam": "Global Grad-CAM",
    "probabilistic_gradcam": "Probabilistic Grad-CAM",
    "infection_map": "Infection map",
    "dice": "Dice",
    "iou": "IoU",
    "jaccard": "Jaccard",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1",
    "f2": "F2",
    "npv": "NPV",
}
"""How a class, organ or measure is written in figures."""

LAYOUT_PASSES: Final = 3
DPI: Final = 200

FONTS: Final = ("Arial", "Helvetica", "Liberation Sans", "DejaVu Sans")
"""The first one installed is used; the last one comes with matplotlib."""

OTHER_SCRIPTS: Final = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "PingFang SC", "Hiragino Sans", "Microsoft YaHei"),
    *("Yu Gothic", "Malgun Gothic", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "SimHei"),
    *("Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Thai", "Nirmala UI", "Arial Unicode MS", "Unifont"),
)
"""Those installed give letters that the first font lacks: ids and labels may be in any script."""

_INSTALLED: Final = fontManager.get_font_names()

STYLE: Final[dict[Any, Any]] = {
    "font.family": [
        next(name for name in FONTS if name in _INSTALLED),
        "sans-serif",
        *(name for name in OTHER_SCRIPTS if name in _INSTALLED),
    ],
    "font.sans-serif": list(FONTS),
    "mathtext.fontset": "dejavusans",
    "text.hinting": "none",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.unicode_minus": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "patch.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "patchcxr",
    "pdf.fonttype": 42,
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that the figure it makes follows :data:`STYLE` and has a settled layout.

    Constrained layout moves axes a little at each drawing; it is run until it
    rests and then taken away, so that a figure looks the same wherever and
    however often it is saved.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(STYLE):
            made = function(*args, **kwargs)
            if isinstance(made, Figure):
                engine = made.get_layout_engine()
                if engine is not None:
                    for _ in range(LAYOUT_PASSES):
                        engine.execute(made)
                made.set_layout_engine("none")
            return made

    return wrapper


def new_figure(height_mm: float, width_mm: float = DOUBLE_COLUMN_MM) -> Figure:
    """Make an empty figure of this size on paper, with constrained layout."""
    size = (width_mm / MILLIMETRES_PER_INCH, height_mm / MILLIMETRES_PER_INCH)
    return Figure(figsize=size, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))


def display_name(name: str) -> str:
    """Write a class, organ or measure as it should be read; other names stay as they are.

    >>> display_name("covid19"), display_name("ResNet-18")
    ('COVID-19', 'ResNet-18')
    """
    return CLASS_NAMES.get(name, name)


def class_colours(names: Iterable[str]) -> dict[str, str]:
    """Colour of each class: fixed for the known ones, unused palette colours for the others.

    >>> class_colours(["normal", "covid19"])
    {'normal': '#009E73', 'covid19': '#D55E00'}
    """
    names = list(dict.fromkeys(names))
    chosen = {name: CLASS_COLOURS[name] for name in names if name in CLASS_COLOURS}
    free = [colour for colour in CYCLE if colour not in chosen.values()] or list(CYCLE)
    others = [name for name in names if name not in chosen]
    chosen.update({name: free[index % len(free)] for index, name in enumerate(others)})
    return {name: chosen[name] for name in names}


def jitter(count: int, key: str, width: float = 0.3) -> list[float]:
    """Give offsets in [-width, width] that are spread evenly and never change for the same key.

    The additive recurrence of the golden ratio; ``key`` sets where it starts.
    """
    start = zlib.crc32(key.encode()) / 2**32
    return [(((start + index * 0.6180339887498949) % 1.0) * 2.0 - 1.0) * width for index in range(count)]


def film_axes(axes: Axes) -> None:
    """Take away the ticks and the frame of an axes that shows a film."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def panel_letter(axes: Axes, index: int) -> None:
    """Write a bold letter (a, b, ...) at the upper left, outside the axes."""
    axes.annotate(
        chr(ord("a") + index),
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(-4, 5),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=9,
        fontweight="bold",
        annotation_clip=False,
    )


def save_figure(
    figure: Figure, path_without_suffix: str | Path, formats: Sequence[str] = ("png", "svg"), dpi: int = DPI
) -> list[Path]:
    """Write a figure, once for each format, and return the paths.

    Text stays text in SVG. The files carry no date, so that the same figure
    gives the same bytes.

    Parameters
    ----------
    figure
        The figure.
    path_without_suffix
        Where to write it; ``.png`` and so on are appended. The folder is made
        when it is missing.
    formats
        Any of :data:`FORMATS`.
    dpi
        Resolution of PNG files and of images inside the others.

    Raises
    ------
    ConfigError
        If a format is unknown.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError(f"got the figure format {unknown[0]!r}; choose from {', '.join(FORMATS)}")
    base = Path(path_without_suffix)
    base.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    written = []
    with matplotlib.rc_context(STYLE):
        for name in formats:
            path = base.with_name(f"{base.name}.{name}")
            figure.savefig(path, dpi=dpi, format=name, metadata=metadata[name])
            written.append(path)
    return written
