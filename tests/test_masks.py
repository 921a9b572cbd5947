"""Laws that hold for every family of the registry, and what sets the families apart."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask import masks
from unmask.errors import ConfigError, ShapeError, SignalError

PLAIN = [name for name in masks.names() if not masks.get(name).has_components]
WRAPPED = [
    "hybrid:complex_tanh:2000:irm1",
    "consistent:hybrid:complex_tanh:2000:irm1",
    "hybrid:consistent:complex_tanh:2000:softmax",
    "hybrid:deep_filter:2000:psm_unit",
    "hybrid:irm1:2000:decoupled",
    "hybrid:decoupled:2000:deep_filter",
    *(f"consistent:{name}" for name in PLAIN),
]
NAMES = [*masks.names(), *WRAPPED]
LEVELS = [1e-30, 1e-6, 1.0, 1e6, 1e20]
RATE = 8000
SHAPE = (3, 2, 17, 6)  # source, channel, freq, frame


def family(name):
    return masks.get(name, sample_rate=RATE)


def spectra(xp=np, level=1.0, seed=0, dtype="complex128"):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)
    targets = xp.asarray(level * values, dtype=getattr(xp, dtype))
    return targets, xp.sum(targets, axis=0)


def raw_maps(name, xp=np, scale=3.0, seed=1):
    n_maps = family(name).n_maps
    values = scale * np.random.default_rng(seed).normal(size=(SHAPE[0], n_maps, *SHAPE[1:]))
    return xp.asarray(values, dtype=xp.float64)


def sdr_db(estimate, target):
    return 10 * np.log10(np.sum(np.abs(target) ** 2) / np.sum(np.abs(target - estimate) ** 2))


@pytest.mark.parametrize("name", NAMES)
def test_libraries_agree(name, xp):
    targets, mixture = spectra(xp)
    expected_targets, expected_mixture = spectra()
    ours = family(name).ideal(targets, mixture)
    expected = family(name).ideal(expected_targets, expected_mixture)
    assert np.allclose(np.asarray(ours), expected, rtol=1e-9, atol=1e-12)
    activated = family(name).activate(raw_maps(name, xp))
    assert np.allclose(np.asarray(activated), family(name).activate(raw_maps(name)), atol=1e-12)
    assert activated.shape == ours.shape
    applied = family(name).apply(ours, mixture)
    assert applied.shape == targets.shape


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_made_of_real_parts(name, xp):
    parts = family(name).parts(raw_maps(name, xp))
    assert xp.isdtype(parts.dtype, "real floating")
    assert parts.shape == (SHAPE[0], family(name).n_parts, *SHAPE[1:])
    again = family(name).of_parts(parts)
    assert np.array_equal(np.asarray(again), np.asarray(family(name).activate(raw_maps(name, xp))))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", LEVELS)
def test_no_level_breaks_an_ideal_mask(name, level, xp):
    targets, mixture = spectra(xp, level, dtype="complex64")
    mask = family(name).ideal(targets, mixture)
    estimate = family(name).apply(mask, mixture)
    assert bool(xp.all(xp.isfinite(estimate)))
    assert estimate.dtype == xp.complex64
    same = family(name).ideal(*spectra(xp, dtype="complex64"))
    if "decoupled" not in name:  # whose last component has the unit of the spectrum
        assert np.allclose(np.asarray(mask), np.asarray(same), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_silence_gives_silence(name, xp):
    zeros = xp.zeros(SHAPE, dtype=xp.complex64)
    mixture = zeros[0, ...]
    estimate = family(name).apply(family(name).ideal(zeros, mixture), mixture)
    assert float(xp.max(xp.abs(estimate))) == 0
    mask = family(name).activate(xp.zeros((SHAPE[0], family(name).n_maps, *SHAPE[1:])))
    assert bool(xp.all(xp.isfinite(mask)))


@pytest.mark.parametrize("name", ["irm1", "psm", "complex_tanh", "complex", "cirm"])
def test_nan_stays_nan(name):
    targets, mixture = spectra()
    targets[0, 0, 0, 0] = mixture[0, 0, 0] = np.nan
    mask = family(name).ideal(targets, mixture)
    assert np.isnan(mask[0, 0, 0, 0])
    assert np.isfinite(mask[:, 1]).all()


RANGES = {
    "ibm_threshold": (0, 1),
    "ibm_argmax": (0, 1),
    "irm1": (0, 1),
    "irm2": (0, 1),
    "irm_sqrt": (0, 1),
    "iam_clip1": (0, 1),
    "iam_clip2": (0, 2),
    "iam": (0, math.inf),
    "softmax": (0, 1),
    "psm_unit": (0, 1),
    "psm_signed": (-1, 1),
    "psm": (-math.inf, math.inf),
}
PART_RANGES = {
    "complex_sigmoid_parts": (0, 1),
    "complex_tanh_parts": (-1, 1),
    "cirm": (-100, 100),
    "cirm_tanh": (-50, 50),
}


@pytest.mark.parametrize("name", RANGES)
def test_real_masks_stay_in_their_range(name):
    low, high = RANGES[name]
    for mask in (family(name).ideal(*spectra()), family(name).activate(raw_maps(name, scale=40))):
        assert not np.iscomplexobj(mask)
        assert mask.min() >= low
        assert mask.max() <= high
        assert mask.std() > 0


@pytest.mark.parametrize("name", PART_RANGES)
def test_parts_stay_in_their_range(name):
    low, high = PART_RANGES[name]
    for mask in (family(name).ideal(*spectra()), family(name).activate(raw_maps(name, scale=40))):
        parts = np.stack([mask.real, mask.imag])
        assert low - 1e-9 <= parts.min() < parts.max() <= high + 1e-9


@pytest.mark.parametrize("name", [n for n in NAMES if masks.get(n, sample_rate=RATE).sums_to_one])
def test_masks_that_say_so_sum_to_one(name, xp):
    for mask in (
        family(name).ideal(*spectra(xp, 1e-30, dtype="complex64")),
        family(name).activate(raw_maps(name, xp)),
        family(name).activate(1e4 * raw_maps(name, xp)),
    ):
        assert np.allclose(np.asarray(xp.sum(mask, axis=0)), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["irm1", "irm2", "ibm_argmax", "softmax", "complex", "psm"])
def test_masked_sources_add_up_to_the_mixture(name):
    targets, mixture = spectra()
    estimate = family(name).apply(family(name).ideal(targets, mixture), mixture)
    error = np.sum(np.abs(mixture - estimate.sum(axis=0)) ** 2)
    assert error <= 1e-10 * np.sum(np.abs(mixture) ** 2)  # 100 dB
    assert np.abs(estimate).min(axis=0).max() > 0 or name == "ibm_argmax"


def test_squares_of_the_root_ratio_mask_sum_to_one():
    """ESPnet's label of that name had no own power in the denominator: up to 1558."""
    mask = family("irm_sqrt").ideal(*spectra())
    assert np.allclose((mask**2).sum(axis=0), 1)


