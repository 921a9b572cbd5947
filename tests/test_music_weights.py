"""Weights that another program trained for the music network, in ours."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from unmask import checkpoint, load_model  # noqa: E402
from unmask.recipe import load  # noqa: E402

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def handed(shared):
    """Weights that another program trained, and the definition that it trained."""
    folder = shared / "music_model"
    if not folder.is_dir():
        pytest.skip("no weights of the music network here")
    sys.path.insert(0, str(folder))
    try:
        import music_net
    finally:
        sys.path.remove(str(folder))
    return folder / "music_4stems_first.safetensors", music_net.MusicNet().eval()


@torch.no_grad()
def test_handed_weights_give_the_masks_of_the_plain_definition(handed, tool):
    torch.set_num_threads(1)
    path, plain = handed
    theirs, steps = tool.read(path)
    plain.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in theirs.items()})
    net = load(ROOT / "recipes/music.toml").system().net.eval()
    net.load_state_dict(tool.converted(theirs, 16))
    generator = torch.Generator().manual_seed(0)
    levels = 10 ** torch.randn(1, 1, 1, 2049, 1, generator=generator)
    spectrum = 0.01 * levels * torch.randn(1, 2, 2, 2049, 32, generator=generator)
    raw = plain(spectrum)
    expected = raw - (raw.sum(1, keepdim=True) - torch.tensor([1.0, 0.0])[:, None, None, None]) / 4
    found = net(spectrum, ())[0]
    assert steps == 1665
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_run_folder_is_made_that_training_and_export_take(handed, tool, tmp_path, monkeypatch):
    path, _ = handed
    monkeypatch.setattr(sys, "argv", ["music_weights.py", str(path), str(tmp_path / "run")])
    tool.main()
    tensors, header = checkpoint.load(tmp_path / "run" / "best.safetensors")
    net = load(tmp_path / "run" / "recipe.toml").system().net
    net.load_state_dict(checkpoint.select(tensors, "mean"))
    assert header["step"] == 1665
    assert checkpoint.read_object(tmp_path / "run" / "run.json") == tool.MADE


def test_the_bundled_model_says_first_what_may_be_done_with_it():
    card = load_model("music").metadata
    assert next(iter(card)) == "licence"
    assert card["licence"].startswith("CC-BY-NC-SA-4.0")
    assert card["stems"] == ["vocals", "drums", "bass", "other"]
    assert card["residual"] is None
