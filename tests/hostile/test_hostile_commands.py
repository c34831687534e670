"""Every command on damaged films, tables and maps: an exit code, no traceback, nothing outside of --out."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hostile_readers import BINARY, COHORT, DEEP, GREY, PREDICTIONS, dicom, network_file, saliency
from mutated import damaged

from patchcxr.cli import main
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.trained import TrainedModel, save_model
from patchcxr.types import ANATOMY

pytestmark = pytest.mark.filterwarnings("ignore:Glyph")  # fonts lack letters that ids are made of

IDS = (
    "../../x",
    "/etc/x",
    "a/b",
    "..",
    ".",
    "-rf",
    "a" * 3000,
    "\u00e9\u4e2d\U0001f4a9\u202e",
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x")',
    "@SUM(1)",
    "CON",
    "a b",
    "%s{0}$x",
    "'; DROP",
)
SCRIPT = "<script>alert"


def png(pixels) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def state(root, out):
    """Files outside the results, with what they hold."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.is_relative_to(out))
    return {path: path.read_bytes() for path in files}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command; it ends with 0, 1 or 2, says why in one line, and leaves everything but its results alone."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)

    def do(*arguments, codes=(0, 2)):
        out = tmp_path / "out"
        before = state(tmp_path, out)
        code = main([*map(str, arguments), "--out", str(out / "made.csv" if arguments[0] == "cohort" else out)])
        said = capsys.readouterr()
        assert code in codes, (arguments, code, said.err[-600:])
        assert "Traceback" not in said.err
        assert "internal error" not in said.err, (arguments, said.err)
        if code == 2:
            assert said.err.strip().splitlines()[-1].startswith("patchcxr: error: ")
        assert state(tmp_path, out) == before
        pages = [path.read_text(encoding="utf-8") for path in out.rglob("*.html")] if out.exists() else []
        assert not [page for page in pages if SCRIPT in page]
        return code

    return do


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    network_file(folder / "infection.safetensors")
    config = ModelConfig(architecture="compact_unet", num_classes=len(ANATOMY))
    save_model(folder / "anatomy.safetensors", TrainedModel(create_model(config, 0).eval(), config, ANATOMY, 64))
    config = ModelConfig(architecture="resnet18", num_classes=2)
    patches = TrainedModel(create_model(config, 0).eval(), config, ("normal", "viral"), 32)
    save_model(folder / "patches.safetensors", patches)
    return {path.stem: path for path in folder.iterdir()}


def films(folder, rng, count=10):
    """Sound and damaged films of every kind, under names that no program likes."""
    folder.mkdir(parents=True)
    (folder / "source").mkdir()
    dicom()(folder / "source" / "film.dcm")
    np.save(folder / "source" / "film.npy", DEEP)
    (folder / "source" / "film.png").write_bytes(png(GREY))
    sound = {path.suffix: path.read_bytes() for path in sorted((folder / "source").iterdir())}
    names = [
        "<script>alert(1)<",
        "=HYPERLINK(x)",
        "\u00e9\u202e\U0001f4a9",
        "a" * 200,
        " .. ",
        "-rf",
        "%s{0}",
        "a'b\"c",
    ]
    for number in range(count):
        suffix = list(sound)[number % len(sound)]
        (folder / f"{names[number % len(names)]}{number}{suffix}").write_bytes(damaged(sound[suffix], rng, False))
    (folder / "empty.png").touch()
    (folder / "pipe.png").symlink_to("/dev/zero")
    (folder / "gone.png").symlink_to("nothing")
    return folder