def test_each_definition_of_a_name_told_apart():
    """|S1| = 3, |S2| = 1, in phase: all formulas on paper."""
    targets = np.array([3.0 + 0j, 1.0]).reshape(2, 1, 1, 1)
    mixture = targets.sum(axis=0)

    def first(name):
        return family(name).ideal(targets, mixture)[:, 0, 0, 0].tolist()

    assert first("ibm_argmax") == [1, 0]
    assert first("ibm_threshold") == [1, 0]
    assert first("irm1") == [0.75, 0.25]
    assert first("irm2") == pytest.approx([0.9, 0.1])
    assert first("irm_sqrt") == pytest.approx([0.9**0.5, 0.1**0.5])
    assert first("iam") == [0.75, 0.25]


def test_threshold_may_give_a_bin_to_several_sources_or_none():
    targets = np.array([[2.0, 1.0, 1.0], [2j, -1.0, 1.0], [0.0, 0.0, 1.0]]).reshape(3, 1, 3, 1)
    mixture = targets.sum(axis=0)
    owners = family("ibm_threshold").ideal(targets, mixture)[..., 0]
    assert owners.sum(axis=0).tolist() == [[2, 2, 0]]
    owners = family("ibm_argmax").ideal(targets, mixture)[..., 0]
    assert owners.sum(axis=0).tolist() == [[1, 1, 1]]
    assert owners[0, 0].tolist() == [1, 1, 1]  # ties go to the first


def test_amplitude_mask_is_the_quotient_and_ratio_mask_the_share():
    targets = np.array([1.0, 1j]).reshape(2, 1, 1, 1)
    mixture = targets.sum(axis=0)
    assert family("iam").ideal(targets, mixture)[0].item() == pytest.approx(2**-0.5)
    assert family("irm1").ideal(targets, mixture)[0].item() == 0.5
    opposed = np.array([2.0, -1.0]).reshape(2, 1, 1, 1)
    values = [
        family(n).ideal(opposed, opposed.sum(axis=0))[0].item()
        for n in ("iam_clip1", "iam_clip2", "iam")
    ]
    assert values == [1, 2, 2]


@given(turn=st.floats(-math.pi, math.pi), size=st.floats(0.01, 3))
def test_phase_sensitive_mask_is_magnitude_times_cosine(turn, size):
    mixture = np.full((1, 1, 1), 2 - 1j)
    target = (size * np.exp(1j * turn) * mixture)[None]
    cosine = size * math.cos(turn)
    values = [family(n).ideal(target, mixture).item() for n in ("psm", "psm_signed", "psm_unit")]
    assert values == pytest.approx([cosine, np.clip(cosine, -1, 1), np.clip(cosine, 0, 1)])


@pytest.mark.parametrize("name", ["psm", "psm_unit", "psm_signed", "softmax", "complex_tanh"])
def test_no_neighbour_in_the_family_is_better_than_the_ideal(name, rng):
    targets, mixture = spectra()
    ideal = family(name).ideal(targets, mixture)
    best = sdr_db(family(name).apply(ideal, mixture), targets)
    for scale in (1e-3, 1e-1, 1):
        other = ideal + scale * rng.normal(size=ideal.shape)
        if name == "softmax":
            other = masks.normalise(np.maximum(other, 1e-9))
        elif name == "complex_tanh":
            other = other / np.maximum(1, np.abs(other))
        elif name != "psm":
            other = np.clip(other, RANGES[name][0], RANGES[name][1])
        assert sdr_db(family(name).apply(other, mixture), targets) < best


