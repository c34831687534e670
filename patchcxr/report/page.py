"""One self-contained HTML page for a study: cards, sections, tables, figures.

>>> report = Report("A study", facts={"Seed": 0})
>>> report.card("Accuracy", "88.9 %", published="88.9 % in Oh 2020, Table X")
>>> report.section("Classification", "Four classes, majority vote of 100 patches.")
>>> "Accuracy" in report.html()
True
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from patchcxr.errors import ConfigError
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.report.style import DPI, STYLE
from patchcxr.report.tables import Format, format_cell, to_html

DISCLAIMER = "For research only; not for clinical use."
MAXIMAL_WIDTH = 1600
"""Embedded images are at most this many pixels wide."""

PIXELS_PER_INCH = 131
"""CSS pixels for an inch of paper: a double-column figure is shown 897 pixels wide, its 8 pt text 14.6 pixels high."""

PHOTOGRAPHIC_BYTES = 400_000
"""A PNG beyond this size is a photograph and is embedded as JPEG of quality 90 instead."""

FAITHFUL_ERROR = 1.5
"""Largest root-mean-square error, in grey levels of 256, at which 256 colours stand for all."""

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Card:
    """A headline number; ``published`` is the paper's."""

    label: str
    value: str
    detail: str = ""
    published: str = ""


@dataclass(frozen=True)
class Block:
    """A paragraph, notice, table or figure of a section."""

    kind: str
    text: str = ""
    number: int = 0
    note: str = ""
    body: Markup = field(default_factory=Markup)
    source: str = ""
    alt: str = ""
    width: int = 0
    height: int = 0


@dataclass
class Section:
    """A titled part of the page."""

    title: str
    anchor: str
    number: int
    blocks: list[Block] = field(default_factory=list)


