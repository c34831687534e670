from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from patchcxr.errors import ConfigError
from patchcxr.report import figures
from patchcxr.report.page import DISCLAIMER, MAXIMAL_WIDTH, Report
from patchcxr.report.style import save_figure

EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Every start tag with its attributes, all visible text, and a check that tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def embedded(address: str | None) -> Image.Image:
    match = re.fullmatch(r"data:image/(png|jpeg);base64,(.+)", address or "")
    assert match, address
    image = Image.open(io.BytesIO(base64.b64decode(match[2], validate=True)))
    image.load()
    return image


@pytest.fixture(scope="module")
def chart() -> Figure:
    return figures.confusion_figure({"local": np.array([[9, 1], [2, 8]])}, ["normal", "covid19"])


@pytest.fixture(scope="module")
def report(chart: Figure, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder, rng = tmp_path_factory.mktemp("figures"), np.random.default_rng(0)
    report = Report(f"Study {EVIL}", "of films", {"Seed": 7, "Command": f"patchcxr study {EVIL}"})
    report.card("Accuracy", "88.9 %", "99 films", "88.9 % (Table X)")
    report.section("Cohort & split", "First.\n\nSecond <b>paragraph</b>.")
    report.notice("One source, one class.")
    report.table(pd.DataFrame({"study": [EVIL], "value": [0.25]}), "Caption of the table", "A note")
    report.section("Figures")
    report.figure(chart, "Caption of the chart", "A confusion matrix")
    path = folder / "noise.png"
    Image.fromarray((rng.random((900, 2400, 3)) * 255).astype(np.uint8)).save(path)
    report.figure(path, "Caption of the photograph", 'Noise, "quoted"')
    (svg,) = save_figure(chart, folder / "chart", ("svg",))
    report.figure(svg, "Caption of the drawing", "The same matrix")
    return report


def test_the_page_holds_every_caption_numbered_in_order(report):
    text = Page(report.html()).text
    for words in (
        "Table 1. Caption of the table",
        "Figure 1. Caption of the chart",
        "Figure 2. Caption of the photograph",
        "Figure 3. Caption of the drawing",
        "A note",
        "One source, one class.",
        "Accuracy 88.9 % 99 films Paper: 88.9 % (Table X)",
        "Seed 7",
    ):
        assert words in text


def test_every_embedded_image_decodes_and_none_is_wider_than_allowed(report):
    images = Page(report.html()).all("img")
    first, second = embedded(images[0]["src"]), embedded(images[1]["src"])
    assert (first.format, second.format) == ("PNG", "JPEG")
    assert second.size == (MAXIMAL_WIDTH, 600)
    svg = base64.b64decode((images[2]["src"] or "").removeprefix("data:image/svg+xml;base64,"), validate=True)
    assert b"</svg>" in svg
    assert all(image["alt"] for image in images)


def test_an_embedded_chart_is_the_figure_itself(chart, tmp_path):
    report = Report("x")
    report.section("s")
    report.figure(chart, "c", "a")
    shown = np.asarray(embedded(Page(report.html()).all("img")[0]["src"]).convert("RGB"), float)
    (path,) = save_figure(chart, tmp_path / "chart", ("png",))
    with Image.open(path) as image:
        saved = np.asarray(image.convert("RGB"), float)
    assert shown.shape == saved.shape
    assert np.sqrt(np.mean((shown - saved) ** 2)) < 1.5


def test_markup_in_names_and_labels_is_shown_as_text(report):
    html = report.html()
    assert "<script" not in html
    assert "<b>paragraph" not in html
    assert f"Study {EVIL}" in Page(html).text
    assert "Second <b>paragraph</b>." in Page(html).text


def test_the_page_needs_nothing_from_elsewhere(report):
    page = Page(report.html())
    addresses = [a.get(key) or "" for _, a in page.tags for key in ("src", "href") if key in a]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in report.html()
    assert "url(" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", report.html())


def test_contents_link_to_the_sections(report):
    page = Page(report.html())
    targets = {attributes["id"] for attributes in page.all("section") if "id" in attributes}
    links = [(attributes["href"] or "").removeprefix("#") for attributes in page.all("a")]
    assert links == ["section-1-cohort-split", "section-2-figures"]
    assert set(links) <= targets


def test_the_disclaimer_stands_in_header_and_footer(report):
    html = report.html()
    assert DISCLAIMER == "For research only; not for clinical use."
    assert DISCLAIMER in html[html.index("<header>") : html.index("</header>")]
    assert DISCLAIMER in html[html.index("<footer>") : html.index("</footer>")]


def test_the_page_is_accessible(report):
    page = Page(report.html())
    assert page.all("html")[0]["lang"] == "en"
    assert all(header.get("scope") in ("row", "col") for header in page.all("th"))
    assert len(page.all("h1")) == 1


def test_failures_are_listed_or_their_absence_is_said():
    report = Report("x")
    report.section("Failures")
    columns = ["study", "stage", "error"]
    report.failures(pd.DataFrame(columns=columns))
    assert "No film failed." in Page(report.html()).text
    report.failures(pd.DataFrame([["a", "read", "empty file"], ["a", "mask", "shape"]], columns=columns))
    assert "1 film could not be used" in Page(report.html()).text
    assert "empty file" in Page(report.html()).text


def test_write_leaves_one_file_that_is_the_page(report, tmp_path):
    path = report.write(tmp_path / "out" / "report.html")
    assert path.read_text(encoding="utf-8") == report.html()
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_what_cannot_be_shown_is_refused(chart, tmp_path):
    report = Report("x")
    with pytest.raises(ConfigError, match="section"):
        report.text("too early")
    report.section("s")
    with pytest.raises(ConfigError, match="alternative text"):
        report.figure(chart, "caption", " ")
    with pytest.raises(ConfigError, match="no such figure"):
        report.figure(tmp_path / "missing.png", "caption", "alt")
    (tmp_path / "x.gif").write_bytes(b"GIF89a")
    with pytest.raises(ConfigError, match=r"expected \.png"):
        report.figure(tmp_path / "x.gif", "caption", "alt")