def test_families_in_order_of_freedom():
    targets, mixture = spectra()

    def score(name):
        return sdr_db(family(name).apply(family(name).ideal(targets, mixture), mixture), targets)

    chain = ["softmax", "psm_unit", "psm_signed", "psm", "complex"]
    scores = [score(name) for name in chain]
    assert scores == sorted(scores)
    assert score("psm_unit") < score("complex_tanh") < score("complex_tanh_parts")
    assert score("complex") > 250
    assert score("deep_filter") > 250
    assert score("decoupled") > 250


def test_tanh_mask_is_inside_the_circle_with_the_phase_of_the_raw_output(xp):
    raw = np.random.default_rng(0).normal(size=(1, 2, 1, 50, 50)).astype("float32") * 20
    mask = family("complex_tanh").activate(xp.asarray(raw))
    assert float(xp.max(xp.abs(mask))) < 1
    mask, expected = np.asarray(mask), raw[:, 0] + 1j * raw[:, 1]
    assert np.allclose(np.angle(mask), np.angle(expected), atol=1e-5)
    assert np.allclose(np.abs(mask), np.tanh(np.abs(expected)), atol=1e-5)


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30))
def test_tanh_mask_is_inside_the_circle_whatever_the_network_says(re, im):
    raw = np.array([re, im], dtype="float32").reshape(1, 2, 1, 1, 1)
    mask = np.abs(family("complex_tanh").activate(raw)).item()
    assert mask < 1
    assert mask == pytest.approx(
        math.tanh(math.hypot(raw[0, 0].item(), raw[0, 1].item())), rel=1e-5
    )


@pytest.mark.parametrize("limit", [0.5, 1.0, 3.0])
def test_tanh_parts_are_the_mask_of_the_limit(limit, xp):
    raw = np.array([0.3, -1.2]).reshape(1, 2, 1, 1, 1)
    parts = masks.get("complex_tanh", limit=limit).parts(xp.asarray(raw))
    size = math.hypot(0.3, 1.2)
    expected = raw * limit * math.tanh(size) / size
    assert np.asarray(parts) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "limit"), [("cirm", 100.0), ("cirm_tanh", 50.0)])
def test_compressed_masks_are_kept_up_to_their_limit(name, limit):
    """Where tanh has reached 0.9999; all larger maps, and masks, are taken for it."""
    assert family(name).limit == limit
    far = family(name).activate(np.full((1, 2, 1, 1, 1), 1e6)).item()
    assert far == pytest.approx(limit * (1 + 1j))
    target = np.full((1, 1, 1, 1), 1e6 * (1 - 1j))
    assert family(name).ideal(target, np.ones((1, 1, 1)) + 0j).item() == limit * (1 - 1j)


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e-20, 1e-4, 0.9e-3, 1.1e-3])
def test_tanh_mask_has_the_gradient_of_the_identity_near_zero(value):
    torch = pytest.importorskip("torch")
    raw = torch.zeros((1, 2, 1, 1, 1))
    raw[0, 0] = value
    raw.requires_grad_()
    family("complex_tanh").activate(raw).real.sum().backward()
    assert raw.grad.ravel().tolist() == pytest.approx([1, 0], abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_gradients_are_finite(name, scale):
    torch = pytest.importorskip("torch")
    raw = torch.from_numpy(raw_maps(name, scale=scale)).float().requires_grad_()
    targets, mixture = (torch.from_numpy(x).to(torch.complex64) for x in spectra())
    estimate = family(name).apply(family(name).activate(raw), mixture)
    if not estimate.requires_grad:
        assert name.removeprefix("consistent:").startswith("ibm")
        return
    ((estimate - targets).abs() ** 2).sum().backward()
    assert bool(torch.isfinite(raw.grad).all())
    assert bool((raw.grad != 0).any())


def test_bound_functions_against_their_closed_forms():
    """asteroid's "BDSS" is not what its docstring says; ours are told apart by name."""
    raw = np.array([0.3, -1.2]).reshape(1, 2, 1, 1, 1)

    def logistic(x):
        return 1 / (1 + math.exp(-x))

    z = 0.3 - 1.2j
    values = {
        "complex": z,
        "complex_tanh": math.tanh(abs(z)) * z / abs(z),
        "complex_tanh_parts": math.tanh(0.3) + 1j * math.tanh(-1.2),
        "complex_sigmoid_parts": logistic(0.3) + 1j * logistic(-1.2),
    }
    for name, value in values.items():
        assert family(name).activate(raw).item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("name", "slope"), [("cirm", 0.5), ("cirm_tanh", 1.0)])
def test_compression_goes_forth_and_back(name, slope, xp):
    parts = np.linspace(-9.99, 9.99, 501)
    mask = xp.asarray(parts + 1j * parts[::-1], dtype=xp.complex64)
    compressed = family(name).compress(mask)
    expected = 10 * np.tanh(slope * 0.1 * parts)
    assert np.allclose(np.asarray(xp.real(compressed)), expected, atol=1e-5)
    error = np.asarray(family(name).decompress(compressed)) - np.asarray(mask)
    assert np.abs(error).max() <= 1e-5 * 10