class Report:
    """A page that is built from top to bottom and then written.

    Parameters
    ----------
    title, subtitle
        Head of the page.
    facts
        Provenance in the order shown, such as configuration fingerprint,
        seed, version, command and date. Nothing is added to it, so that the
        same study gives the same page.

    Notes
    -----
    Every text given to a method is shown as text: markup in file names and
    labels is escaped. Blank lines part paragraphs.
    """

    def __init__(self, title: str, subtitle: str = "", facts: Mapping[str, Any] | None = None) -> None:
        self.title = title
        self.subtitle = subtitle
        self.facts = {str(key): format_cell(value) for key, value in (facts or {}).items()}
        self._cards: list[Card] = []
        self._sections: list[Section] = []
        self._tables = 0
        self._figures = 0

    def card(self, label: str, value: str, detail: str = "", published: str = "") -> None:
        """Add a headline number to the top of the page; ``published`` is the paper's number beside it."""
        self._cards.append(Card(label, value, detail, published))

    def section(self, title: str, text: str = "") -> None:
        """Start a section; what follows belongs to it."""
        number = len(self._sections) + 1
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        self._sections.append(Section(title, f"section-{number}-{slug}".rstrip("-"), number))
        if text:
            self.text(text)

    def text(self, text: str) -> None:
        """Add paragraphs, parted by blank lines."""
        for paragraph in re.split(r"\n\s*\n", text.strip()):
            if paragraph.strip():
                self._add(Block("text", text=" ".join(paragraph.split())))

    def notice(self, text: str) -> None:
        """Add a remark that stands out, such as a limit of the study."""
        self._add(Block("notice", text=text))

    def table(
        self,
        table: pd.DataFrame,
        caption: str,
        note: str = "",
        formats: Mapping[str, Format] | None = None,
        heads: Mapping[str, str] | None = None,
    ) -> None:
        """Add a numbered table; ``formats`` and ``heads`` as in :class:`patchcxr.report.tables.PaperTable`."""
        body = Markup(to_html(table, formats, heads))
        self._tables += 1
        self._add(Block("table", text=caption, number=self._tables, note=note, body=body))

    def figure(self, figure: Figure | str | Path, caption: str, alt: str) -> None:
        """Add a numbered figure.

        Parameters
        ----------
        figure
            A matplotlib figure, or the path of a PNG, JPEG or SVG file. Images
            wider than :data:`MAXIMAL_WIDTH` are reduced.
        caption
            Below the figure.
        alt
            What the figure shows, for those who cannot see it.

        Raises
        ------
        ConfigError
            If there is no alternative text, or the file is missing or of
            another kind.
        """
        if not alt.strip():
            raise ConfigError(f"the figure {caption[:60]!r} has no alternative text; say in a sentence what it shows")
        if isinstance(figure, Figure):
            source, width, height = _embed_figure(figure)
        else:
            source, width, height = _embed_file(Path(figure))
        self._figures += 1
        self._add(Block("figure", caption, self._figures, source=source, alt=alt, width=width, height=height))

    def failures(self, table: pd.DataFrame) -> None:
        """List the films that could not be used (columns study, stage, error), or say that there were none."""
        if len(table) == 0:
            self.text("No film failed.")
            return
        films = table["study"].nunique() if "study" in table.columns else len(table)
        self.notice(f"{films} {'film' if films == 1 else 'films'} could not be used and are not in the results.")
        self.table(table, "Films that could not be used, the stage that failed and why.")

    def html(self) -> str:
        """Return the page."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("report.html.j2").render(
            title=self.title,
            subtitle=self.subtitle,
            facts=self.facts,
            cards=self._cards,
            sections=self._sections,
            disclaimer=DISCLAIMER,
            style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
        )

    def write(self, path: str | Path) -> Path:
        """Write the page as one file and return its path; a half-written page never stands at ``path``."""
        write_bytes_atomically(path, self.html().encode("utf-8"))
        return Path(path)

    def _add(self, block: Block) -> None:
        if not self._sections:
            raise ConfigError("the report has no section yet; call section(title) before adding to it")
        self._sections[-1].blocks.append(block)


def _embed_figure(figure: Figure) -> tuple[str, int, int]:
    """Draw a matplotlib figure; return its data address and the size at which it is shown."""
    inches = figure.get_size_inches()
    dots = min(float(DPI), MAXIMAL_WIDTH / inches[0])
    with matplotlib.rc_context(STYLE):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dots, pil_kwargs={"compress_level": 1})
    buffer.seek(0)
    with Image.open(buffer) as image:
        source = _data_address(image)
    return source, round(PIXELS_PER_INCH * inches[0]), round(PIXELS_PER_INCH * inches[1])


def _embed_file(path: Path) -> tuple[str, int, int]:
    """Read an image file; return its data address and shown size, (0, 0) for SVG, which has its own."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such figure; save it before it is put into the report")
    if path.suffix.lower() == ".svg":
        return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}", 0, 0
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ConfigError(f"{path}: got a {path.suffix or 'file without suffix'}; expected .png, .jpg or .svg")
    with Image.open(path) as image:
        dots = float(image.info.get("dpi", (200.0, 200.0))[0]) or 200.0
        scale = PIXELS_PER_INCH / dots
        size = (round(image.width * scale), round(image.height * scale))
        return _data_address(image), *size


def _data_address(image: Image.Image) -> str:
    """Embed an image as small as can be without visible loss: palette PNG, RGB PNG, or JPEG for photographs."""
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A") if image.mode in ("RGBA", "LA") else None)
    if flat.width > MAXIMAL_WIDTH:
        height = max(1, round(flat.height * MAXIMAL_WIDTH / flat.width))
        flat = flat.resize((MAXIMAL_WIDTH, height), Image.Resampling.LANCZOS)
    palette = flat.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    error = np.asarray(flat, np.int16) - np.asarray(palette.convert("RGB"), np.int16)
    buffer, kind = io.BytesIO(), "png"
    if float(np.sqrt(np.mean(np.square(error, dtype=np.float64)))) < FAITHFUL_ERROR:
        palette.save(buffer, "PNG")
    else:
        flat.save(buffer, "PNG")
    if buffer.tell() > PHOTOGRAPHIC_BYTES:
        buffer, kind = io.BytesIO(), "jpeg"
        flat.save(buffer, "JPEG", quality=90, subsampling=0)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
