"""Losses of masks: known answers bin by bin, the papers' definitions, and training with them."""

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from lightning_fabric import Fabric  # noqa: E402

from unmask import losses, masks, recipe, train  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.frontends import STFT  # noqa: E402
from unmask.losses import MASK_LOSSES, Masked  # noqa: E402

RATE = 8000
SMALL = STFT(128, 64, "sqrt_hann")


def seen(mask, target, mixture, family="irm1"):
    """One source, one channel, bins in a row, one frame."""
    family = masks.get(family)
    mask, target = (torch.tensor(x)[None, None, :, None] for x in (mask, target))
    kind = torch.complex64 if family.is_complex else torch.float32
    mixture = torch.tensor(mixture)[None, :, None].to(torch.complex64)
    return Masked(mask.to(kind), target.to(torch.complex64), mixture, family)


@pytest.mark.parametrize(
    ("name", "family", "mask", "target", "mixture", "expected"),
    [
        # the loudest is the target (2 of 2 + 1), then the rest (1 of 1 + 3)
        ("mask_binary", "irm1", [0.8], [2.0], [3.0], -math.log(0.8)),
        ("mask_binary", "irm1", [0.8], [1.0], [4.0], -math.log(0.2)),
        ("mask_binary", "irm1", [1.0, 0.0], [2.0, 1.0], [3.0, 4.0], 0.0),
        # the share is 3 of 3 + 1
        ("mask_l1", "irm1", [0.5], [3.0], [4.0], 0.25),
        ("mask_mse", "irm1", [0.5], [3.0], [4.0], 0.0625),
        ("mask_l1", "irm1", [0.5, 0.75], [3.0, 3.0], [4.0, 4.0], 0.125),
        # of a complex mask the mean of both parts: 2j is drawn back to j
        ("mask_l1", "complex_tanh", [0.5 + 0j], [2j], [1.0], 0.75),
        ("mask_mse", "complex_tanh", [0.5 + 0j], [2j], [1.0], 0.625),
        # 10 tanh(0.05 m): of m = 40 against 0
        ("mask_l1", "cirm", [0j], [40.0], [1.0], 10 * math.tanh(2) / 2),
        ("mask_mse", "cirm_tanh", [0j], [40.0], [1.0], 100 * math.tanh(4) ** 2 / 2),
        # || Y | - | M X ||, whatever the phase
        ("masked_magnitude", "complex", [1j], [-2.0], [2.0], 0.0),
        ("masked_magnitude", "irm1", [0.5], [3j], [4.0], 1.0),
        # as far as the source points along the mixture, from 0 to | X |
        ("phase_sensitive", "irm1", [0.5], [0.5], [1.0], 0.0),
        ("phase_sensitive", "irm1", [0.5], [2.0], [1.0], 0.5),
        ("phase_sensitive", "irm1", [0.25], [-1.0], [1.0], 0.25),
        ("phase_sensitive", "irm1", [0.25], [3j], [1.0], 0.25),
        ("phase_sensitive", "irm1", [0.0], [1 + 1j], [2.0], 1.0),
        ("phase_sensitive", "irm1", [0.5], [0.0], [0.0], 0.0),
    ],
)
def test_known_answers(name, family, mask, target, mixture, expected):
    value = MASK_LOSSES[name](seen(mask, target, mixture, family))
    assert value.shape == (1,)
    assert float(value) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def spectra(n_sources=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randn(3, n_sources, 1, 9, 5, dtype=torch.complex64, generator=generator)
    rest = torch.randn(3, 1, 9, 5, dtype=torch.complex64, generator=generator)
    return targets, targets.sum(1) + rest


@pytest.mark.parametrize("name", ["mask_l1", "mask_mse"])
@pytest.mark.parametrize("family", ["irm1", "psm_unit", "complex_tanh", "cirm", "complex"])
def test_the_ideal_mask_of_the_family_is_the_least(name, family):
    targets, mixture = spectra()
    family = masks.get(family)
    rest = (mixture - targets.sum(1))[:, None]
    ideal = family.ideal(torch.cat([targets, rest], 1), mixture)[:, :2]
    assert MASK_LOSSES[name](Masked(ideal, targets, mixture, family)).abs().max() < 1e-5
    assert MASK_LOSSES[name](Masked(0.9 * ideal, targets, mixture, family)).min() > 1e-3


def test_the_phase_sensitive_mask_is_the_least_of_the_phase_sensitive_loss():
    targets, mixture = spectra()
    family = masks.get("psm_unit")
    ideal = family.ideal(targets, mixture)
    assert MASK_LOSSES["phase_sensitive"](Masked(ideal, targets, mixture, family)).max() < 1e-6


def test_masks_that_sum_to_one_share_among_the_targets_alone():
    targets, _ = spectra()
    family = masks.get("softmax")
    mixture = targets.sum(1)
    ideal = family.ideal(targets, mixture)
    assert MASK_LOSSES["mask_l1"](Masked(ideal, targets, mixture, family)).max() < 1e-6


@pytest.mark.parametrize("name", MASK_LOSSES)
def test_silence_gives_no_nan_neither_in_value_nor_in_gradient(name):
    for silent in ("targets", "mixture", "both"):
        targets, mixture = spectra()
        targets = 0 * targets if silent != "mixture" else targets
        mixture = 0 * mixture if silent != "targets" else mixture
        raw = torch.zeros(3, 2, 1, 9, 5, requires_grad=True)
        mask = torch.sigmoid(raw)
        value = MASK_LOSSES[name](Masked(mask, targets, mixture, masks.get("irm1")))
        value.sum().backward()
        assert value.isfinite().all()
        assert raw.grad.isfinite().all()


@pytest.mark.parametrize("name", MASK_LOSSES)
def test_every_source_has_the_loss_that_it_has_beside_other_masks(name):
    targets, mixture = spectra()
    mask = torch.rand(3, 2, 1, 9, 5)
    other = torch.cat([mask[:, :1], 0.5 * mask[:, 1:]], 1)
    one, two = (
        MASK_LOSSES[name](Masked(m, targets, mixture, masks.get("irm1"))) for m in (mask, other)
    )
    assert one.shape == (3, 2)
    assert torch.equal(one[:, 0], two[:, 0])
    assert not torch.equal(one[:, 1], two[:, 1])


def test_before_synthesis_is_another_loss_than_after_it():
    generator = torch.Generator().manual_seed(0)
    target, noise = torch.randn(2, 1, 1, 1, 4000, generator=generator)
    mixture = (target + noise)[:, 0]
    sums, family = torch.eye(1)[None], masks.get("irm1")
    waves = (target, mixture)
    mask = torch.rand(1, 1, 1, SMALL.n_freq, SMALL.n_frames(4000), generator=generator)
    found = losses.masked((mask, *waves), sums, stft=SMALL, family=family)
    heard = SMALL.synthesize(found.estimate / SMALL.unit, 4000)
    before = MASK_LOSSES["masked_magnitude"](found)
    after = losses.magnitude_loss(heard, target, mixture, stft=SMALL)
    assert abs(float(before) - float(after)) > 0.05 * float(before)
    # a spectrum that is one of a sound is the same before and after
    found = losses.masked((1 + 0 * mask, *waves), sums, stft=SMALL, family=family)
    heard = SMALL.synthesize(found.estimate / SMALL.unit, 4000)
    after = losses.magnitude_loss(heard, target, mixture, stft=SMALL)
    assert float(MASK_LOSSES["masked_magnitude"](found)) == pytest.approx(float(after), rel=1e-4)


def test_the_mask_of_sources_that_are_known_together_is_the_sum_of_theirs():
    waves = torch.randn(1, 3, 1, 1000)
    sums = torch.tensor([[[1.0, 0, 0], [0, 1, 1], [0, 0, 0]]])
    mask = torch.rand(1, 3, 1, SMALL.n_freq, SMALL.n_frames(1000))
    known = losses.combine(sums, waves)
    found = losses.masked(
        (mask, known, waves.sum(1)), sums, stft=SMALL, family=masks.get("complex")
    )
    assert torch.equal(found.masks[:, 0], mask[:, 0])
    torch.testing.assert_close(found.masks[:, 1], mask[:, 1] + mask[:, 2])
    torch.testing.assert_close(found.targets.sum(1), found.mixture)


# ---- from a recipe


def made(loss, mask="irm1", **tables):
    return recipe.from_dict(
        {
            "frontend": {"n_fft": 128, "hop": 64},
            "backbone": {"kind": "crn", "channels": [8, 12], "hidden": 16, "layers": 1},
            "head": {"mask": mask},
            "loss": {"kind": loss},
            "data": {
                "sample_rate": RATE,
                "recordings": [
                    {"role": "speech", "glob": "a", "valid_share": 0.5},
                    {"role": "noise", "glob": "b", "valid_share": 0.5},
                ],
            },
            "train": {"steps": 100, "batch": 2, "warmup_steps": 1, "decay_share": 0.0},
        }
        | tables
    )


def example(k):
    generator = torch.Generator().manual_seed(k)
    time = torch.arange(2000) / RATE
    hz = 200 + 1500 * torch.rand(3, 1, generator=generator)
    target = 0.1 * torch.sin(2 * torch.pi * hz * time).sum(0)[None, None]
    noise = 0.1 * torch.randn(1, 2000, generator=generator)
    return {"mixture": target[0] + noise, "targets": target, "sums": torch.eye(1)}


@pytest.mark.parametrize(
    ("loss", "mask"),
    [
        ("mask_binary", "irm1"),
        ("mask_l1", "irm1"),
        ("mask_l1", "cirm"),
        ("mask_mse", "complex_tanh"),
        ("masked_magnitude", "complex_tanh"),
        ("phase_sensitive", "psm_unit"),
    ],
)
def test_a_recipe_trains_with_it(loss, mask, tmp_path):
    torch.set_num_threads(1)
    trainer = train.Trainer(Fabric(accelerator="cpu", devices=1), made(loss, mask), tmp_path)
    batch = torch.utils.data.default_collate([example(k) for k in range(2)])
    values = [float(trainer._train(batch)["loss"].detach()) for _ in range(15)]
    assert values[-1] < 0.95 * values[0]
    scores = trainer._validate([example(k) for k in range(3)])
    assert math.isfinite(scores["loss"])
    assert trainer.bare.masked(batch["mixture"])[1].shape == (2, 1, 1, 65, 33)


def test_losses_of_masks_and_of_waveforms_add_up(tmp_path):
    trainer = train.Trainer(
        Fabric(accelerator="cpu", devices=1), made("si_sdr + 2*mask_l1"), tmp_path
    )
    batch = torch.utils.data.default_collate([example(k) for k in range(2)])
    values = trainer._losses(*trainer_inputs(trainer, batch))
    torch.testing.assert_close(values["loss"], values["si_sdr"] + 2 * values["mask_l1"])


def trainer_inputs(trainer, batch):
    estimates, found = trainer.bare.masked(batch["mixture"])
    return estimates, batch, found


def test_the_masks_that_a_loss_sees_are_those_that_made_the_estimate(tmp_path):
    trainer = train.Trainer(Fabric(accelerator="cpu", devices=1), made("mask_l1"), tmp_path)
    mixture = torch.stack([example(k)["mixture"] for k in range(2)]).repeat(1, 2, 1)
    estimates, found = trainer.bare.masked(mixture)
    spectra = masks.apply(found, trainer.bare.frontend.analyze(mixture))
    torch.testing.assert_close(trainer.bare.frontend.synthesize(spectra, 2000), estimates)
    torch.testing.assert_close(trainer.bare(mixture), estimates)


@pytest.mark.parametrize(
    ("loss", "mask", "tables", "message"),
    [
        ("mask_binary", "complex_tanh", {}, r"needs masks in \[0, 1\], complex_tanh has \|M\| < 1"),
        ("mask_binary", "psm_signed", {}, r"psm_signed has \[-1, 1\]"),
        ("mask_l1", "deep_filter", {}, "masks of deep_filter have several"),
        (
            "si_sdr + phase_sensitive",
            "irm1",
            {"frontend": {"kind": "learned"}},
            "phase_sensitive looks at masks of a spectrum, a learned front-end has none",
        ),
        ("mask_l2", "irm1", {}, r"no loss named \['mask_l2'\]; there are"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(loss, mask, tables, message):
    with pytest.raises(ConfigError, match=message) as caught:
        made(loss, mask, **tables)
    assert "\n" not in str(caught.value)