def test_williamson_compression_is_the_published_formula():
    m = 2.5
    published = 10 * (1 - math.exp(-0.1 * m)) / (1 + math.exp(-0.1 * m))
    assert family("cirm").compress(np.array([m + 0j])).real.item() == pytest.approx(published)
    doubled = family("cirm_tanh").decompress(np.array([published + 0j])).real.item()
    assert doubled == pytest.approx(m / 2)


def test_deep_filter_sees_its_neighbours():
    """The mixture is silent in the last frame: one tap can do nothing there, five can."""
    targets, mixture = spectra()
    targets[1:] = 0
    mixture = mixture * (np.arange(SHAPE[-1]) < SHAPE[-1] - 1)
    single, deep = family("complex"), family("deep_filter")
    assert np.abs(single.apply(single.ideal(targets, mixture), mixture)[0, ..., -1]).max() == 0
    estimate = deep.apply(deep.ideal(targets, mixture), mixture)
    assert np.allclose(estimate, targets)


def test_deep_filter_is_the_sum_over_delays(rng):
    mixture = rng.normal(size=(1, 2, 4)) + 0j
    taps = rng.normal(size=(1, 3, 1, 2, 4)) + 0j
    filtered = masks.get("deep_filter", order=3, lookahead=1).apply(taps, mixture)[0, 0]
    for n in range(4):
        expected = sum(
            taps[0, tap, 0, :, n] * mixture[0, :, n + 1 - tap]
            for tap in range(3)
            if 0 <= n + 1 - tap < 4
        )
        assert np.allclose(filtered[:, n], expected)


@pytest.mark.parametrize("low", ["complex", "psm_unit", "ibm_argmax"])
@pytest.mark.parametrize("high", ["irm1", "complex_tanh"])
@pytest.mark.parametrize("crossover", [0, 1, 1000, 1001, 4000])
def test_hybrid_is_each_family_in_its_own_bins(low, high, crossover):
    hybrid = family(f"hybrid:{low}:{crossover}:{high}")
    targets, mixture = spectra()
    bins = np.arange(SHAPE[2]) * RATE / 2 / (SHAPE[2] - 1)
    below = (bins < crossover)[:, None]
    expected = np.where(
        below, family(low).ideal(targets, mixture), family(high).ideal(targets, mixture)
    )
    assert np.array_equal(hybrid.ideal(targets, mixture), expected)
    raw = raw_maps(f"hybrid:{low}:{crossover}:{high}")
    parts = [family(n).activate(raw[:, : family(n).n_maps]) for n in (low, high)]
    assert np.array_equal(hybrid.activate(raw), np.where(below, *parts))


@pytest.mark.parametrize(
    ("low", "high"),
    [("deep_filter", "psm_unit"), ("complex", "deep_filter"), ("decoupled", "deep_filter")],
)
@pytest.mark.parametrize("crossover", [0, 1000, 4000])
def test_hybrid_applies_components_in_their_own_bins(low, high, crossover, xp):
    name = f"hybrid:{low}:{crossover}:{high}"
    hybrid, (targets, mixture) = family(name), spectra(xp)
    below = (np.arange(SHAPE[2]) * RATE / 2 / (SHAPE[2] - 1) < crossover)[:, None]
    best = [f.apply(f.ideal(targets, mixture), mixture) for f in (family(low), family(high))]
    found = hybrid.apply(hybrid.ideal(targets, mixture), mixture)
    expected = np.where(below, *(np.asarray(x) for x in best))
    assert np.allclose(np.asarray(found), expected, rtol=0, atol=1e-12)
    raw = raw_maps(name, xp)
    made = [
        f.apply(f.activate(raw[:, : f.n_maps, ...]), mixture) for f in (family(low), family(high))
    ]
    found = hybrid.apply(hybrid.activate(raw), mixture)
    expected = np.where(below, *(np.asarray(x) for x in made))
    assert np.allclose(np.asarray(found), expected, rtol=0, atol=1e-12)


def test_a_hybrid_fills_what_its_narrower_half_has_not_with_zeros():
    name = "hybrid:decoupled:2000:psm_unit"
    parts = family(name).parts(raw_maps(name))
    assert (family(name).n_components, family(name).n_parts, family(name).n_maps) == (3, 6, 4)
    high = parts[:, :, :, 8:]  # the first bin from 2000 Hz on
    assert np.array_equal(high[:, 0], family("psm_unit").parts(raw_maps(name)[:, :1])[:, 0, :, 8:])
    assert not high[:, 1:].any()
    assert parts[:, :5, :, :8].any(axis=(0, 2, 3, 4)).tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("name", ["hybrid:complex:1000:irm1", "consistent:hybrid:psm:1000:irm1"])
def test_at_another_rate_a_crossover_keeps_its_place_in_hz(name):
    kind = family(name)
    assert kind.at(RATE) == kind
    assert kind.at(44100) == masks.get(name, sample_rate=44100)
    targets, mixture = spectra()
    low = masks.get(name.replace(":irm1", ":complex"), sample_rate=RATE).at(1500)
    assert np.allclose(
        kind.at(1500).ideal(targets, mixture)[..., :-1, :], low.ideal(targets, mixture)[..., :-1, :]
    )


