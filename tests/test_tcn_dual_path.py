"""Separators of waveforms: sizes of their papers, what they reach, what they remember."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

import model_files  # noqa: E402
from small_nets import VARIANTS, build, fresh, noise, run  # noqa: E402
from unmask import Streamer, audio, export, load_model, masks, nets  # noqa: E402
from unmask.cli import main  # noqa: E402
from unmask.errors import ConfigError, ModelError  # noqa: E402
from unmask.metrics import pairwise, si_sdr  # noqa: E402
from unmask.nets.counting import count_parameters, macs_per_frame  # noqa: E402
from unmask.nets.fronts import LearnedConfig  # noqa: E402
from unmask.nets.norms import CumulativeNorm, global_norm  # noqa: E402
from unmask.nets.system import MaskingSystem  # noqa: E402


def of_paper(backbone, front, **options):
    with torch.device("meta"):
        return nets.build(front, backbone, masks.get("irm1"), n_sources=2, options=options)


def test_a_tcn_has_the_parameters_of_conv_tasnet():
    # N = 512, L = 16, B = 128, H = 512, Sc = 128, P = 3, X = 8, R = 3: 5.1 M in the paper, where
    # the residual layer of the last block, which nothing hears, is counted
    unheard = 512 * 128 + 128
    for settings in ({"causal": False, "norm": "global"}, {"causal": True, "norm": "cumulative"}):
        net = of_paper("tcn", LearnedConfig(length=16, hop=8, filters=512), **settings)
        assert count_parameters(net) + unheard == 5_050_545
    assert abs(5_050_545 / 5.1e6 - 1) < 0.01


def test_a_dual_path_network_has_the_parameters_of_dprnn_tasnet():
    # N = 64, L = 2, 6 blocks of 128 in each direction: 2.6 M in the paper
    net = of_paper("dual_path", LearnedConfig(length=2, hop=1, filters=64))
    assert count_parameters(net) == pytest.approx(2.6e6, rel=0.01)


def test_the_count_of_a_small_tcn_is_that_on_paper():
    net = fresh("tcn", front="learned")
    frame = 16 * 64 + 64 * 4  # encoder, bottleneck
    frame += 4 * (4 * 5 + 3 * 5 + 5 * 6) + 3 * 5 * 4  # blocks; the last gives nothing on
    frame += 6 * 2 * 64 + 2 * 64 * 16  # head, decoder of two sources
    # a causal convolution is counted over what it puts out
    assert macs_per_frame(net, 7) == frame


@pytest.mark.parametrize(("kernel", "blocks", "repeats"), [(3, 3, 2), (5, 2, 1), (1, 2, 2)])
def test_a_causal_tcn_hears_as_far_back_as_it_says_and_no_farther(kernel, blocks, repeats):
    options = {"kernel": kernel, "blocks": blocks, "repeats": repeats, "norm": "batch"}
    net = build("tcn", **options)
    reach = net.backbone.config.reach
    assert reach == repeats * (kernel - 1) * (2**blocks - 1)
    x = noise(net, reach + 6)
    other = x.clone()
    other[..., 2] += 1
    changed = (run(net, x) - run(net, other)).abs().flatten(0, -2).amax(0) > 0
    assert changed.nonzero().flatten().tolist()[:1] == [2]
    assert changed.nonzero().flatten().tolist()[-1] == 2 + reach


def test_a_tcn_that_looks_both_ways_reaches_as_far_on_either_side():
    net = build("tcn that looks both ways")
    reach = net.context_frames
    assert reach == 2 * (2**2 - 1)
    x = noise(net, 2 * reach + 9)
    other = x.clone()
    other[..., reach + 4] += 1
    changed = (run(net, x) - run(net, other)).abs().flatten(0, -2).amax(0) > 0
    assert changed.nonzero().flatten().tolist() == list(range(4, 2 * reach + 5))


@pytest.mark.parametrize("name", ["tcn of segments", "dual_path"])
def test_a_segment_is_heard_as_a_whole_and_alone(name):
    net = build(name)
    x = noise(net, 96)
    other = x.clone()
    other[..., 40] += 1
    changed = (run(net, x) - run(net, other)).abs().flatten(0, -2).amax(0) > 0
    assert changed.nonzero().flatten().tolist() == list(range(32, 64))


def test_chunks_add_up_to_twice_their_frames():
    backbone = build("dual_path").backbone
    x = torch.randn(3, 4, 32, generator=torch.Generator().manual_seed(0))
    chunks = backbone._in_chunks(x)
    assert chunks.shape == (3, 4, 9, 8)  # chunk, frame of the chunk
    assert torch.equal(chunks[:, :, 1], x[:, :, :8])
    assert torch.equal(backbone._added(chunks), 2 * x)


def test_cumulative_normalisation_ends_as_the_global_one():
    x = 3 + 2 * torch.randn(2, 5, 40, generator=torch.Generator().manual_seed(0))
    count = torch.arange(1.0, 41.0).expand(2, 1, 40)
    found, sums = CumulativeNorm(5)(x, torch.zeros(2, 2, 1), count)
    for frame in (0, 17, 39):
        expected = global_norm(5)(x[:, :, : frame + 1])[:, :, frame]
        torch.testing.assert_close(found[:, :, frame], expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(sums[:, 0, 0], x.mean(1).sum(1))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tcn", {"norm": "layer"}, r"norm 'layer'; there are \['cumulative', 'global', 'batch'\]"),
        ("tcn", {"norm": "global"}, "norm 'global' hears the future, causal is true"),
        ("tcn", {"causal": False}, "norm 'cumulative' is of the past only, causal is false"),
        ("tcn", {"kernel": 2}, "kernel = 2; expected >= 1, and the kernel odd"),
        ("tcn", {"blocks": 13}, "blocks = 13, expected at most 12"),
        ("tcn", {"skip": 0}, "expected >= 1"),
        ("dual_path", {"chunk": 7}, "chunk = 7 and segment = 32, expected an even chunk"),
        ("dual_path", {"segment": 30}, "chunk = 8 and segment = 30, expected"),
        ("dual_path", {"hidden": 0}, "expected >= 1"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(name, options, message):
    with pytest.raises(ConfigError, match=f"backbone: .*{message}") as refusal:
        fresh(name, **options)
    assert "\n" not in str(refusal.value)


KINDS = {
    "tcn": ("tcn", {}),
    "tcn of batches": ("tcn", {"norm": "batch"}),
    "tcn that looks both ways": ("tcn", VARIANTS["tcn that looks both ways"]),
    "tcn of segments": ("tcn", VARIANTS["tcn of segments"]),
    "dual_path": ("dual_path", {}),
}


@pytest.mark.parametrize("frontend", [model_files.SPECTRUM, model_files.LEARNED])
@pytest.mark.parametrize("name", KINDS)
def test_the_engine_gives_what_torch_gives_however_a_recording_is_cut(name, frontend, tmp_path):
    backbone, options = KINDS[name]
    stems, settings = ("one", "two"), {"frontend": frontend, "backbone": backbone, "net": options}
    path = model_files.write(tmp_path / "x.onnx", "irm1", stems=stems, residual=None, **settings)
    net = model_files.build(masks.get("irm1"), channels=1, n_sources=2, head=(), seed=0, **settings)
    model = load_model(path)
    export.check(model, net, path, 1e-4)
    host = frontend.host()
    # Of segments one: how several are joined is the matter of test_segments.py.
    n_samples = (model.segment - 4) * host.hop + 1 if model.segment else 3001
    mixture = np.random.default_rng(0).standard_normal((1, n_samples)).astype(np.float32)
    n = net.context_frames * host.hop  # a file is heard between silences
    silent = torch.from_numpy(np.pad(mixture, [(0, 0), (n, n)]))
    with torch.no_grad():
        expected = MaskingSystem(net, host)(silent[None])[0].numpy()[..., n : n + n_samples]
    streamer = Streamer(model)
    parts = [
        streamer.process(part)
        for part in np.split(
            mixture, [1, n_samples // 4, n_samples // 4 + 1, n_samples // 2], axis=1
        )
    ]
    parts.append(streamer.flush())
    found = np.stack([np.concatenate([part[stem] for part in parts], axis=1) for stem in stems])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert np.abs(expected).max() > 1e-2


def talkers_model(path, frontend, **settings):
    options = {"backbone": "tcn", "net": VARIANTS["tcn of segments"], "permutation": "free"}
    options |= {"stems": ("speaker1", "speaker2"), "residual": None, "task": "separate"}
    return model_files.write(path, frontend=frontend, **{"mask": "softmax"} | options | settings)


@pytest.mark.parametrize("frontend", [model_files.SPECTRUM, model_files.LEARNED])
def test_joined_segments_are_the_same_however_a_recording_is_cut(frontend, tmp_path):
    mask = "softmax" if frontend is model_files.SPECTRUM else "irm1"
    model = load_model(talkers_model(tmp_path / "x.onnx", frontend, mask=mask))
    hop = model.frontend.hop
    mixture = np.random.default_rng(1).standard_normal((2, 100 * hop + 3)).astype(np.float32)
    whole = model.separate(mixture, model.sample_rate)
    streamer, n_out = Streamer(model, n_channels=2), 0
    parts = []
    for start in range(0, mixture.shape[1], 777):
        parts.append(streamer.process(mixture[:, start : start + 777]))
        n_out += parts[-1]["speaker1"].shape[1]
        n_in = min(start + 777, mixture.shape[1])
        assert n_in - n_out <= streamer.latency
    parts.append(streamer.flush())
    for stem, wave in whole.items():
        assert wave.shape == mixture.shape
        found = np.concatenate([part[stem] for part in parts], axis=1)
        np.testing.assert_allclose(found, wave, rtol=0, atol=1e-5)
    short = model.separate(mixture[:, :hop], model.sample_rate)
    assert short["speaker2"].shape == (2, hop)


def test_an_order_is_fixed_or_free(tmp_path):
    with pytest.raises(ModelError, match="permutation is 'some', expected fixed or free"):
        load_model(talkers_model(tmp_path / "x.onnx", model_files.SPECTRUM, permutation="some"))


def test_talkers_are_separated_and_scored_whatever_the_true_ones_are_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = talkers_model(tmp_path / "m.onnx", model_files.SPECTRUM)
    true = np.random.default_rng(2).normal(scale=0.1, size=(2, 1, 20_000))
    audio.write("talk.wav", true.sum(0), 16000, subtype="FLOAT")
    rows = []
    for k, names in enumerate((("s1", "s2"), ("speaker2", "speaker1"))):
        Path(f"true{k}").mkdir()
        for name, wave in zip(names, true, strict=True):
            audio.write(f"true{k}/{name}.wav", wave, 16000, subtype="FLOAT")
        words = ["separate", "-m", model, "talk.wav", "-o", f"out{k}", "--reference", f"true{k}"]
        result = CliRunner().invoke(main, [*map(str, words), "--json", "-"])
        assert result.exit_code == 0, result.output
        rows.append(json.loads(result.stdout)[0]["reference"])
        written = sorted(path.name for path in Path(f"out{k}").rglob("*.wav"))
        assert written == ["speaker1.wav", "speaker2.wav"]
    assert [(row["stem"], row["estimate"]) for row in rows[0]] == [
        (row["stem"], pytest.approx(row["estimate"])) for row in rows[1]
    ]
    first, second = (row["estimate"] for row in rows[0] if row["metric"] == "SI-SDR")
    sides = [audio.read(path)[0] for path in sorted(Path("out0").rglob("*.wav"))]
    fits = pairwise(si_sdr, np.stack(sides), true)
    best = max(fits[0, 0] + fits[1, 1], fits[0, 1] + fits[1, 0])
    assert first + second == pytest.approx(best, abs=1e-3)
