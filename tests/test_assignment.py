"""Sources in no order: which output belongs to which target, found and trained."""

import itertools
import json

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("lightning_fabric")

from unmask import export, load_model, losses, recipe, train  # noqa: E402
from unmask.errors import ConfigError, ShapeError  # noqa: E402
from unmask.train.assignment import Assignment  # noqa: E402

RATE, STEMS = 8000, ["vocals", "drums"]


def signals(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mse(estimate, target, mixture):
    return (estimate - target).square().mean((-2, -1))


# ---- what is found


@pytest.mark.parametrize("n_estimates", [2, 4, 6, 9])
def test_outputs_are_shared_out_the_way_that_makes_the_loss_least(n_estimates):
    estimate, target = signals(3, n_estimates, 1, 50), signals(3, 2, 1, 50, seed=1)
    found = losses.grouped(mse)(estimate, target, target.sum(1))
    every = torch.stack(
        [
            mse(losses.combine(torch.eye(2)[list(way)].mT, estimate), target, None).mean(-1)
            for way in itertools.product(range(2), repeat=n_estimates)
        ]
    )
    torch.testing.assert_close(mse(found, target, None).mean(-1), every.amin(0))


def test_parts_of_sources_come_together_again_in_every_example_by_itself():
    target = signals(4, 3, 2, 60)
    share = torch.rand(4, 3, 1, 1, generator=torch.Generator().manual_seed(1))
    parts = torch.cat([share * target, (1 - share) * target], 1)
    rng = np.random.default_rng(0)
    shuffled = torch.stack([x[torch.from_numpy(rng.permutation(6))] for x in parts])
    si_sdr = losses.losses(recipe.Loss().stft)["si_sdr"]
    found = losses.grouped(si_sdr)(shuffled, target, target.sum(1))
    torch.testing.assert_close(found, target)


def test_an_order_is_that_of_the_whole_loss_not_of_its_terms():
    # the first term alone would swap the two, the sum does not
    target = torch.tensor([[[[1.0, 0]], [[0, 1.0]]]])
    estimate = torch.tensor([[[[0.4, 0.6]], [[0.6, 0.4]]]])

    def total(estimate, target, mixture):
        first = mse(estimate, target, mixture)
        return first + 10 * (estimate[..., 0] - 0.6 + 0.2 * target[..., 0]).abs().mean(-1)

    assert torch.equal(losses.ordered(mse)(estimate, target, None), estimate.flip(1))
    assert torch.equal(losses.ordered(total)(estimate, target, None), estimate)


def test_more_ways_than_can_be_tried_are_refused():
    with pytest.raises(ShapeError, match="17 estimates shared out among 2 targets: 131072 ways"):
        losses.grouped(mse)(signals(1, 17, 1, 5), signals(1, 2, 1, 5), None)


def test_mixit_learns_from_sums_of_pairs_and_never_sees_a_source():
    mixture = signals(6, 1, 20)
    unseen = {"targets": torch.full((6, 2, 1, 20), torch.nan), "sums": torch.eye(2).expand(6, 2, 2)}
    made = Assignment("mixit", mse).examples({"mixture": mixture} | unseen)
    assert torch.equal(made["mixture"], mixture[:3] + mixture[3:])
    assert torch.equal(made["targets"], torch.stack([mixture[:3], mixture[3:]], 1))
    assert torch.equal(made["sums"], torch.eye(2).expand(3, 2, 2))


@pytest.mark.parametrize("kind", ["fixed", "permutation", "groups"])
def test_the_others_learn_from_the_examples_as_they_are(kind):
    batch = {"mixture": signals(2, 1, 5)}
    assert Assignment(kind, mse).examples(batch) is batch


# ---- what is trained


def tables(assignment, **head):
    return {
        "frontend": {"kind": "learned", "length": 16, "hop": 8, "filters": 16},
        "backbone": {
            "kind": "tcn",
            "channels": 4,
            "hidden": 6,
            "skip": 5,
            "blocks": 2,
            "repeats": 1,
            "causal": False,
            "norm": "global",
            "segment": 257,
        },
        "head": {"mask": "irm1", **head},
        "loss": {"kind": "si_sdr + 0.1*waveform", "assignment": assignment},
        "data": {
            "kind": "stems",
            "sample_rate": RATE,
            "samples": 2048,
            "sources": STEMS,
            "targets": STEMS,
            "valid_examples": 2,
            "tracks": [{"glob": "a"}, {"glob": "b", "valid_share": 1.0}],
        },
        "train": {"steps": 2, "batch": 4, "log": [], "valid_every": 1},
    }


GROUPS = {"outputs": 4, "grouping": "assigned"}
RECIPES = {
    "permutation": tables("permutation"),
    "permutation of sums": tables("permutation", outputs=4, grouping="sum"),
    "permutation of learned sums": tables("permutation", outputs=4, grouping="learned"),
    "permutation, deep": tables("permutation", depth=3, hidden=8, shared=True),
    "groups": tables("groups", **GROUPS),
    "mixit": tables("mixit", **GROUPS),
}


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    torch.set_num_threads(1)
    root, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    for song in "ab":
        (root / song).mkdir()
        for stem in STEMS:
            soundfile.write(root / song / f"{stem}.wav", 0.1 * rng.standard_normal(RATE), RATE)
    return root


@pytest.mark.parametrize("name", RECIPES)
def test_it_trains_is_resumed_exports_and_runs(name, songs, tmp_path):
    made = recipe.from_dict(RECIPES[name])
    run = train.run(made, tmp_path / "run", data_root=songs, cache=songs / "cache")
    assert train.read_about(run)["result"]["steps"] == 2
    about = export.export([run], tmp_path / "x.onnx")
    assert about["permutation"] == "free"
    assigned = made.head.grouping == "assigned"
    stems = [f"output{k}" for k in range(1, 5)] if assigned else STEMS
    assert about["training"]["result"]["reconstruction_db"] < 30
    assert about["stems"] == stems
    mixture = 0.1 * np.random.default_rng(0).standard_normal((1, 3000)).astype(np.float32)
    estimates = load_model(tmp_path / "x.onnx").separate(mixture, RATE)
    assert list(estimates) == stems
    assert all(estimate.shape == (1, 3000) for estimate in estimates.values())


@pytest.mark.parametrize("name", ["permutation", "groups"])
def test_the_order_of_the_stems_changes_no_score(name, songs, tmp_path):
    records = []
    for stems in (STEMS, STEMS[::-1]):
        settings = json.loads(json.dumps(RECIPES[name]))
        settings["data"] |= {"sources": STEMS, "targets": stems}
        made = recipe.from_dict(settings)
        run = train.run(made, tmp_path / stems[0], data_root=songs, cache=songs / "cache")
        lines = map(json.loads, (run / train.RECORDS).read_text().splitlines())
        records.append([line["valid"] for line in lines if "valid" in line])
    for ours, theirs in zip(*records, strict=True):
        assert theirs == pytest.approx(ours, rel=1e-4)


@pytest.mark.parametrize(
    ("assignment", "changes", "message"),
    [
        ("any", {}, "loss: assignment 'any'; there are"),
        ("groups", {}, "loss: assignment = 'groups' with head.grouping = 'none'"),
        ("permutation", {"head": GROUPS}, "'permutation' with head.grouping = 'assigned'"),
        ("permutation", {"data": {"targets": ["drums"]}}, "needs targets, data has 'drums'"),
        ("mixit", {"head": GROUPS, "train": {"batch": 3}}, "expected an even batch"),
        ("mixit", {"head": GROUPS | {"outputs": 3}}, "and at least 4 outputs"),
        (
            "permutation",
            {"frontend": {"n_fft": 64, "hop": 32}, "loss": {"kind": "mask_l1"}},
            "compares masks, assignment = 'permutation' moves waveforms",
        ),
        (
            "permutation",
            {"data": {"tracks": [{"glob": "a", "contains": {"other": STEMS}}]}},
            "some stems are known only together",
        ),
    ],
)
def test_what_cannot_be_assigned_is_refused_in_one_line(assignment, changes, message):
    made = tables(assignment)
    for section, values in changes.items():
        made[section] = values if section == "frontend" else made[section] | values
    with pytest.raises(ConfigError, match=message) as refusal:
        recipe.from_dict(made)
    assert "\n" not in str(refusal.value)