def test_a_hybrid_sees_as_many_frames_as_the_half_that_sees_more():
    late = masks.get("deep_filter", order=3, lookahead=2)
    both = replace(family("hybrid:deep_filter:2000:psm_unit"), high=late)
    assert late.context == (0, 2)
    assert both.context == (4, 2)


@pytest.mark.parametrize("name", NAMES)
def test_masks_that_say_so_are_linear_in_the_spectrum(name, rng):
    """Over-separated outputs are grouped by adding their masks."""
    mask, mixture = family(name).activate(raw_maps(name)), spectra()[1]
    whole = family(name).apply(mask.sum(axis=0, keepdims=True), mixture)
    parts = family(name).apply(mask, mixture).sum(axis=0, keepdims=True)
    assert np.allclose(whole, parts) == family(name).is_linear


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_masks_of_every_family_pass_its_check(name, dtype, xp):
    kind = family(name)
    complex_dtype = {"float32": "complex64", "float64": "complex128"}[dtype]
    masks.check(kind.ideal(*spectra(xp, dtype=complex_dtype)), kind)
    for scale in (0.0, 1.0, 1e4):
        raw = xp.astype(raw_maps(name, xp, scale=scale), getattr(xp, dtype))
        masks.check(kind.activate(raw), kind)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_masks_that_are_not_finite_are_refused(name, bad, xp):
    mask = np.array(family(name).activate(raw_maps(name)))
    mask[1, ..., 0, 3, 2] = bad
    with pytest.raises(
        SignalError, match=r"values NaN or infinite, as .* expected finite"
    ) as error:
        masks.check(xp.asarray(mask), family(name))
    assert f"masks of {name}: " in str(error.value)
    assert "\n" not in str(error.value)


UNLIMITED = {"psm", "complex", "deep_filter"}


@pytest.mark.parametrize("name", [n for n in masks.names() if n not in UNLIMITED])
@pytest.mark.parametrize("low", [True, False])
def test_masks_out_of_range_are_refused(name, low, xp):
    """In either half of a hybrid and alone: one value a little, but clearly, out of it."""
    bad = {"iam": -0.01, "cirm": 100.1, "cirm_tanh": 50.1, "iam_clip2": 2.01}.get(name, 1.01)
    names = (name, f"hybrid:{name}:2000:complex" if low else f"hybrid:complex:2000:{name}")
    for kind in (family(n) for n in names):
        mask = np.array(kind.activate(raw_maps(kind.name)))
        mask[(0, *[0] * kind.has_components, 1, 0 if low else -1, 0)] = bad
        with pytest.raises(SignalError, match=rf"masks of {name}: 1 of \d+ values out of range"):
            masks.check(xp.asarray(mask), kind)


def test_checks_know_what_each_kind_of_mask_may_be():
    ones = np.ones((2, 1, 2, 2))
    for name, bad, message in (
        ("ibm_threshold", 0.3, r"as 0\.3 at \(0, 0, 0, 0\), expected \{0, 1\}"),
        ("irm1", 0.5 + 0.1j, r"expected \[0, 1\]"),
        ("complex_tanh", 0.8 + 0.8j, r"expected \|M\| < 1"),
        ("complex_tanh_parts", 0.8 - 1.2j, r"expected parts in \[-1, 1\]"),
        ("complex_sigmoid_parts", 0.8 - 0.2j, r"expected parts in \[0, 1\]"),
    ):
        with pytest.raises(SignalError, match=message):
            masks.check(bad * ones, family(name))
    masks.check((0.8 + 0.8j) * ones, family("complex_tanh_parts"))
    masks.check(-1e6j * ones, family("complex"))
    masks.check(1.9 * ones, masks.get("complex_tanh", limit=2.0))


@pytest.mark.parametrize("name", [n for n in NAMES if family(n).sums_to_one])
def test_masks_that_lack_a_source_do_not_sum_to_one(name, xp):
    mask = family(name).activate(raw_maps(name, xp))
    with pytest.raises(SignalError, match="sums over sources differ from 1 by up to"):
        masks.check(mask[:2, ...], family(name))


def test_a_half_of_a_hybrid_must_sum_to_one_alone():
    kind = family("hybrid:softmax:2000:irm1")
    mask = kind.activate(raw_maps(kind.name))
    masks.check(mask, kind)
    mask[:, 0, 0, 0] = 0.1
    with pytest.raises(SignalError, match=r"masks of softmax: sums over .* up to 0\.7, expected 1"):
        masks.check(mask, kind)


def test_masks_of_other_axes_are_refused():
    with pytest.raises(ShapeError, match="source, channel, freq, frame"):
        masks.check(np.ones((2, 3, 4)), family("irm1"))
    with pytest.raises(ShapeError, match="have 2 components, deep_filter has 5"):
        masks.check(np.ones((1, 2, 1, 3, 4)), family("deep_filter"))


