"""Recipes: read, refused in one line, written back."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from unmask import recipe, train  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.frontends import STFT, Frames  # noqa: E402
from unmask.nets import Seen  # noqa: E402

BASES = ("denoise-48k", "unet")  # that others extend
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
mask = { family = "complex_tanh", options = { limit = 2.0 } }
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
    assert system.frontend == STFT(64, 32, "sqrt_hann")
    net = system.net
    assert (net.family.name, net.family.limit) == ("complex_tanh", 2.0)
    assert (net.backbone.config.channels, net.backbone.config.hidden) == ((4, 6), 5)
    assert net.front.seen == Seen(n_maps=3, n_bins=32, n_phaseless=1)
    assert (net.n_sources, net.n_channels) == (1, 1)


def test_a_recipe_chooses_the_front_end_and_the_head(path):
    learned = "frontend={kind='learned', length=32, hop=16, filters=64}"
    head = "head={mask='irm1', depth=2, hidden=9, outputs=3, grouping='sum'}"
    loaded = recipe.load(path, [learned, head])
    system = loaded.system()
    assert system.frontend == Frames(length=32, hop=16) == loaded.frontend.host
    assert system.net.front.seen.n_bins == 64
    assert system.net.grouping.n_each == 3
    assert [type(layer).__name__ for layer in system.net.head.branches[0][:2]] == ["Conv2d", "Tanh"]
    assert system.net.head.branches[0][0].out_channels == 9
    assert recipe.from_dict(loaded.to_dict()) == loaded
    assert system(torch.randn(2, 1, 100)).shape == (2, 1, 1, 100)


def test_what_is_written_back_is_the_same_recipe_with_every_default(path, tmp_path):
    loaded = recipe.load(path)
    resolved = tmp_path / "resolved.toml"
    resolved.write_text(loaded.to_toml())
    assert recipe.load(resolved) == loaded
    tables = tomllib.loads(resolved.read_text())
    assert tables["train"]["learning_rate"] == 1e-3
    assert tables["data"]["snr_db"] == [0, 10.5]
    mask = {"family": "complex_tanh", "options": {"limit": 2.0}}
    assert tables["head"] == {
        "mask": mask,
        "depth": 1,
        "hidden": 0,
        "shared": False,
        "outputs": 0,
        "grouping": "none",
        "decimation": 1,
        "interpolation": "nearest",
    }


def test_a_section_of_another_kind_begins_anew_and_a_loss_of_another_sum_does_not(path):
    other = path.with_name("other.toml")
    other.write_text(
        f'extends = "{path.name}"\n[backbone]\nkind = "tcn"\nskip = 9\n[loss]\nkind = "sdr"\n'
    )
    ours, theirs = recipe.load(path), recipe.load(other)
    assert theirs.backbone == recipe.Backbone(kind="tcn", options={"skip": 9})
    assert (theirs.loss.kind, theirs.loss.n_fft) == ("sdr", ours.loss.n_fft)


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
        ("train.step=7", r"train: unknown keys \['step'\]; there are \['batch'"),
        ("trian.steps=7", r"unknown keys \['trian'\]"),
        ("train.steps=many", 'train.steps is "many", expected whole number'),
        ("train.steps=true", "train.steps is true, expected whole number"),
        ("train.steps=1.5", r"train\.steps is 1\.5, expected whole number"),
        ("train.seed=2024-01-01", 'train.seed is "2024-01-01", expected whole number'),
        ("train.ema=nan", "train.ema is NaN, expected finite number"),
        ("train.max_grad_norm=inf", "train.max_grad_norm is Infinity, expected finite number"),
        ("train.learning_rate=1" + 400 * "0", "0, expected finite number"),
        ("train.log=csv", 'train.log is "csv", expected list of text'),
        ("train.steps=0", "steps, batch, log_every and valid_every must be >= 1"),
        ("train.steps", "expected KEY=VALUE"),
        ("name.x=1", "name is no table"),
        ("name=../x", r"name '\.\./x', expected letters, digits"),
        ("backbone.kind=umx", r"backbone.kind is 'umx'; there are \[.*'crn'"),
        ("backbone.width=3", r"backbone: unknown keys \['width'\]; there are \['ch"),
        ("backbone.n_freq=5", r"backbone: unknown keys \['n_freq'\]"),
        ("backbone.channels=[0]", r"backbone: channels = \[0\], .* expected >= 1"),
        ("backbone.hidden=4611686018427387904", r"backbone: {.*'hidden': 4611686018427387904}: "),
        ("backbone.kind=['crn']", r'backbone.kind is \["crn"\], expected text'),
        ("head.mask=irm3", "head.mask: no mask family named 'irm3'"),
        ("head.mask=3", "head.mask is 3, expected text or table"),
        ("head.mask={options={}}", r"head.mask: needs \['family'\], got \['options'\]"),
        ("head.mask.family=3", "head.mask.family is 3, expected text"),
        ("head.mask.options=2.0", r"head.mask.options is 2\.0, expected table"),
        ("head.mask.limit=2.0", r"head.mask: unknown keys \['limit'\]; there are \['family', 'o"),
        ("head.limit=2.0", r"head: unknown keys \['limit'\]; there are \['decimation', .*'mask'"),
        ("head.mask.options.slope=3.0", r"unknown keys \['slope'\]; there are \['limit'\]"),
        ("head.mask.options.limit=true", "head.mask.options.limit is true, expected finite"),
        ("head.mask.options.limit=high", 'head.mask.options.limit is "high", expected finite'),
        (
            "head.mask={family='consistent:deep_filter', options={order=2.5}}",
            "head.mask: consistent:deep_filter: the masks of 'deep_filter' have several",
        ),
        (
            "head.mask={family='consistent:consistent:complex_tanh', options={limit='x'}}",
            'head.mask.options.limit is "x", expected finite number',
        ),
        (
            "head.mask={family='hybrid:complex:2000:complex_tanh', options={limit=2.0}}",
            r"head.mask.options: unknown keys \['limit'\]; there are \[\]",
        ),
        (
            "head.mask={family='deep_filter', options={order=2, lookahead=2}}",
            "head.mask: deep_filter: lookahead 2, expected 0 to 1",
        ),
        ("head.depth=0", "depth = 0, hidden = 0 and outputs = 0, expected depth >= 1 and the oth"),
        ("head.outputs=-1", "outputs = -1, expected depth >= 1 and the others >= 0"),
        ("head.grouping=mean", r"head: grouping 'mean'; there are \['none', 'sum', "),
        (
            "head.outputs=2",
            "head: 2 outputs for 1 sources, expected as many, or grouping",
        ),
        (
            "head={mask='decoupled', outputs=2, grouping='sum'}",
            "head: masks of decoupled cannot be added up; take another family, or one output a so",
        ),
        ("head.options={}", r"head: unknown keys \['options'\]"),
        (
            "head={mask='softmax'}",
            "softmax masks sum to one over the sources, so that of 'speech' alone",
        ),
        ("head={mask='consistent:complex_tanh'}", "so that of 'speech' alone is always 1"),
        ("head={mask='ibm_threshold'}", "ibm_threshold has bins where the mask is a step"),
        ("head={mask='hybrid:complex:2000:ibm_threshold'}", "has bins where the mask is a step"),
        ("head={mask='hybrid:irm9:2000:complex'}", "irm9"),
        ("backbone.channels=[4, 'six']", r'backbone.channels\[1\] is "six", expected whole numb'),
        ("backbone.channels=4", "backbone.channels is 4, expected list of whole number"),
        ("backbone=crn", 'backbone is "crn", expected table'),
        ("licence=3", "licence is 3, expected text"),
        ("extends=3", r"unknown keys \['extends'\]"),
        (
            "frontend.kind=mel",
            r"frontend.kind is 'mel'; there are \['analytic', 'learned', 'stft'\]",
        ),
        ("frontend.kind=learned", r"frontend: unknown keys \['n_fft'\]; there are \['decoder', "),
        ("frontend.filters=3", r"frontend: unknown keys \['filters'\]; there are \['hop', 'input'"),
        ("frontend={kind='learned', hop=17}", "frontend.* hop = 17 and length = 16, expected 1"),
        ("frontend={kind='learned', filters=0}", "frontend: filters = 0, expected 1 or more"),
        ("frontend={kind='learned', filters=64}", "head: complex_tanh masks are of a spectrum"),
        (
            "frontend.input=mel",
            r"frontend: no input 'mel'; there are \['magnitude', 'complex'",
        ),
        ("frontend.power=0.0", r"frontend: power = 0\.0, expected above 0 and at most 1"),
        ("frontend.channels=0", "frontend: channels = 0, expected 1 to 8"),
        ("frontend.channels=9", "frontend: channels = 9, expected 1 to 8"),
        (
            "frontend.channels=3",
            "frontend: sees 3 channels at once, examples have 1; set data",
        ),
        ("frontend.hop=3300", "frontend: hop: 3300 with n_fft"),
        ("backbone.patch=5", "backbone: 32 bins .* no multiple of .* = 10"),
        ("loss.hop=0", "loss: hop: 0 "),
        ("loss.kind='e-*sdr'", "loss: cannot read 'e-[*]sdr'"),
        ("loss.kind={si_sdr=true}", "loss.kind.si_sdr is true, expected finite number"),
        ("loss.kind=pesq", r"no loss named \['pesq'\]"),
        ("loss.kind={}", r"loss: weights {}, expected one or more, each above 0"),
        ("loss.kind={sdr=-1.0}", "each above 0"),
        ("loss.kind={sdr='x'}", 'loss.kind.sdr is "x", expected finite number'),
        ("loss.kind=3", "loss.kind is 3, expected text or table of finite number"),
        ("train.monitor=pesq", r"train: monitor 'pesq'; there are \['loss', 'si_sdr_db'"),
        ("train.monitor=speech/si_sdr_db", "train: monitor 'speech/si_sdr_db'; there are"),
        ("train.patience=-1", "patience and seed must be >= 0"),
        ("train.precision=fp8", r"train: precision 'fp8'; there are \['32-true', 'bf16-mixed'\]"),
        ("train.log=['csv', 'wandb']", r"train: no log \['wandb'\]; there are \['csv', 'tensor"),
        ("train.learning_rate=0", "learning_rate > 0"),
        ("data.recordings=all", 'data.recordings is "all", expected list of table'),
        ("data.kind=music", r"data.kind is 'music'; there are \['speech_in_noise'"),
        ("data.clean_share=5", r"clean_share = 5\.0, expected 0 to 1"),
        ("data.full_band_share=-0.1", r"full_band_share = -0\.1, expected 0 to 1"),
        ("data.level_db=[-10]", r"level_db is \[-10\], expected \[finite number, finite number\]"),
        ("data.level_db=[-10,-5,0]", r"data.level_db is \[-10, -5, 0\], expected \[finite"),
        ("data.level_db=['a','b']", r'data.level_db\[0\] is "a", expected finite number'),
        ("data.seconds=inf", "data.seconds is Infinity, expected finite number"),
        ("data.recordings=[3]", r"data.recordings\[0\] is 3, expected table"),
        (
            "data.recordings=[{glob = 'a', role = 'speech'}, {glob = 3, role = 'noise'}]",
            r"data.recordings\[1\].glob is 3, expected text",
        ),
        ("data.recordings=[{name = 3}]", r"data.recordings\[0\]: unknown keys \['name'\]"),
        (
            "data={kind='stems', targets='vocals'}",
            'data.targets is "vocals", expected list of text',
        ),
        (
            "data={kind='stems', effects={equalise='often'}}",
            'data.effects.equalise is "often", expected finite number',
        ),
        ("data={kind='stems', effects=[]}", r"data.effects is \[\], expected table of finite numb"),
        (
            "data={kind='stems', tracks=[{glob='*', rename={gtr=['guitar']}}]}",
            r'data.tracks\[0\].rename.gtr is \["guitar"\], expected text',
        ),
        (
            "data={kind='stems', tracks=[{glob='*', contains={other='bass'}}]}",
            r'data.tracks\[0\].contains.other is "bass", expected list of text',
        ),
        ("data.snr_db=[3, 2]", r"must be \[low, high\]"),
        ("data.recordings=[{role = 'song', glob = '*'}]", "role 'song' is unknown"),
        (
            "data.recordings=[{glob = '*'}]",
            r"data.recordings\[0\]: needs \['role'\], got \['glob'\]",
        ),
        ("data.recordings=[{role = 'noise', glob = '../*'}]", "must be relative"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(path, override, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        recipe.load(path, [override])
    assert "\n" not in str(refusal.value)
    if "=" in override and not override.startswith("name.x"):
        assert str(refusal.value).startswith(f"{path}: ")


def test_a_mask_that_needs_frames_the_network_does_not_see_is_refused(path):
    with pytest.raises(ConfigError, match="deep_filter is applied 1 frames ahead"):
        recipe.load(path, ["head.mask={family = 'deep_filter', options = {lookahead = 1}}"])


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


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)


def test_a_recipe_may_extend_another_which_may_extend_a_third(path, tmp_path):
    (tmp_path / "arms").mkdir()
    write(
        tmp_path,
        arm='extends = "small.toml"\n[train]\nbatch = 3\n[data]\nsnr_db = [1, 2]\n'
        "[head.mask.options]\nlimit = 3.0",
        **{"arms/leaf": 'extends = "../arm.toml"\nname = "leaf"\n[train]\nsteps = 5'},
    )
    base, leaf = recipe.load(path), recipe.load(tmp_path / "arms" / "leaf.toml", ["train.seed=4"])
    assert (leaf.name, leaf.train.steps, leaf.train.batch, leaf.train.seed) == ("leaf", 5, 3, 4)
    assert leaf.data.snr_db == (1.0, 2.0)  # a list is replaced, the tables around it are merged
    assert leaf.data.recordings == base.data.recordings
    assert leaf.head == recipe.Head(mask="complex_tanh", options={"limit": 3.0})
    assert (leaf.backbone, leaf.loss, leaf.frontend) == (base.backbone, base.loss, base.frontend)
    (tmp_path / "resolved.toml").write_text(leaf.to_toml())
    assert recipe.load(tmp_path / "resolved.toml") == leaf


def test_recipes_that_extend_what_cannot_be_are_refused(path, tmp_path):
    write(
        tmp_path,
        a='extends = "b.toml"',
        b='extends = "c.toml"',
        c='extends = "a.toml"',
        lost='extends = "nowhere.toml"',
        number="extends = 3",
        wrong='extends = "small.toml"\n[train]\nstep = 3',
    )
    for name, message in {
        "a": r"a\.toml: extends itself, a\.toml -> b\.toml -> c\.toml -> a\.toml",
        "lost": r"nowhere\.toml: no such recipe, which .*lost\.toml extends",
        "number": "number.toml: extends is 3, expected text",
        "wrong": r"wrong\.toml \(extends small\.toml\): train: unknown keys \['step'\]",
    }.items():
        with pytest.raises(ConfigError, match=message) as refusal:
            recipe.load(tmp_path / f"{name}.toml")
        assert "\n" not in str(refusal.value)


SONGS = {
    "backbone": {"kind": "unet", "width": 0.0625},
    "frontend": {"n_fft": 128, "hop": 64},
    "data": {"kind": "stems", "sources": ["vocals", "drums", "other"]},
}


def songs(mask, *targets, **tables):
    data = SONGS["data"] | {"targets": list(targets)}
    return recipe.from_dict(SONGS | {"data": data, "head": {"mask": mask}} | tables)


def test_masks_that_share_the_mixture_out_need_all_of_it():
    for mask in ("softmax", "consistent:irm1", "consistent:complex_tanh"):
        assert songs(mask, "vocals", "drums", "other").family.sums_to_one
        with pytest.raises(ConfigError, match="nothing is left for the residual 'other'"):
            songs(mask, "vocals", "drums")
    with pytest.raises(ConfigError, match="ibm_argmax has bins where the mask is a step"):
        songs("ibm_argmax", "vocals", "drums", "other")


def test_a_score_of_one_stem_among_several_may_be_watched():
    watched = songs("irm1", "vocals", "drums", train={"monitor": "drums/si_sdr_db"})
    assert watched.train.monitor == "drums/si_sdr_db"
    with pytest.raises(ConfigError, match="monitor 'bass/si_sdr_db'"):
        songs("irm1", "vocals", "drums", train={"monitor": "bass/si_sdr_db"})


def test_what_is_known_only_together_may_be_watched_where_a_validation_may_tell(path):
    def watched(monitor, *contains, share=0.5, targets=("vocals", "drums", "bass")):
        tracks = [{"glob": "*", "valid_share": share, "contains": {"instrumental": contains}}]
        data = {"kind": "stems", "targets": targets, "tracks": tracks}
        data["sources"] = ["vocals", "drums", "bass", "other"]
        tables = {"data": data, "head": {"mask": "irm1"}, "train": {"monitor": monitor}}
        return recipe.from_dict(SONGS | tables).train.monitor

    for monitor in ("sums/si_sdr_db", "sums/si_sdr_improvement_db"):
        assert watched(monitor, "drums", "bass") == monitor
    for contains, options in (
        (("drums",), {}),
        (("drums", "other"), {}),
        (("drums", "bass"), {"share": 0.0}),
        (("drums", "bass"), {"targets": ("vocals", "bass")}),
    ):
        with pytest.raises(ConfigError, match=r"monitor 'sums/si_sdr_db'; there are \['loss'"):
            watched("sums/si_sdr_db", *contains, **options)


@pytest.mark.parametrize(
    ("mask", "loss", "sees", "words"),
    [
        ("complex", "sdr", "complex", ["does not hear the level"]),
        ("iam", "si_sdr + 0.5*sdr", "magnitude", ["does not hear the level"]),
        ("complex_tanh", "sdr", "magnitude", ["sees magnitudes only"]),
        ("complex", "sdr + magnitude", "complex", []),
        ("complex_tanh", "sdr", "compressed", []),
        ("psm_unit", "sdr", "magnitude", []),
    ],
)
def test_what_can_be_trained_but_is_odd_is_said(mask, loss, sees, words):
    frontend = SONGS["frontend"] | {"input": sees}
    said = songs(mask, "vocals", loss={"kind": loss}, frontend=frontend).remarks
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True))


TINY = (
    "train.steps=1",
    "train.batch=2",
    "train.workers=0",
    "train.precision=32-true",
    "loss.n_fft=128",
    "loss.hop=64",
    "data.sample_rate=16000",
    "data.valid_examples=2",
)
TINY_FRONT = {
    "stft": ("frontend.n_fft=128", "frontend.hop=64"),
    "learned": ("frontend.filters=64",),
    "analytic": ("frontend.filters=32",),
}
TINY_DATA = {
    "stems": ("data.samples=4096", "data.variants=1", "data.effects={}"),
    "speech_in_noise": ("data.seconds=0.25",),
    "talkers": ("data.seconds=0.25",),
}
TINY_NET = {
    "tfc_tdf": (
        "backbone.bands=[8, 8]",
        "backbone.widths=[2, 6]",
        "backbone.channels=[2, 2, 2, 2]",
    ),
    "unet": ("backbone.width=0.0625",),
    "tcn": ("backbone.channels=4", "backbone.hidden=4", "backbone.skip=4", "backbone.blocks=2"),
    "dual_path": ("backbone.channels=4", "backbone.hidden=4", "backbone.segment=132"),
    "crn": ("backbone.channels=[4, 6]", "backbone.hidden=5", "backbone.n_fine=32"),
    "band_net": (
        "backbone.bands=[8, 4]",
        "backbone.widths=[4, 8]",
        "backbone.narrow=4",
        "backbone.narrow_channels=4",
        "backbone.channels=4",
        "backbone.band_hidden=[4]",
        "backbone.hidden=[5]",
    ),
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A folder in which every recipe of the repository finds noises where it looks for sounds."""
    root, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)

    def place(glob, k):
        name = re.sub(r"\[(.).*?\]", r"\1", glob).replace("*", f"x{k}")
        return root / name

    def write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            opus = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
            soundfile.write(path, 0.1 * rng.standard_normal(8000), 16000, **opus)

    for data in (recipe.load(path).data for path in RECIPES):
        for entry in (*getattr(data, "recordings", ()), *getattr(data, "voices", ())):
            for k in range(1 if entry.valid_share in (0, 1) else 40):
                write(place(entry.glob, k))
        for entry in getattr(data, "tracks", ()):
            merged = {name for held in entry.contains.values() for name in held}
            here = set(data.sources) - merged - set(entry.lacks) | entry.contains.keys()
            stems = [f"{name}.ogg" for name in (here or data.sources)]
            for k in range(1 if entry.valid_share in (0, 1) else 40):
                for name in [""] if entry.stem else stems:
                    write(place(entry.glob, k) / name)
    return root


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_can_be_trained(path, recordings, tmp_path):
    full = recipe.load(path)
    small = TINY_FRONT[full.frontend.kind] + TINY_DATA[full.data_kind]
    small += TINY_NET[full.backbone.kind]
    loaded = recipe.load(path, [*TINY, *small])
    cache = recordings.parent / "cache"
    run = train.run(loaded, tmp_path / "run", data_root=recordings, cache=cache)
    scores = json.loads((run / train.RECORDS).read_text())["valid"]
    assert {f"{stem}/si_sdr_db" in scores for stem in loaded.data.stems} == {
        len(loaded.data.stems) > 1
    }
    assert scores["silent"] == 0
    assert np.isfinite(list(scores.values())).all()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_what_it_is_and_how_to_run_it(path):
    text = path.read_text()
    assert text.startswith("# ")
    assert f"unmask train recipes/{path.name} --data FOLDER" in text or path.stem in BASES
    assert recipe.load(path).remarks == []


def test_the_paper_s_network_has_the_paper_s_size():
    loaded = recipe.load(next(path for path in RECIPES if path.stem == "unet-complex-sdr"))
    with torch.device("meta"):
        size = sum(p.numel() for p in loaded.system().net.parameters())
    assert size == pytest.approx(9.82e6, rel=1e-3)
    assert loaded.data.samples // loaded.frontend.host.hop + 1 == 256
    assert (loaded.data.sample_rate, loaded.frontend.host.n_fft) == (22050, 1024)
    assert loaded.train.batch == 16
