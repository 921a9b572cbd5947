"""``unmask plot phase-benefit`` and ``unmask plot difference``."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import audio
from unmask.cli import main
from unmask.demonstration import PARTS, Comparison, compare, page
from unmask.errors import ConfigError, ShapeError
from unmask.plots import Plane, phase_benefit_figure, spectrogram_figure

pytest.importorskip("matplotlib")

RATE = 8000


def run(*arguments):
    return CliRunner().invoke(main, ["plot", *(str(argument) for argument in arguments)])


def write(folder, rng, *names, rate=RATE):
    folder.mkdir()
    for name in names:
        waveform = rng.uniform(-0.3, 0.3, size=(1, rate)).astype("float32")
        audio.write(folder / f"{name}.wav", waveform, rate, subtype="FLOAT")
    return folder


@pytest.fixture
def songs(tmp_path, rng):
    return [write(tmp_path / name, rng, "speech", "noise") for name in ("one", "two")]


def test_the_curve_is_printed_written_and_drawn(songs, tmp_path):
    out, said = tmp_path / "benefit.svg", tmp_path / "benefit.json"
    result = run("phase-benefit", *songs, "-o", out, "--json", said, "--n-fft", 256, "--sdr", 10)
    assert result.exit_code == 0, result.output
    assert "</svg>" in out.read_text()
    found = json.loads(said.read_text())
    assert found["stft"] == {"n_fft": 256, "hop": 64, "window": "hann"}
    means = {curve["name"]: curve for curve in found["means"]}
    assert list(means) == ["noise", "speech", "mean"]
    of_two = [found["recordings"][k]["stems"][1]["sdr_db"] for k in (0, 1)]
    np.testing.assert_allclose(means["speech"]["sdr_db"], np.mean(of_two, axis=0))
    whole = means["mean"]
    assert whole["crossovers_hz"] == [0, 62.5, 125, 250, 500, 1000, 2000, 4000]
    assert f"2000-4000 Hz   {means['noise']['gain_db'][-1]:.2f}" in re.sub(
        r" {3,}", "   ", result.stdout
    )
    # Noise has as much to gain in every octave: nearly all of it has to be complex.
    assert set(found["crossovers_hz"]["mean"].values()) == {4000}
    assert "below 4000 Hz, with a separator of 10 dB" in result.stdout
    assert "mean: complex below 4000 Hz loses at most 0.5 dB of the whole band" in result.stdout
    assert 0 < found["loss_at_db"]["mean"][0] < whole["loss_db"][0]


def test_only_the_stems_and_the_stretch_that_are_asked_for(songs, tmp_path):
    said = tmp_path / "b.json"
    options = (
        "--stems",
        "dialogue",
        "--start",
        0.25,
        "--duration",
        0.5,
        "--loss",
        40,
        "--json",
        said,
    )
    result = run("phase-benefit", songs[0], "-o", tmp_path / "b.png", *options, "--n-fft", 256)
    assert result.exit_code == 0, result.output
    found = json.loads(said.read_text())
    assert [curve["name"] for curve in found["means"]] == ["speech"]
    assert found["crossovers_hz"]["speech"]["whole_band"] == 0
    cut = run("phase-benefit", songs[0], "-o", tmp_path / "b.png", *options[:2], "--n-fft", 256)
    assert cut.stdout != result.stdout


def test_families_can_be_chosen(songs, tmp_path):
    said = tmp_path / "b.json"
    options = ("--complex", "irm1", "--real", "irm1", "--json", said)
    result = run("phase-benefit", songs[0], "-o", tmp_path / "b.png", *options)
    assert result.exit_code == 0, result.output
    for curve in json.loads(said.read_text())["means"]:
        np.testing.assert_allclose(curve["loss_db"], 0, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{a}", "--real", "irm9"), "no mask family named 'irm9'"),
        (("{a}", "--stems", "bass"), "no bass; there are noise, speech"),
        (("{a}", "--start", 3), "one: start 3 s, duration None s, expected a stretch"),
        (("{a}", "--loss", -1), "loss: -1.0 dB, expected >= 0 dB"),
        (("nowhere",), "nowhere: not a folder"),
        (("{a}", "{other}"), "expected one or more with the same octaves"),
    ],
)
def test_bad_input_of_the_curve_is_one_line(arguments, message, songs, tmp_path, rng):
    out = tmp_path / "b.png"
    other = write(tmp_path / "other", rng, "speech", "noise", rate=2 * RATE)
    filled = (str(argument).format(a=songs[0], other=other) for argument in arguments)
    result = run("phase-benefit", *filled, "-o", out, "--n-fft", 256)
    assert result.exit_code == 1, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not out.exists()


class Links(HTMLParser):
    """What a page shows and loads."""

    def __init__(self, text):
        super().__init__()
        self.links, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def read_parts(out):
    return {part: audio.read(out / f"{part}.wav")[0] for part in PARTS}


def test_two_oracles_of_a_folder_make_a_page(songs, tmp_path):
    out = tmp_path / "page"
    options = ("--stem", "Speech", "--start", 0.2, "--duration", 0.5, "--n-fft", 256)
    said = tmp_path / "said.json"
    result = run("difference", "complex", "irm1", songs[0], "-o", out, *options, "--json", said)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"{out / 'index.html'}\n")
    links = Links((out / "index.html").read_text()).links
    assert sorted(links) == sorted(f"{part}.{kind}" for part in PARTS for kind in ("png", "wav"))
    for name in ("figure.png", *(link for link in links if link.endswith("png"))):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    sounds = read_parts(out)
    truth = audio.read(songs[0] / "speech.wav")[0][:, 1600:5600]
    np.testing.assert_allclose(sounds["a"], truth, atol=1e-3)
    np.testing.assert_allclose(sounds["difference"], sounds["a"] - sounds["b"], atol=1e-4)
    a, b = json.loads(said.read_text())["parts"][1:3]
    assert a["sdr_db"] > 60 > 20 > b["sdr_db"] > 3
    assert f"SDR {b['sdr_db']:.2f} dB" in (out / "index.html").read_text()


def test_two_models_of_one_name_on_a_file(songs, tmp_path):
    models = [
        onnx_models.constant(tmp_path / f"{k}.onnx", [[value, 0.0]])
        for k, value in enumerate((0.3, 0.0))
    ]
    out = tmp_path / "page"
    result = run("difference", *models, songs[0] / "noise.wav", "-o", out)
    assert result.exit_code == 0, result.output
    sounds = read_parts(out)
    np.testing.assert_allclose(sounds["a"], 0.3 * sounds["mixture"], atol=1e-3)
    np.testing.assert_allclose(sounds["b"], 0, atol=1e-4)
    np.testing.assert_allclose(sounds["difference"], sounds["a"], atol=1e-4)
    shown = Links((out / "index.html").read_text()).text
    assert "speech, test (A)" in shown
    assert "speech, test (B)" in shown
    assert "SDR" not in shown


def test_a_model_beside_the_oracle_of_its_front_end(songs, tmp_path):
    out = tmp_path / "page"
    result = run("difference", "denoise-16k", "psm", songs[0], "-o", out, "--names", "net,best")
    assert result.exit_code == 0, result.output
    assert "speech, net" in result.stdout
    assert "difference: net minus best" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("irm1", "psm", "{file}"), "irm1: an oracle needs the stems; give their folder"),
        (("irm1", "psm", "{folder}"), "stem: None, expected one of what oracle of irm1"),
        (("irm1", "psm", "{folder}", "--stem", "bass"), "have in common: noise, speech"),
        (("irm1", "ps", "{folder}"), "no mask family named 'ps'"),
        (("irm1", "psm", "{folder}", "--stem", "noise", "--start", 1), "which is 1.0 s long"),
        (("irm1", "psm", "{folder}", "--channel", 2), "--channel: 2, the recording has 1"),
        (("irm1", "psm", "{folder}", "--names", "x"), "--names: 1 names, expected two"),
        (("irm1", "psm", "nothing.wav"), "nothing.wav"),
    ],
)
def test_bad_input_of_the_page_is_one_line_and_leaves_nothing(arguments, message, songs, tmp_path):
    filled = (str(x).format(file=songs[0] / "noise.wav", folder=songs[0]) for x in arguments)
    result = run("difference", *filled, "-o", tmp_path / "page")
    assert result.exit_code == 1, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "page").exists()


def comparison(**changes):
    values = {name: np.full((1, 100), x) for name, x in (("mixture", 1.0), ("a", 0.5), ("b", -1.5))}
    return Comparison(**({"stem": "s", "names": ("x", "y"), "sample_rate": 10} | values | changes))


def test_levels_and_the_gain_that_avoids_clipping_are_known():
    rows = {row["part"]: row for row in comparison(target=np.ones((1, 100))).facts()}
    assert rows["a"]["level_db"] == pytest.approx(-6.02, abs=0.01)
    assert rows["difference"]["level_db"] == pytest.approx(6.02, abs=0.01)
    assert rows["a"]["sdr_db"] == pytest.approx(6.02, abs=0.01)
    assert np.isnan(rows["difference"]["sdr_db"])
    assert comparison().gain() == 0.5
    assert comparison(b=np.zeros((1, 100))).gain() == 1
    assert comparison(b=np.full((1, 100), 0.5)).facts()[3]["level_db"] == -np.inf
    assert comparison().part(2, 3).mixture.shape == (1, 30)
    with pytest.raises(ShapeError, match="shapes must agree"):
        comparison(a=np.zeros((1, 99)))


def test_names_are_text_and_no_markup():
    text = page(comparison(names=("<b>", "&")), title="<i>", note="1 < 2")
    assert not {"<b>&", "<i>", "1 < 2"} & set(re.findall(r"<i>|1 < 2|<b>&", text))
    parsed = Links(text)
    assert "difference: <b> minus &" in parsed.text
    assert "1 < 2" in parsed.text
    assert not re.search(r"https?:|//", text)


def test_one_common_stem_needs_no_name():
    x = np.ones((1, 4))
    found = compare(("a", {"s": x, "r": x}), ("b", {"s": 2 * x}), x, 10, truth={"r": x})
    assert (found.stem, found.target) == ("s", None)
    with pytest.raises(ConfigError, match="have in common: nothing"):
        compare(("a", {"s": x}), ("b", {"t": x}), x, 10)


def test_spectrograms_share_one_scale():
    plane = Plane(np.arange(3), 1000.0 * np.arange(4))
    spectra = {
        "loud": np.full((4, 3), 2.0),
        "quiet": np.full((4, 3), 0.2),
        "nothing": np.zeros((4, 3)),
    }
    figure = spectrogram_figure(spectra, plane, title="all")
    shown = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in shown] == list(spectra)
    levels = [ax.collections[0].get_array().max() for ax in shown]
    assert levels == pytest.approx([0, -20, -200])
    assert {ax.collections[0].get_clim() for ax in shown} == {(-80, 0)}
    with pytest.raises(ConfigError, match="no spectrum to draw"):
        spectrogram_figure({}, plane)


def test_the_curves_are_those_given_and_the_crossover_is_marked():
    edges = (0, 500, 1000, 2000)
    figure = phase_benefit_figure(
        edges,
        {"speech": (1, 2, np.nan), "mean": (3, 4, 5)},
        {"speech": (3, 2, 1, 0), "mean": (6, 0.6, 0.4, 0)},
        limit_db=0.5,
    )
    left, right = figure.axes
    np.testing.assert_equal(left.patches[0].get_data().values, (1, 2, np.nan))
    np.testing.assert_equal(left.patches[1].get_data().values, (3, 4, 5))
    dot = next(line for line in right.lines if line.get_marker() == "o")
    assert (*dot.get_xdata(), *dot.get_ydata()) == (2, 0.4)
    assert [text.get_text() for text in right.get_xticklabels()] == ["0", "500", "1k", "2k"]
    with pytest.raises(ShapeError, match="mean: 2 values, expected 3 for 4 edges"):
        phase_benefit_figure(edges, {"mean": (1, 2)}, {"mean": (1, 1, 1, 1)}, limit_db=1)
    with pytest.raises(ConfigError, match="no gains or no losses"):
        phase_benefit_figure(edges, {}, {}, limit_db=1)