@pytest.mark.parametrize("name", PLAIN)
def test_consistent_masks_are_the_nearest_that_sum_to_one(name, rng):
    """Any other move to the plane of masks that sum to one is longer (Pythagoras)."""
    of, consistent = family(name), family(f"consistent:{name}")
    raw = raw_maps(name)
    for before, after in (
        (of.ideal(*spectra()), consistent.ideal(*spectra())),
        (of.activate(raw), consistent.activate(raw)),
    ):
        assert np.allclose(after.sum(axis=0), 1)
        other = rng.normal(size=before.shape)
        other = after + other - other.mean(axis=0)  # sums to one as well
        lengths = [np.sum(np.abs(x - before) ** 2) for x in (after, other)]
        assert lengths[1] - lengths[0] == pytest.approx(np.sum(np.abs(other - after) ** 2))


def test_consistent_masks_by_hand():
    raw = np.log(np.array([1 / 3, 1, 3, 0.0001 / 0.9999])).reshape(4, 1, 1, 1, 1)  # of sigmoid
    found = family("consistent:irm1").activate(raw).ravel()
    missing = 1 - (0.25 + 0.5 + 0.75 + 0.0001)
    assert found == pytest.approx(np.array([0.25, 0.5, 0.75, 0.0001]) + missing / 4)
    assert found.min() < 0


def test_families_that_sum_to_one_are_consistent_already():
    for name in ("softmax", "ibm_argmax", "consistent:psm"):
        raw = raw_maps(name)
        expected = family(name).activate(raw)
        assert np.allclose(family(f"consistent:{name}").activate(raw), expected)


def test_options_of_a_consistent_family_are_those_of_the_other():
    raw = raw_maps("complex_tanh", scale=9.0)
    wide = masks.get("complex_tanh", limit=2.0).activate(raw)
    found = masks.get("consistent:complex_tanh", limit=2.0).activate(raw)
    assert np.allclose(found, masks.normalise(wide))


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=5))
def test_normalised_real_masks_sum_to_one(values):
    out = masks.normalise(np.array(values).reshape(-1, 1, 1, 1))
    assert out.sum() == pytest.approx(1)
    assert out.min() >= 0


def test_normalised_complex_masks_sum_to_one(xp):
    mask = xp.asarray(spectra()[0])
    out = masks.normalise(mask)
    assert np.allclose(np.asarray(xp.sum(out, axis=0)), 1)
    change = np.asarray(out - mask)
    assert np.allclose(change, change[:1])  # the same for every source: the least change


def test_complement_twice_is_the_mask_and_parts_add_up(xp):
    mask = xp.asarray(np.random.default_rng(0).uniform(size=SHAPE))
    assert np.allclose(np.asarray(masks.complement(masks.complement(mask))), np.asarray(mask))
    mixture = spectra(xp)[1]
    both = masks.apply(mask, mixture) + masks.apply(masks.complement(mask), mixture)
    assert np.allclose(np.asarray(both), np.asarray(mixture)[None])


def test_apply_keeps_the_phase_of_the_mixture_and_ones_return_it():
    _, mixture = spectra()
    half = masks.apply(np.full((1, *mixture.shape), 0.5), mixture)
    assert np.allclose(half[0], mixture / 2)
    assert np.array_equal(masks.apply(np.ones((1, *mixture.shape)), mixture)[0], mixture)


def test_sharpened_masks_keep_their_phase_and_what_they_amplify(xp):
    magnitude = np.array([0, 1e-30, 0.25, 1, 3], np.float32)[:, None]
    turns = np.exp(1j * np.linspace(-3, 3, 7)).astype(np.complex64)
    for exponent, expected in ((0.5, [0, 1e-15, 0.5, 1, 3]), (2, [0, 0, 0.0625, 1, 3])):
        for mask in (magnitude * turns, -magnitude):
            found = masks.sharpen(xp.asarray(mask), exponent)
            assert found.dtype == xp.asarray(mask).dtype
            unit = mask / np.where(magnitude > 0, magnitude, 1)
            np.testing.assert_allclose(
                np.asarray(found), unit * np.array(expected)[:, None], rtol=1e-5, atol=1e-30
            )


def test_threshold_at_the_level():
    mask = np.array([0.0, 0.3, 0.5, 1.0])
    assert masks.threshold(mask).tolist() == [0, 0, 1, 1]
    assert masks.threshold(mask, 0.2).tolist() == [0, 1, 1, 1]


def test_projection_makes_estimates_add_up(rng, xp):
    estimates = xp.asarray(rng.normal(size=(4, 3, 2, 50)))  # batch, source, channel, sample
    mixture = xp.asarray(rng.normal(size=(4, 2, 50)))
    out = masks.project_on_mixture(estimates, mixture)
    assert np.allclose(np.asarray(xp.sum(out, axis=1)), np.asarray(mixture))
    weights = xp.reshape(xp.asarray([1.0, 0.0, 0.0]), (3, 1, 1))
    out = masks.project_on_mixture(estimates, mixture, weights=weights)
    assert np.array_equal(np.asarray(out)[:, 1:], np.asarray(estimates)[:, 1:])
    spectrum, whole = spectra(xp)
    out = masks.project_on_mixture(0.5 * spectrum, whole)
    assert np.allclose(np.asarray(xp.sum(out, axis=0)), np.asarray(whole))


