"""Sources that are cut differently on two sides are added up before they are compared."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from unmask import audio, masks
from unmask import evaluate as ev
from unmask.cli import main
from unmask.errors import ConfigError
from unmask.folding import add_up, check, match, match_model, unlike
from unmask.frontends import STFT
from unmask.gap import gap
from unmask.mask_analysis import model_masks

RATE = 16000
FOUR = ("vocals", "drums", "bass", "other")
FIVE = (*FOUR, "guitar")


def rows(folding):
    """Source -> its estimates and its targets."""
    names = dict.fromkeys((*folding.estimates, *folding.targets))
    return {
        name: (set(folding.estimates.get(name, ())), set(folding.targets.get(name, ())))
        for name in names
    }


def same(*names):
    return {name: ({name}, {name}) for name in names}


@pytest.mark.parametrize(
    ("ours", "theirs", "folded"),
    [
        (FOUR, FOUR, same(*FOUR)),
        (FIVE, FIVE, same(*FIVE)),
        (FIVE, FOUR, same(*FOUR) | {"other": ({"other", "guitar"}, {"other"})}),
        (FOUR, FIVE, same(*FOUR) | {"other": ({"other"}, {"other", "guitar"})}),
        (
            ("vocals", "guitar", "lead-guitar"),
            ("vocals", "other"),
            same("vocals") | {"other": ({"guitar", "lead-guitar"}, {"other"})},
        ),
        (
            ("vocals", "no_vocals"),
            FOUR,
            same("vocals") | {"accompaniment": ({"no_vocals"}, {"drums", "bass", "other"})},
        ),
        (
            FIVE,
            ("drums", "no_drums"),
            same("drums") | {"no_drums": ({"vocals", "bass", "other", "guitar"}, {"no_drums"})},
        ),
        # What may as well be missing is left for the caller to refuse.
        (("vocals", "other"), ("vocals", "drums"), None),
        (("vocals", "guitar"), ("vocals", "drums"), None),
    ],
)
def test_what_only_one_side_has_is_part_of_what_the_other_has(ours, theirs, folded):
    found = match(ours, theirs)
    if folded is None:
        assert found.automatic == {}
    else:
        assert rows(found) == folded
        assert bool(found.automatic) == (folded != same(*folded))


def test_names_are_compared_in_their_one_form():
    found = match(("Voice", "percussion"), ("vocals", "drums"))
    assert rows(found) == {"vocals": ({"Voice"}, {"vocals"}), "drums": ({"percussion"}, {"drums"})}


def test_what_is_asked_for_is_folded_on_both_sides():
    found = match((*FIVE, "harp"), FIVE, asked={"harp": "other", "guitar": "other"})
    assert rows(found)["other"] == ({"other", "guitar", "harp"}, {"other", "guitar"})
    assert found.automatic == {}


def test_nothing_is_folded_unasked_into_sources_that_do_not_matter():
    assert match(FOUR, FIVE, only=("vocals",)).automatic == {}
    assert match(FOUR, FIVE, only=("Other",)).automatic == {"guitar": "other"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"harp": "other"}, "fold harp=other: there is no harp; there are bass, drums"),
        ({"guitar": "rest"}, "fold guitar=rest: there is no rest"),
        ({"guitar": "other", "bass": "guitar"}, "guitar is added to and folded"),
    ],
)
def test_what_cannot_be_folded_is_refused(asked, words):
    with pytest.raises(ConfigError, match=words):
        check(asked, FIVE, FOUR)


@pytest.mark.parametrize(
    ("theirs", "folded"),
    [
        (("drums", "vocals"), same("vocals", "drums") | {"other": ({"other"}, set())}),
        (
            ("vocals", "bass", "piano"),
            same("vocals") | {"drums": ({"drums"}, set()), "other": ({"other"}, {"bass", "piano"})},
        ),
        (
            ("drums", "other", "bass"),
            same("drums")
            | {"vocals": ({"vocals"}, set()), "other": ({"other"}, {"other", "bass"})},
        ),
    ],
)
def test_what_a_model_does_not_name_is_its_residuals(theirs, folded):
    model = SimpleNamespace(stems=("vocals", "drums"), residual="other")
    found = match_model(model, theirs)
    assert rows(found) == folded
    assert sorted(part for row in found.targets.values() for part in row) == sorted(theirs)


def test_a_model_that_names_no_stem_is_refused():
    model = SimpleNamespace(stems=("vocals", "drums"), residual="other")
    with pytest.raises(ConfigError, match="none of vocals, drums is among other, bass; name the"):
        match_model(model, ("other", "bass"))


def test_scores_that_mean_different_things_are_said():
    [said] = unlike({"six": FIVE, "four": FOUR, "speech": ("speech",)})
    assert said.startswith("six: 'other' lacks guitar")
    assert "--fold guitar=other" in said
    assert list(unlike({"a": FIVE, "b": FIVE})) == list(unlike({"a": FOUR, "b": FOUR})) == []


class Fake:
    """A separator that returns what it was told to, whatever it hears."""

    sample_rate = RATE
    residual = "residual"
    stft = STFT(512, 128, "sqrt_hann")
    family = masks.get("complex_tanh")

    def __init__(self, estimates):
        self.stems, self.estimates = tuple(estimates), estimates

    def stft_at(self, sample_rate):
        return self.stft

    def family_at(self, sample_rate):
        return self.family.at(sample_rate)

    def separate(self, mixture, sample_rate, *, residual):
        return self.estimates | {"residual": mixture - sum(self.estimates.values())}


@pytest.fixture
def truth(rng):
    return {name: 0.1 * rng.standard_normal((2, 6000)) for name in FIVE}


@pytest.fixture
def estimates(truth, rng):
    return {name: x + 0.02 * rng.standard_normal(x.shape) for name, x in truth.items()}


def folded(stems):
    """The same with the guitar in "other"."""
    return {name: stems[name] + (stems["guitar"] if name == "other" else 0) for name in FOUR}


def numbers(scores):
    return {(cell.stem, cell.case, cell.low_hz): cell.sdr for cell in scores}


def test_the_gap_of_five_stems_on_four_is_that_of_the_folded_ones(truth, estimates):
    expected = numbers(gap(Fake(folded(estimates)), folded(truth), RATE))
    for ours, theirs in ((estimates, folded(truth)), (folded(estimates), truth)):
        assert numbers(gap(Fake(ours), theirs, RATE)) == pytest.approx(expected, abs=1e-9)
    asked = gap(Fake(estimates), truth, RATE, fold={"guitar": "other"})
    assert numbers(asked) == pytest.approx(expected, abs=1e-9)
    assert ("guitar", "model", 0.0) in numbers(gap(Fake(estimates), truth, RATE))


def write(folder, stems, subtype="FLOAT"):
    folder.mkdir(parents=True)
    for name, x in stems.items():
        audio.write(folder / f"{name}.wav", x, RATE, subtype=subtype)
    return folder


def test_the_scores_of_five_stems_on_four_are_those_of_the_folded_ones(tmp_path, truth, estimates):
    steps = 2**-15  # sums of whole steps are exact
    truth, estimates = (
        {name: np.round(x / steps) * steps for name, x in side.items()}
        for side in (truth, estimates)
    )
    settings = ev.Settings(metrics=("bsseval", "sdr", "si_sdr"), window_s=0.2, hop_s=0.2)
    found = {}
    for case, ours, theirs in (
        ("folded", folded(estimates), folded(truth)),
        ("five on four", estimates, folded(truth)),
        ("four on five", folded(estimates), truth),
    ):
        here = tmp_path / case
        pairs = ev.pair(write(here / "ours", ours), write(here / "theirs", theirs))
        assert bool(pairs.folded) == (case != "folded")
        [result] = ev.evaluate(pairs.tracks, out=here / "scores", settings=settings)
        found[case] = {key[2:]: series.score for key, series in result.table.items()}
    assert {stem for stem, _ in found["folded"]} == set(FOUR)
    for case in ("five on four", "four on five"):
        assert found[case].keys() == found["folded"].keys()
        for key, scores in found["folded"].items():
            np.testing.assert_allclose(found[case][key], scores, rtol=0, atol=1e-9)


def test_evaluate_says_what_it_folded_and_takes_what_it_is_told(
    tmp_path, truth, estimates, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "ours/song", estimates)
    write(tmp_path / "theirs/song", folded(truth))
    harp = {"harp" if name == "guitar" else name: x for name, x in estimates.items()}
    write(tmp_path / "harp/song", harp)

    def run(ours, *options):
        words = ["evaluate", ours, "theirs", "--metric", "sdr", "--json", "-", *options]
        return CliRunner().invoke(main, words)

    unasked, refused, asked = run("ours"), run("harp"), run("harp", "--fold", "harp=other")
    assert "guitar: a stem of one side only, compared as part of other" in unasked.stderr
    assert (refused.exit_code, asked.exit_code) == (1, 0)
    assert "target of harp" in refused.stderr
    assert "part of" not in asked.stderr
    values = [
        {row["target"]: row["value"] for row in document(result)} for result in (unasked, asked)
    ]
    assert values[0] == values[1]
    assert set(values[0]) == set(FOUR)


def document(result):
    """The scores in what a command printed: a table, JSON, a line."""
    text = result.stdout
    return json.JSONDecoder().raw_decode(text[text.index("{") :])[0]["median"]["scores"]


@pytest.mark.parametrize("text", ["guitar", "guitar=", "=other", "other=other"])
def test_a_fold_that_is_none_is_refused(text, tmp_path):
    result = CliRunner().invoke(main, ["gap", "-m", "x", str(tmp_path), "--fold", text])
    assert result.exit_code == 1
    assert f"--fold {text}: expected PART=WHOLE" in result.stderr


def test_masks_are_added_up_as_their_sources_are(tmp_path, truth):
    import onnx_models
    from unmask.engine.model import load_model

    mask = {"family": "complex", "options": {}}
    shares = {"vocals": 0.1, "drums": 0.2, "bass": 0.3, "other": 0.15, "guitar": 0.25}
    path = onnx_models.constant(
        tmp_path / "five.onnx", [[x, 0] for x in shares.values()], mask=mask, stems=list(shares)
    )
    found = model_masks(load_model(path), folded(truth), RATE)
    assert list(found.masks) == list(FOUR)
    np.testing.assert_allclose(found.masks["other"], 0.4, atol=1e-6)
    np.testing.assert_allclose(found.masks["drums"], 0.2, atol=1e-6)


def test_sums_are_of_what_they_are_told():
    parts = {"a": np.ones((1, 3)), "b": np.full((1, 3), 2.0)}
    found = add_up({"both": ("a", "b"), "b": ("b",)}, parts)
    assert {name: x[0, 0] for name, x in found.items()} == {"both": 3, "b": 2}


def test_scores_say_where_other_is_not_the_same(tmp_path, truth, estimates):
    for system, ours, theirs in (
        ("five", estimates, truth),
        ("four", folded(estimates), folded(truth)),
    ):
        here = tmp_path / "sounds" / system
        pairs = ev.pair(write(here / "ours/song", ours), write(here / "theirs/song", theirs))
        settings = ev.Settings(metrics=("sdr",))
        list(ev.evaluate(pairs.tracks, out=tmp_path / system, settings=settings))

    def run(*names):
        words = ["scores", *(str(tmp_path / name) for name in names)]
        return CliRunner().invoke(main, words)

    both, one = run("five", "four"), run("five")
    assert (both.exit_code, one.exit_code) == (0, 0)
    assert "five: 'other' lacks guitar" in both.stderr
    assert one.stderr == ""


def test_figures_of_masks_say_what_was_folded(tmp_path, truth):
    pytest.importorskip("matplotlib")
    import onnx_models

    mask = {"family": "complex", "options": {}}
    path = onnx_models.constant(
        tmp_path / "four.onnx", [[0.25, 0]] * 4, mask=mask, stems=list(FOUR)
    )
    write(tmp_path / "true", truth)

    def run(*options):
        words = ["plot", "masks", str(path), str(tmp_path / "true"), "-o", str(tmp_path / "f.png")]
        return CliRunner().invoke(main, [*words, "--stems", "other", *options])

    unasked, asked = run(), run("--fold", "guitar=other")
    assert (unasked.exit_code, asked.exit_code) == (0, 0), unasked.output
    assert "guitar: a stem of one side only, compared as part of other" in unasked.stderr
    assert asked.stderr == ""
    assert asked.stdout == unasked.stdout