def cohort(folder, rng, damage=True):
    """A cohort whose ids lead elsewhere; its films and masks lie in ``folder``, some of them damaged."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, study in enumerate(IDS):
        (folder / f"{number}.png").write_bytes(png(rng.integers(0, 256, (40, 48), dtype=np.uint8)))
        mask = np.zeros((40, 48), np.uint8)
        mask[5:30, 5:20] = 255
        for side, drawn in {"right": mask, "left": mask[:, ::-1], "heart": np.roll(mask, 12, 1)}.items():
            (folder / f"{number}-{side}.png").write_bytes(png(drawn))
        masks = {
            f"{side}_mask": f"{number}-{name}.png"
            for side, name in {"right_lung": "right", "left_lung": "left", "heart": "heart"}.items()
        }
        rows.append(
            {
                "study": study,
                "patient": study,
                "image": f"{number}.png",
                "label": ["normal", SCRIPT][number % 2],
                "source": study[:40],
                "infection_mask": f"{number}-right.png",
                **masks,
            }
        )
    for number in range(0, len(IDS), 4) if damage else ():
        for name in (f"{number}.png", f"{number + 1}-left.png", f"{number + 2}-right.png"):
            if (folder / name).exists():
                (folder / name).write_bytes(damaged((folder / name).read_bytes(), rng, False))
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


SMALL = ("--set", "patches=3", "--set", "image_size=64", "--set", "patch_size=32")


@pytest.mark.slow
@pytest.mark.parametrize("given", ["films", "cohort"])
@pytest.mark.parametrize("command", ["segment", "infection", "classify", "explain", "score"])
def test_networks_take_what_can_be_read_and_list_the_rest(run, networks, tmp_path, rng, command, given):
    films(tmp_path / "films", rng)
    taken = tmp_path / "films" if given == "films" else cohort(tmp_path / "cohort", rng)
    use = {
        "segment": ["--model", networks["anatomy"]],
        "infection": ["--model", networks["infection"], "--anatomy", networks["anatomy"]],
        "classify": ["--model", networks["patches"], "--anatomy", networks["anatomy"], *SMALL],
        "explain": ["--model", networks["patches"], "--anatomy", networks["anatomy"], "--map-size", "32", *SMALL],
        "score": ["--anatomy", networks["anatomy"], "--infection", "none", "--classifier", "none", "--workers", "0"],
    }[command]
    assert run(command, taken, *use, codes=(0, 1) if command == "score" else (0,)) in (0, 1)
    failures = pd.read_csv(tmp_path / "out" / "failures.csv", dtype=str)
    assert failures["error"].notna().all()
    assert len(failures)


def test_a_folder_of_films_becomes_a_table_or_an_error(run, tmp_path, rng):
    for number in range(4):
        assert run("cohort", "folder", films(tmp_path / f"f{number}", rng)) == 0


@pytest.mark.parametrize("command", ["show", "audit", "preprocess", "biomarkers"])
def test_cohorts_with_ids_that_lead_elsewhere_stay_within_the_results(run, tmp_path, rng, command, capsys):
    table = cohort(tmp_path / "cohort", rng, damage=command != "show")
    if command == "show":
        assert main(["cohort", "show", str(table), "--picture", str(tmp_path / "out.png")]) == 0
    elif command == "audit":
        assert main(["cohort", "audit", str(table), "--out", str(tmp_path / "out"), "--fix"]) in (0, 1)
        assert SCRIPT not in (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
        assert "internal error" not in capsys.readouterr().err
    else:
        assert run(command, table, *(["--size", "32"] if command == "preprocess" else [])) == 0


@pytest.mark.slow
def test_masks_that_are_damaged_are_left_out_of_an_evaluation(run, tmp_path, rng):
    truth = cohort(tmp_path / "truth", rng, damage=False)
    assert run("evaluate", cohort(tmp_path / "predicted", rng), truth) in (0, 2)
    for turn in range(3):
        for side in ("p", "t"):
            (tmp_path / f"{side}{turn}").mkdir()
            for name in "abcd":
                data = png(BINARY)
                data = damaged(data, rng, False) if name in "ab" and side == "p" else data
                (tmp_path / f"{side}{turn}" / f"{name}.png").write_bytes(data)
        assert run("evaluate", tmp_path / f"p{turn}", tmp_path / f"t{turn}", "--structure", "heart") == 0
        scored = set(pd.read_csv(tmp_path / "out" / "films.csv")["study"])
        failed = set(pd.read_csv(tmp_path / "out" / "failures.csv")["study"])
        assert scored >= {"c", "d"}
        assert scored | failed == set("abcd")


@pytest.mark.slow
def test_maps_that_are_damaged_are_left_out_of_a_comparison(run, tmp_path, rng):
    table = cohort(tmp_path / "cohort", rng, damage=False)
    for kind in ("npy", "png", "pkl"):
        folder = tmp_path / kind
        folder.mkdir()
        for number, study in enumerate(("a b", "CON", "-rf", "..", "'; DROP")):
            path = folder / {"npy": f"{study}.npy", "png": f"{study}.png", "pkl": f"{study}_Edema_map.pkl"}[kind]
            if kind == "npy":
                np.save(path, rng.random((8, 9)))
            elif kind == "png":
                path.write_bytes(png(GREY))
            else:
                saliency(path)
            if number > 1:
                path.write_bytes(damaged(path.read_bytes(), rng, False))
        assert run("compare-maps", table, "--maps", f"m={folder}", "--lungs", "none", "--examples", "1") == 0
        assert set(pd.read_csv(tmp_path / "out" / "films.csv")["study"]) >= {"a b", "CON"}


def odd_tables(rng, count):
    """Tables of predictions as no program wrote them."""
    data = PREDICTIONS.to_csv(index=False).encode()
    made = [damaged(data, rng, True) for _ in range(count)]
    for column, value in (
        ("p_viral", np.nan),
        ("p_viral", np.inf),
        ("p_viral", -1.0),
        ("p_viral", 7.0),
        ("p_viral", "x"),
        ("truth", "other"),
        ("truth", ""),
        ("predicted", ""),
        ("predicted", "="),
        ("study", "s"),
        ("patient", ""),
        ("patient", "p"),
        ("truth", "normal"),
        ("predicted", "viral"),
        ("p_normal", 0.5),
        ("study", ""),
    ):
        table = PREDICTIONS.astype(object)
        table[column] = value
        made.append(table.to_csv(index=False).encode())
        table = PREDICTIONS.astype(object)
        table.loc[3, column] = value
        made.append(table.to_csv(index=False).encode())
    return [*made, PREDICTIONS.iloc[:1].to_csv(index=False).encode(), PREDICTIONS.iloc[:0].to_csv(index=False).encode()]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["calibrate", "stats", "select", "metrics", "ensemble", "triage"])
def test_tables_of_predictions_are_used_or_refused(run, tmp_path, rng, command):
    (tmp_path / "sound.csv").write_bytes(PREDICTIONS.to_csv(index=False).encode())
    ended = []
    for number, data in enumerate(odd_tables(rng, 20)):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(data)
        arguments = {
            "metrics": ["metrics", path],
            "calibrate": ["calibrate", path, "--resamples", "3"],
            "ensemble": ["ensemble", path, tmp_path / "sound.csv", "--resamples", "3"],
            "stats": ["stats", path, "--value", "p_viral", "--group", "truth"],
            "triage": ["triage", path, "--positive", "viral"],
            "select": ["cohort", "select", path, "--where", "label=normal"],
        }[command]
        ended.append(run(*arguments))
    assert 2 in ended


def test_damaged_cohorts_are_used_or_refused(run, tmp_path, rng):
    data = COHORT.to_csv(index=False).encode()
    ended = []
    for number in range(25):
        (tmp_path / f"{number}.csv").write_bytes(damaged(data, rng, True))
        ended.append(run("cohort", "select", tmp_path / f"{number}.csv", "--where", "sex=F"))
    assert set(ended) == {0, 2}