def test_disjoint_sources_have_wdo_one_and_equal_ones_none():
    apart = np.zeros((2, 1, 4, 4), dtype=complex)
    apart[0, :, :2], apart[1, :, 2:] = 1, 1j
    result = masks.disjointness(apart)
    assert result.wdo.tolist() == [1, 1]
    assert result.preserved.tolist() == [1, 1]
    assert np.isinf(result.interference).all()
    together = np.ones((2, 1, 4, 4), dtype=complex)
    assert masks.disjointness(together).wdo.tolist() == [0, 0]
    silent = np.zeros((2, 1, 4, 4), dtype=complex)
    assert np.isnan(masks.disjointness(silent).wdo).all()


def test_disjointness_by_hand(xp):
    """Magnitudes 2 and 1 share one bin, 1 stands alone in another."""
    targets = xp.asarray(np.array([[2.0, 0.0], [1.0, 1.0]]).reshape(2, 1, 2, 1) + 0j)
    result = masks.disjointness(targets)
    assert np.allclose(np.asarray(result.preserved), [1, 0.5])
    assert np.allclose(np.asarray(result.interference), [4, np.inf])
    assert np.allclose(np.asarray(result.wdo), [0.75, 0.5])
    strict = masks.disjointness(targets, margin_db=7.0)  # 2 over 1 is 6 dB only
    assert np.allclose(np.asarray(strict.preserved), [0, 0.5])


def test_multichannel_wiener_adds_up_and_uses_space(rng):
    """Two sources from two directions: with one channel no filter of this rank can part them."""
    shape = (1, 20, 60)
    sources = rng.normal(size=(2, *shape)) + 1j * rng.normal(size=(2, *shape))
    steering = np.array([[1.0, 0.3], [0.2, 1.0]])[:, :, None, None]
    targets = sources * steering
    mixture = targets.sum(axis=0)
    estimate = masks.multichannel_wiener(targets, mixture)
    assert np.allclose(estimate.sum(axis=0), mixture)
    assert sdr_db(estimate, targets) > 40
    mono = masks.multichannel_wiener(targets[:, :1], mixture[:1])
    assert sdr_db(mono, targets[:, :1]) < 15


