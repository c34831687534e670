"""Networks that come with the package are read from its folder, in single precision, or named as missing."""

import pytest
import torch

from patchcxr.cli import main
from patchcxr.errors import CheckpointError, ConfigError
from patchcxr.models import shipped as module
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.shipped import card, ship, shipped
from patchcxr.models.trained import TrainedModel
from patchcxr.types import PARTITION


@pytest.fixture
def trained() -> TrainedModel:
    config = ModelConfig(architecture="compact_unet", num_classes=6)
    return TrainedModel(create_model(config, seed=0), config, PARTITION, 64, {"gamma": 0.5}, {"seed": 3})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WEIGHTS", tmp_path)
    return tmp_path


def test_a_shipped_network_is_the_trained_one_rounded_to_half_precision(trained, folder, rng):
    path = folder / "anatomy.safetensors"
    ship(trained, path)
    found = shipped("anatomy")
    assert (found.classes, found.image_size, found.preprocessing) == (PARTITION, 64, {"gamma": 0.5})
    assert found.training["seed"] == 3
    assert found.training["stored"] == "float16"
    for name, value in trained.module.state_dict().items():
        stored = found.module.state_dict()[name]
        assert stored.dtype == value.dtype
        torch.testing.assert_close(stored, value.half().to(value.dtype), rtol=0, atol=0)
    film = torch.from_numpy(rng.random((1, 1, 64, 64), dtype="float32"))
    with torch.inference_mode():
        before, after = trained.module.eval()(film).softmax(1), found.module(film).softmax(1)
    assert not torch.equal(before, after)
    torch.testing.assert_close(before, after, rtol=0, atol=5e-3)
    assert all(weight.dtype == torch.float32 for weight in trained.module.parameters())
    assert path.stat().st_size < 0.52 * sum(4 * w.numel() for w in trained.module.parameters()) + 100_000


def test_a_network_too_large_to_ship_or_beyond_half_precision_leaves_no_file(trained, folder, monkeypatch):
    path = folder / "anatomy.safetensors"
    weight = next(trained.module.parameters())
    with torch.no_grad():
        weight.view(-1)[0] = 1e6
    with pytest.raises(CheckpointError, match="beyond half precision"):
        ship(trained, path)
    monkeypatch.setattr(module, "MOST_BYTES", 1_000_000)
    with pytest.raises(CheckpointError, match=r"compact_unet takes 8\.\d MB .* expected at most 1"):
        ship(trained, path)
    assert not path.exists()


def test_a_missing_file_and_an_unknown_name_are_told_in_words(folder):
    with pytest.raises(CheckpointError, match=r"lacks the weights of its network 'infection'.*--model"):
        shipped("infection")
    with pytest.raises(CheckpointError, match=r"infection\.md: this installation of patchcxr lacks this card"):
        card("infection")
    with pytest.raises(ConfigError, match="'lungs'; expected one of anatomy, infection, patches"):
        shipped("lungs")


def test_the_command_lists_networks_and_prints_a_card(trained, folder, capsys):
    ship(trained, folder / "anatomy.safetensors")
    ship(trained, folder / "infection.safetensors")
    ship(trained, folder / "patches.safetensors")
    (folder / "anatomy.md").write_text("# Lungs and heart\nNot for clinical use.\n", encoding="utf-8")
    assert main(["models"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == ["anatomy", "infection", "patches"]
    assert "MB" in listed[0]
    assert main(["models", "anatomy"]) == 0
    assert capsys.readouterr().out.startswith("# Lungs and heart")
    assert main(["models", "heart"]) == 2
    assert "expected one of anatomy, infection, patches" in capsys.readouterr().err


def test_the_list_says_what_is_missing(folder, capsys):
    assert main(["models"]) == 2
    assert "lacks the weights" in capsys.readouterr().err
