from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from patchcxr.data.audit.findings import Finding
from patchcxr.data.audit.probe import COLUMNS
from patchcxr.data.audit.run import Audit
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AuditConfig
from patchcxr.report import audit_page
from patchcxr.report.audit_page import cohort_summary, film_sets, verdict, write_audit_page
from patchcxr.report.probe_figure import probe_figure
from patchcxr.report.text import one_line

EVIL = "<script>alert('x')</script>\n\u202e=cmd"
SHOWN = "<script>alert('x')</script>¤¤=cmd"


class Page(HTMLParser):
    """Start tags with attributes, visible text, and a check that tags are closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)
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


def image_of(address: str | None) -> np.ndarray:
    kind, data = (address or "").split(";base64,")
    assert kind == "data:image/jpeg"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))).convert("L"), dtype=float)


def scan_of(table: pd.DataFrame, errors: dict[int, str] | None = None) -> FilmScan:
    n = len(table)
    error = pd.Series([(errors or {}).get(row, "") for row in range(n)], dtype="string")
    facts = pd.DataFrame({"study": table["study"], "error": error, "rows": 512.0, "columns": 512.0, "bit_depth": 8.0})
    thumbnails = np.full((n, 64, 64), 77, dtype=np.uint8)
    empty = np.zeros((n, 64, 64), dtype=bool)
    return FilmScan(facts, np.zeros((n, 256), bool), thumbnails, empty, empty.any(axis=(1, 2)))


def cohort(n: int) -> pd.DataFrame:
    names = [f"study-{index:05d}" for index in range(n)]
    table = pd.DataFrame({"study": names, "patient": names, "image": "/nowhere/film.png"}).astype("string")
    return table.assign(label=["normal", "covid19"] * (n // 2), source=["east"] * (n // 2) + ["west"] * (n - n // 2))


def write(tmp_path: Path, table: pd.DataFrame, findings: list[Finding], **options: object) -> Page:
    errors = options.pop("errors", None)
    audit = Audit(table, scan_of(table, errors), tuple(findings), AuditConfig())
    return Page(write_audit_page(audit, tmp_path / "page.html", **options))


@pytest.fixture
def film(tmp_path: Path) -> np.ndarray:
    """A smooth film of 200 x 400 pixels at ``film.png``, as float."""
    rows, columns = np.mgrid[0:200, 0:400]
    grey = (60 + 60 * np.sin(rows / 40) + 0.3 * columns).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "film.png"), grey)
    return grey.astype(float)


def test_findings_stand_in_order_with_severity_message_remedy_and_counts(tmp_path):
    table = cohort(4)
    first = Finding("tiny", "error", "One film is tiny.", "Find its original.", ("study-00001",), ("study-00001",))
    page = write(tmp_path, table, [first, Finding("other", "note", "Something else.", "Report it.")])
    for words in (
        "4 films of 4 patients",
        verdict({"error": 1, "warning": 0, "note": 1}),
        "■ errors 1 make results wrong".replace("errors", "Errors"),
        "▲ Warnings 0",
        "● Notes 1",
        "■ Error tiny 1 film, 1 left out by cleaning One film is tiny. Remedy: Find its original.",
        "● Note other Something else. Remedy: Report it.",
    ):
        assert words in page.text
    assert page.text.index("■ Error tiny") < page.text.index("● Note other")


def test_an_index_links_every_finding_by_severity_with_its_films(tmp_path):
    studies = ("study-00000", "study-00001")
    findings = [Finding("copies", "error", "m", "r", studies), Finding("tiny", "error", "m", "r", studies[:1])]
    page = write(tmp_path, cohort(4), [*findings, Finding("views", "note", "m", "r")])
    assert "Findings by severity ■ Errors copies 2 films tiny 1 film ● Notes views" in page.text
    assert "▲ Warnings" not in page.text.split("Findings by severity")[1]
    links = [(a["href"] or "") for a in page.all("a") if (a["href"] or "").startswith("#finding-")]
    assert links == [f"#{attributes['id']}" for attributes in page.all("article")]
    assert links == ["#finding-1", "#finding-2", "#finding-3"]


def test_ages_on_the_page_are_those_of_patients_and_many_groups_keep_the_sum(tmp_path):
    table = cohort(100).assign(source=[f"s{index:03d}" for index in range(100)])
    page = write(tmp_path, table, [])
    assert "Ages are over patients, not films" in page.text
    assert f"and {100 - audit_page.MAXIMUM_ROWS} more groups" in page.text
    assert "(all) (all) 100 100" in page.text


def test_a_verdict_is_as_bad_as_the_worst_finding():
    assert verdict({"error": 1, "warning": 3, "note": 0}).startswith("Do not draw results")
    assert verdict({"error": 0, "warning": 3, "note": 0}).startswith("No errors. Mend the warnings")
    assert verdict({"error": 0, "warning": 0, "note": 2}) == "No errors and no warnings."


def test_hostile_ids_labels_and_messages_are_shown_as_text(tmp_path):
    table = cohort(2)
    table["study"] = pd.Series([EVIL, "ok"], dtype="string")
    table[["label", "source"]] = EVIL
    details = pd.DataFrame({"study": [EVIL], EVIL: [EVIL]})
    page = write(tmp_path, table, [Finding("x", "error", EVIL, EVIL, (EVIL, "ok"), (), details)], title=EVIL)
    assert "<script" not in page.html
    assert "\u202e" not in page.html
    assert {name for name, _ in page.tags}.isdisjoint({"script", "iframe", "object", "form"})
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert page.text.count(SHOWN) >= 6


def test_the_page_needs_nothing_from_elsewhere_and_links_the_table_beside_it(tmp_path):
    page = write(tmp_path, cohort(4), [Finding("x", "note", "m", "r", ("study-00000",))], csv=tmp_path / "a b.csv")
    addresses = [attributes[key] or "" for _, attributes in page.tags for key in ("src", "href") if key in attributes]
    outside = {address for address in addresses if not address.startswith(("data:", "#"))}
    assert outside == {"a%20b.csv"}
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {address.removeprefix("#") for address in addresses if address.startswith("#")} <= targets
    assert page.text.count("For research only; not for clinical use.") == 2


def test_a_shown_film_is_read_again_and_keeps_its_shape(tmp_path, film):
    table = cohort(2)
    table.loc[0, "image"] = str(tmp_path / "film.png")
    page = write(tmp_path, table, [Finding("x", "error", "m", "r", ("study-00000",))])
    (image,) = [attributes for attributes in page.all("img") if attributes["alt"] == "Film study-00000"]
    shown = image_of(image["src"])
    assert shown.shape == (80, 160)
    assert np.abs(shown - cv2.resize(film, (160, 80), interpolation=cv2.INTER_AREA)).mean() < 3
    assert "study-00000 east · Normal" in page.text


def test_a_file_that_has_gone_is_shown_from_the_scan_and_an_unreadable_one_by_its_reason(tmp_path):
    table = cohort(4)
    finding = Finding("x", "error", "m", "r", ("study-00000", "study-00001", "row 9"))
    page = write(tmp_path, table, [finding], errors={1: "/nowhere/film.png: truncated, copy it again"})
    pictures = page.all("img")
    assert [picture["alt"] for picture in pictures] == ["Film study-00000"]
    assert np.abs(image_of(pictures[0]["src"]) - 77).max() <= 2
    assert "truncated, copy it again study-00001" in page.text
    assert "not in the cohort row 9" in page.text
    assert "1 could not be read" in page.text


def test_thousands_of_findings_make_a_bounded_page_that_says_what_it_leaves_out(tmp_path, film):
    table = cohort(3000)
    table["image"] = str(tmp_path / "film.png")
    studies = tuple(table["study"])
    details = pd.DataFrame({"study": studies, "text": "x" * 500})
    findings = [Finding(f"check-{i}", "error", "m " * 5000, "r", studies, (), details) for i in range(2000)]
    page = write(tmp_path, table, findings)
    assert len(page.html.encode()) < 5_000_000
    assert len(page.all("article")) == audit_page.MAXIMUM_FINDINGS
    assert len(page.all("img")) == audit_page.MAXIMUM_FILMS
    assert f"{2000 - audit_page.MAXIMUM_FINDINGS} more findings are not written out here" in page.text
    assert "12 of 3000 films shown." in page.text
    assert "0 of 3000 films shown." in page.text
    assert f"and {3000 - audit_page.STUDIES_A_FINDING} more" in page.text
    assert f"and {3000 - audit_page.MAXIMUM_ROWS} more rows" in page.text


def test_copies_stand_side_by_side_also_through_others():
    details = pd.DataFrame({"study": ["a", "d", "b"], "copy": ["b", "e", "c"], "source": ["x", "y", "x"]})
    assert film_sets(Finding("x", "error", "m", "r", tuple("abcdef"), (), details)) == [list("abc"), list("de"), ["f"]]


def test_as_many_whole_sets_are_shown_as_fit_and_a_large_one_is_cut():
    sets = [["a"], ["b", "c", "d"], ["e", "f"], ["g"]]
    assert audit_page._choose(sets, 12) == sets
    assert audit_page._choose(sets, 4) == [["a"], ["e", "f"], ["g"]]
    assert audit_page._choose([list("abcdef")], 4) == [list("abcd")]
    assert audit_page._choose(sets, 0) == []


def test_films_that_no_row_of_details_joins_stand_alone():
    details = pd.DataFrame({"study": ["a", "b"], "reason": ["small", "small"]})
    assert film_sets(Finding("x", "error", "m", "r", ("a", "b"), (), details)) == [["a"], ["b"]]
    assert film_sets(Finding("x", "error", "m", "r", ("a", "b"))) == [["a"], ["b"]]


def test_copies_share_a_frame_on_the_page(tmp_path):
    details = pd.DataFrame({"study": ["study-00000"], "copy": ["study-00002"]})
    studies = ("study-00000", "study-00002", "study-00003")
    page = write(tmp_path, cohort(4), [Finding("copies", "error", "m", "r", studies, (), details)])
    items = [attributes["class"] for attributes in page.all("li") if attributes.get("class") in ("", "set")]
    assert items == ["set", ""]
    assert "films shown" not in page.text


def test_the_cohort_is_summed_by_source_and_label():
    table = pd.DataFrame(
        {
            "study": list("abcde"),
            "patient": ["p", "p", "q", "r", "s"],
            "image": "x",
            "source": ["x", "x", "x", "y", None],
            "label": "normal",
            "age_years": [10, 20, 60, None, None],
            "sex": ["F", "F", None, "M", None],
            "view": ["PA", "PA", "AP", None, None],
            "lung_mask": ["m", None, None, None, None],
            "right_lung_mask": [None, "m", None, None, None],
            "left_lung_mask": [None, "m", "m", None, None],
            "heart_mask": [None, None, None, None, "(empty)"],
        }
    )
    rows = cohort_summary(table).set_index("source")
    assert rows.index.tolist() == ["(none)", "x", "y", "(all)"]
    row = rows.loc["x"]
    assert (row["films"], row["patients"], row["lungs"], row["heart"]) == (3, 2, 2, 0)
    # patient p counts once, with the age 15: the median of 15 and 60, not of 10, 20 and 60
    assert (row["age (years)"], row["age known"], row["views"]) == ("38 (15 to 60)", 2, "PA 2, AP 1")
    assert rows["women"].tolist() == ["–", "100 % of 1", "0 % of 1", "50 % of 2"]
    assert rows.loc["(all)", ["films", "patients"]].tolist() == [5, 4]
    assert (rows.loc["y", "age (years)"], rows.loc["(none)", "heart"]) == ("–", 1)


def test_the_heat_map_holds_patients_and_shares_by_label(tmp_path):
    table = cohort(8).assign(source=["east"] * 6 + ["west"] * 2)
    page = write(tmp_path, table, [])
    cells = [attributes.get("style") for attributes in page.all("td") if attributes.get("style")]
    assert len(cells) == 4
    assert "Normal 3 75 % 1 25 %" in page.text
    assert "rgba(11, 90, 140, 0.69); color: #fff" in (cells[0] or "")
    assert "No check found anything." in page.text
    assert "Cramér's V" in page.text


def test_a_cohort_without_labels_has_a_page_too(tmp_path):
    page = write(tmp_path, cohort(4).drop(columns=["label", "source"]), [])
    assert "The cohort does not give labels and sources." in page.text


def answers() -> pd.DataFrame:
    rows = [
        ("source", "whole film", "readable", 90, 90, 80, "a, b, c", "", 0.8, 0.7, 0.9, 1 / 3, 0.33, 0.4),
        ("source", "whole film", "lung mask", 60, 60, 50, "a, b", "c", 0.9, 0.8, 1.0, 0.5, 0.5, 0.6),
        ("source", "background only", "lung mask", 60, 60, 50, "a, b", "c", 0.95, 0.9, 1.0, 0.5, 0.5, 0.6),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_the_probe_is_drawn_as_dots_with_intervals_and_strokes_at_chance():
    axes = probe_figure(answers()).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["source\nall films: 90, 3 classes", "source\nfilms with lung masks: 60, 2 classes"]
    lines = [tuple(np.round(np.asarray(line.get_xdata(), float), 3)) for line in axes.lines]
    dots = [x for x in lines if len(x) == 1]
    assert dots == [(0.8,), (0.9,), (0.95,)]
    assert {(0.333, 0.333), (0.5, 0.5), (0.7, 0.9), (0.8, 1.0), (0.9, 1.0)} <= set(lines)


def test_the_page_shows_the_probe_of_its_findings_and_says_it_in_words(tmp_path):
    finding = Finding("probe-source", "error", "m", "r", details=answers())
    page = write(tmp_path, cohort(4), [finding])
    (figure,) = [image for image in page.all("img") if (image["src"] or "").startswith("data:image/svg")]
    drawn = base64.b64decode((figure["src"] or "").split(",")[1]).decode()
    assert "background only" in drawn
    assert "source from background only 0.95" in (figure["alt"] or "")


def test_the_same_audit_gives_the_same_page(tmp_path):
    finding = Finding("probe-source", "error", "m", "r", ("study-00000",), details=answers())
    (tmp_path / "again").mkdir()
    first = write(tmp_path, cohort(4), [finding])
    assert write(tmp_path / "again", cohort(4), [finding]).html == first.html


def test_one_line_keeps_letters_and_shows_what_cannot_be_seen():
    assert one_line("Röntgen 1\r\n\t\x00\u202e") == "Röntgen 1¤¤¤¤¤"
