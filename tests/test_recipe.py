"""Recipes: read, refused in one line, written back."""

import tomllib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from unmask import recipe  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))

SMALL = """
name = "small"
[frontend]
n_fft = 64
hop = 32
[backbone]
kind = "crn"
channels = [4, 6]
hidden = 5
[head]
mask = "complex_tanh"
limit = 2.0
[loss]
kind = { sdr = 1.0, magnitude = 0.5 }
[data]
sample_rate = 8000
recordings = [{ role = "speech", glob = "s/*.wav" }, { role = "noise", glob = "n/*.wav" }]
snr_db = [0, 10.5]
[train]
steps = 20
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_a_recipe_says_what_the_system_is(path):
    system = recipe.load(path).system()
    assert (system.stft.n_fft, system.stft.hop, system.stft.window) == (64, 32, "sqrt_hann")
    assert (system.family.name, system.family.limit) == ("complex_tanh", 2.0)
    assert (system.net.config.channels, system.net.config.hidden) == ((4, 6), 5)
    assert (system.net.config.n_freq, system.net.config.n_sources) == (33, 1)


def test_what_is_written_back_is_the_same_recipe_with_every_default(path, tmp_path):
    loaded = recipe.load(path)
    resolved = tmp_path / "resolved.toml"
    resolved.write_text(loaded.to_toml())
    assert recipe.load(resolved) == loaded
    tables = tomllib.loads(resolved.read_text())
    assert tables["train"]["learning_rate"] == 1e-3
    assert tables["data"]["snr_db"] == [0, 10.5]
    assert tables["head"] == {"mask": "complex_tanh", "limit": 2.0}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_can_be_read(path):
    loaded = recipe.load(path)
    assert loaded.name == path.stem
    assert loaded == recipe.from_dict(loaded.to_dict())


@pytest.mark.parametrize(
    ("override", "section", "name", "value"),
    [
        ("train.steps=7", "train", "steps", 7),
        ("train.learning_rate = 2", "train", "learning_rate", 2.0),
        ("loss.kind=si_sdr", "loss", "kind", "si_sdr"),
        ("data.snr_db=[1, 2]", "data", "snr_db", (1, 2)),
        ("train.precision=bf16-mixed", "train", "precision", "bf16-mixed"),
    ],
)
def test_an_override_comes_on_top(path, override, section, name, value):
    assert getattr(getattr(recipe.load(path, [override]), section), name) == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.step=7", r"\[train\]: unknown keys \['step'\]; there are \['batch'"),
        ("trian.steps=7", r"unknown keys \['trian'\]"),
        ("train.steps=many", r"\[train\]: steps is 'many', expected int"),
        ("train.steps=true", r"\[train\]: steps is True, expected int"),
        ("train.steps=0", "steps, batch, log_every and valid_every must be >= 1"),
        ("train.steps", "expected KEY=VALUE"),
        ("name.x=1", "name is no table"),
        ("name=../x", r"name '\.\./x', expected letters, digits"),
        ("backbone.kind=umx", r"no network named 'umx'; there are \['crn'"),
        ("backbone.width=3", r"backbone 'crn': unknown settings \['width'\]"),
        ("head.mask=irm3", "no mask family named 'irm3'"),
        ("head.slope=3.0", "complex_tanh"),
        ("frontend.kind=mel", "frontend: no kind 'mel'"),
        ("frontend.hop=33", "hop: 33 does not divide n_fft"),
        ("backbone.patch=5", "backbone: 32 bins .* no multiple of .* = 10"),
        ("loss.kind=pesq", r"no loss named \['pesq'\]"),
        ("data.kind=music", r"\[data\] kind 'music'; there are \['speech_in_noise'"),
        ("data.clean_share=5", r"clean_share = 5\.0, expected 0 to 1"),
        ("data.snr_db=[3, 2]", r"must be \[low, high\]"),
        ("data.recordings=[{role = 'song', glob = '*'}]", "role 'song' is unknown"),
        ("data.recordings=[{glob = '*'}]", r"needs \['glob', 'role'\], got \['glob'\]"),
        ("data.recordings=[{role = 'noise', glob = '../*'}]", "must be relative"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(path, override, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        recipe.load(path, [override])
    assert "\n" not in str(refusal.value)


def test_a_mask_that_needs_frames_the_network_does_not_see_is_refused(path):
    with pytest.raises(ConfigError, match="deep_filter is applied 1 frames ahead"):
        recipe.load(path, ["head={mask = 'deep_filter', lookahead = 1}"])


def test_reading_a_recipe_draws_no_random_numbers(path):
    before = torch.get_rng_state()
    recipe.load(path)
    assert torch.equal(before, torch.get_rng_state())


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: no such recipe"):
        recipe.load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[train\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: not a TOML file"):
        recipe.load(broken)
