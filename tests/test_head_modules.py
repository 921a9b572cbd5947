"""Deep, shared and grouped heads: what equals what, and what they cost."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

import model_files  # noqa: E402
from small_nets import SMALL, build, fresh, noise, run  # noqa: E402
from unmask import export, load_model, masks, recipe  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.nets.contract import Region  # noqa: E402
from unmask.nets.counting import shares_of_head  # noqa: E402
from unmask.nets.head import folded  # noqa: E402

N_BINS, N_SOURCES, N_EACH, N_MAPS = 64, 2, 3, 2
OVER = {"outputs": N_SOURCES * N_EACH, "grouping": "sum"}


@pytest.mark.parametrize("name", ["tcn", "dual_path"])
def test_a_deep_head_with_a_block_of_ones_is_over_separation_and_a_sum(name):
    # Li, Hu and Luo (2022): masks tanh(Wh + b) of more outputs, added up, are an MLP of two layers
    over = build(name, mask="complex_tanh_parts", head=OVER)
    n_hidden = N_SOURCES * N_EACH * N_MAPS * N_BINS
    deep = build(name, mask="complex", head={"depth": 2, "hidden": n_hidden})
    deep.backbone.load_state_dict(over.backbone.state_dict())
    (first, _, (second, _)), ((only, _),) = deep.head.branches[0], over.head.branches[0]
    block = torch.kron(torch.eye(N_SOURCES), torch.ones(1, N_EACH))
    with torch.no_grad():
        first.load_state_dict(only.state_dict())
        second.weight.copy_(torch.kron(block, torch.eye(N_MAPS * N_BINS))[:, :, None, None])
        second.bias.zero_()
    x = noise(over, 64)
    expected = run(over, x)
    assert expected.abs().max() > 0.1
    assert torch.allclose(run(deep, x), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_learned_grouping_begins_as_the_sum_behind_every_backbone(name):
    summed = build(name, mask="complex_tanh", head=OVER)
    learned = fresh(name, mask="complex_tanh", head=OVER | {"grouping": "learned"}).eval()
    state = learned.state_dict() | summed.state_dict()
    learned.load_state_dict(state)
    x = noise(summed, 64)
    assert torch.allclose(run(learned, x), run(summed, x), rtol=0, atol=1e-6)
    with torch.no_grad():
        learned.grouping.weight[0, -1] = 0.5
    assert not torch.allclose(run(learned, x), run(summed, x), atol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_outputs_that_are_assigned_leave_the_network_as_they_are(name):
    apart = build(name, mask="complex_tanh", n_sources=6)
    free = build(name, mask="complex_tanh", head={"outputs": 6, "grouping": "assigned"})
    assert free.n_sources == 6
    free.load_state_dict(apart.state_dict())
    x = noise(apart, 64)
    assert torch.equal(run(free, x), run(apart, x))


SHARED = {"shared": True, "depth": 3, "hidden": 7}


@pytest.mark.parametrize("name", SMALL)
def test_a_shared_head_treats_all_outputs_alike(name):
    net = build(name, mask="complex", n_sources=3, head=SHARED)
    x = noise(net, 64)
    before = run(net, x)
    with torch.no_grad():
        for branch in net.head.branches:
            for parameter in branch.apart.parameters():
                parameter.copy_(parameter.unflatten(0, (3, -1))[[1, 2, 0]].flatten(0, 1))
    assert torch.allclose(run(net, x), before[:, [1, 2, 0]], atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_a_shared_head_hears_the_mixture_where_features_say_nothing(name):
    net = build(name, mask="complex", head=SHARED)
    with torch.no_grad():
        for branch in net.head.branches:
            branch.apart.weight.zero_()
    x = noise(net, 64)
    other = x.clone()
    other[..., 20:30, 32:] += 1
    changed = (run(net, x) - run(net, other)).abs().amax((0, 1, 2, 3, 4))
    assert changed[34:62].min() > 0
    # as far as the last layer reaches, and no farther
    assert not changed[:30].any()


def test_what_is_seen_is_folded_to_the_places_of_a_region():
    region = Region(n_features=1, n_bins=6, n_places=2, n_frames=2, readout=torch.nn.Conv2d)
    frame, fine = torch.meshgrid(torch.arange(4.0), torch.arange(6.0), indexing="ij")
    seen = torch.stack([10 * frame + fine, 100 + 10 * frame + fine])[None]
    found = folded(seen, region)
    assert found.shape == (1, 2 * 2 * 3, 2, 2)  # map and frame and bin; frame, place
    place = [20, 21, 22, 30, 31, 32]
    assert found[0, :, 1, 0].tolist() == [*place, *(100 + n for n in place)]
    assert found[0, :3, 0, 1].tolist() == [3, 4, 5]


def test_a_shared_head_does_not_wait_for_features_that_come_late():
    with pytest.raises(ConfigError, match=r"head: shared hears the mixture at once, .* 2 frames"):
        build("band_net", lookahead=2, head=SHARED)


@pytest.mark.parametrize("outputs", [1, 17])
def test_more_ways_to_share_out_than_can_be_tried_are_refused(outputs):
    with pytest.raises(ConfigError, match="at most 65536 ways") as refusal:
        build("tcn", mask="irm1", head={"outputs": outputs, "grouping": "assigned"})
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("frontend", [model_files.SPECTRUM, model_files.LEARNED])
@pytest.mark.parametrize("backbone", SMALL)
def test_the_file_of_a_shared_and_grouped_head_gives_what_torch_gives(backbone, frontend, tmp_path):
    head = SHARED | {"outputs": 4, "grouping": "learned"}
    settings = {"frontend": frontend, "backbone": backbone, "net": (), "head": head}
    path = tmp_path / "x.onnx"
    model_files.write(path, "irm1", stems=("a", "b"), residual=None, **settings)
    net = model_files.build(masks.get("irm1"), channels=1, n_sources=2, seed=0, **settings)
    export.check(load_model(path), net, path, 1e-4)


# ---- what they cost


def test_the_shares_of_a_head_are_those_on_paper():
    net = fresh("tcn", front="learned")
    head = 6 * 2 * 64
    others = 16 * 64 + 64 * 4 + 4 * (4 * 5 + 3 * 5 + 5 * 6) + 3 * 5 * 4 + 2 * 64 * 16
    _, of_macs = shares_of_head(net)
    assert of_macs == pytest.approx(head / (head + others))
    n_head = 6 * 2 * 64 + 2 * 64
    n_all = sum(parameter.numel() for parameter in net.parameters())
    assert shares_of_head(net)[0] == pytest.approx(n_head / n_all)


def test_learned_grouping_is_part_of_the_head():
    plain, learned = (
        fresh("tcn", mask="complex", head=OVER | {"grouping": grouping})
        for grouping in ("sum", "learned")
    )
    more = np.subtract(shares_of_head(learned), shares_of_head(plain))
    assert (more > 0).all()


@pytest.mark.parametrize(("hidden", "warned"), [(4, False), (400, True)])
def test_a_recipe_whose_head_dominates_says_so(hidden, warned):
    made = recipe.from_dict(
        {
            "frontend": {"n_fft": 64, "hop": 32},
            "backbone": {"kind": "crn", "channels": [8, 12], "hidden": 40},
            "head": {"depth": 3, "hidden": hidden},
            "loss": {"kind": "complex"},
        }
    )
    said = [line for line in made.remarks if "head holds" in line]
    assert bool(said) is warned
    if warned:
        assert "% of the parameters and " in said[0]