def test_multichannel_wiener_of_one_channel_is_the_power_ratio_mask(rng):
    targets, mixture = spectra()
    targets, mixture = targets[:, :1], mixture[:1]
    # One channel: the spatial covariance cancels only if it is the same for all sources.
    flat = targets / np.abs(targets) * np.array([1.0, 2.0, 3.0])[:, None, None, None]
    whole = flat.sum(axis=0)
    expected = family("irm2").apply(family("irm2").ideal(flat, whole), whole)
    assert np.allclose(masks.multichannel_wiener(flat, whole), expected, atol=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_multichannel_wiener_at_any_level(level, xp):
    targets, mixture = spectra(xp, level, dtype="complex64")
    estimate = masks.multichannel_wiener(targets, mixture, n_iterations=2)
    assert bool(xp.all(xp.isfinite(estimate)))
    difference = xp.sum(estimate, axis=0) - mixture
    assert float(xp.max(xp.abs(difference))) < 1e-4 * float(xp.max(xp.abs(mixture)))
    silent = masks.multichannel_wiener(0 * targets, 0 * mixture)
    assert float(xp.max(xp.abs(silent))) == 0


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("space", ["cartesian", "polar"])
@pytest.mark.parametrize(("n_freq", "factor"), [(512, 2), (513, 2), (17, 4), (5, 1)])
def test_upsampling_keeps_what_was_kept(interpolation, space, n_freq, factor, rng, xp):
    x = xp.asarray(rng.normal(size=(2, n_freq, 3)) + 1j * rng.normal(size=(2, n_freq, 3)))
    low = masks.downsample(x, factor)
    up = masks.upsample(low, n_freq, factor, interpolation=interpolation, space=space)
    assert up.shape == x.shape
    assert np.allclose(np.asarray(up)[:, ::factor], np.asarray(low))
    flat = masks.upsample(0 * low + (2 - 1j), n_freq, factor, interpolation=interpolation)
    assert np.allclose(np.asarray(flat), 2 - 1j)


def test_downsampling_keeps_every_so_many_bins(xp):
    x = xp.reshape(xp.asarray(np.arange(14.0)), (7, 2))
    assert np.asarray(masks.downsample(x, 3)).tolist() == [[0, 1], [6, 7], [12, 13]]


def test_interpolation_between_two_bins():
    low = np.array([[1.0], [3.0], [3.0], [1.0]])
    between = {
        name: masks.upsample(low, 7, 2, interpolation=name)[3, 0]
        for name in ("nearest", "linear", "cubic")
    }
    assert between == {"nearest": 3, "linear": 3, "cubic": pytest.approx(3.375)}
    polar = masks.upsample(np.array([[1.0], [1j]]), 3, 2, interpolation="linear", space="polar")
    assert polar[1, 0] == pytest.approx(np.exp(0.25j * np.pi))


@pytest.mark.parametrize("name", NAMES)
def test_families_describe_themselves(name):
    said = family(name).describe()
    assert said["name"] == name
    assert said["paper"]
    assert said["values"]
    assert said["n_maps"] == family(name).n_maps >= 1
    assert said["complex"] == np.iscomplexobj(family(name).ideal(*spectra()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: masks.get("irm"), "no mask family named 'irm'; there are ibm_threshold"),
        (lambda: masks.get("irm1", limit=2), "it has: power, exponent"),
        (lambda: masks.get("hybrid:irm1:6000"), "expected hybrid:LOW:HZ:HIGH"),
        (lambda: masks.get("hybrid:irm1:6000:complex"), "needs a sample rate"),
        (
            lambda: masks.get("hybrid:irm1:6000:complex", sample_rate=8000),
            "crossover at 6000.0 Hz, expected 0 to 4000.0 Hz",
        ),
        (
            lambda: masks.get("hybrid:irm1:60:hybrid:psm:80:complex", sample_rate=8000),
            "a half is no hybrid itself",
        ),
        (
            lambda: masks.get("hybrid:iam:60:psm", sample_rate=8000, limit=2.0),
            r"has no options, got \['limit'\]",
        ),
        (lambda: masks.get("consistent:deep_filter"), "'deep_filter' have several components"),
        (lambda: masks.get("consistent:decoupled"), "'decoupled' have several components"),
        (lambda: masks.get("consistent:irm"), "no mask family named 'irm'; there are"),
        (lambda: masks.get("consistent:irm1", limit=2), "it has: power, exponent"),
        (
            lambda: masks.get("consistent:hybrid:deep_filter:60:complex", sample_rate=8000),
            "'hybrid:deep_filter:60:complex' have several components",
        ),
        (lambda: masks.get("deep_filter", order=1), "order 1, expected >= 2"),
        (lambda: masks.get("psm", low=0, high=2), r"range \[0, 2\]"),
        (lambda: masks.get("deep_filter", lookahead=5), "lookahead 5, expected 0 to 4"),
        (lambda: masks.threshold(np.ones(2) + 0j), "the mask is complex"),
        (lambda: masks.upsample(np.ones((2, 1)), 4, space="log"), "space: 'log'"),
        (lambda: masks.upsample(np.ones((2, 1)), 4, interpolation="sinc"), "'sinc'"),
        (lambda: masks.upsample(np.ones((2, 1)), 4, alignment="left"), "alignment: .left."),
        (lambda: masks.downsample(np.ones((2, 1)), 0), "factor: 0"),
    ],
)
def test_wrong_settings_are_one_clear_line(call, message):
    with pytest.raises(ConfigError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_wrong_shapes_are_refused():
    targets, mixture = spectra()
    with pytest.raises(ShapeError, match=r"targets\(3, 2, 17, 6\) and mixture\(2, 17, 5\)"):
        family("irm1").ideal(targets, mixture[..., :5])
    with pytest.raises(ShapeError, match="has 1 maps, expected 2"):
        family("complex").activate(np.ones((1, 1, 1, 2, 2)))
    with pytest.raises(ShapeError, match="must agree in"):
        masks.apply(np.ones((1, 1, 2, 2)), mixture)
    with pytest.raises(ShapeError, match="x has 3 bins, expected 4"):
        masks.upsample(np.ones((3, 1)), 7)
    with pytest.raises(ShapeError, match="with a source axis at -3"):
        masks.project_on_mixture(np.ones((2, 1, 9)), np.ones((1, 8)))


def test_every_family_is_on_the_page():
    page = (Path(__file__).parents[1] / "docs" / "masks.md").read_text("utf-8")
    assert [name for name in masks.names() if f"`{name}`" not in page] == []


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize(
    ("ours", "theirs"), [("nearest", "nearest"), ("linear", "bilinear"), ("cubic", "bicubic")]
)
def test_half_bin_upsampling_is_that_of_torch(ours, theirs, factor, rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(1, 2, 9, 5))
    options = {} if ours == "nearest" else {"align_corners": False}
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), scale_factor=(factor, 1), mode=theirs, **options
    ).numpy()
    n_freq = 9 * factor
    found = masks.upsample(x, n_freq, factor, interpolation=ours, alignment="half_bin")
    assert np.allclose(found, expected, rtol=0, atol=1e-12)
    cut = masks.upsample(x, n_freq - 1, factor, interpolation=ours, alignment="half_bin")
    assert np.array_equal(cut, found[..., :-1, :])


def test_the_half_bin_shift_moves_a_ramp_by_half_of_what_was_left_out():
    ramp = np.arange(0.0, 33)[:, None]
    for factor in (2, 4, 8):
        low = masks.downsample(ramp, factor)
        there = masks.upsample(low, 33, factor, interpolation="linear")
        late = masks.upsample(low, 33, factor, interpolation="linear", alignment="half_bin")
        inner = slice(factor, 33 - factor)
        assert np.allclose(there, ramp)
        assert np.allclose(late[inner], ramp[inner] - (factor - 1) / 2)


def test_the_nearest_kept_bin_is_taken_and_the_lower_of_two():
    low = np.array([[0.0], [4.0], [8.0]])
    aligned = masks.upsample(low, 9, 4)[:, 0]
    repeated = masks.upsample(low, 9, 4, alignment="half_bin")[:, 0]
    assert aligned.tolist() == [0, 0, 0, 4, 4, 4, 4, 8, 8]
    assert repeated.tolist() == [0, 0, 0, 0, 4, 4, 4, 4, 8]
