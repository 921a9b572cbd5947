"""What cannot be trained, or only in vain: found before any work starts."""

from collections.abc import Mapping

import torch

from unmask import losses
from unmask.data import Settings
from unmask.errors import ConfigError
from unmask.frontends import STFT, Frames
from unmask.masks.domains import Binary, Interval
from unmask.masks.family import Family
from unmask.recipe.sections import Loss

#: What a validation tells of all stems, and of one, or of what is known only together, see
#: :mod:`unmask.train.validation`.
SCORES = ("loss", "si_sdr_db", "si_sdr_improvement_db", "median_improvement_db")
SUMS = "sums"
STEM_SCORES = ("si_sdr_db", "si_sdr_improvement_db")
# Bins to try a family in, so that a hybrid has both halves.
_BINS = 513
# Share of the head above which it is remarked on (BS-RoFormer has 66 % of its parameters there).
_MOST_OF_HEAD = 0.5
#: Losses that say nothing about the level of an estimate.
BLIND_TO_LEVEL = {"sdr", "si_sdr"}


def check_monitor(monitor: str, data: Settings) -> None:
    """Refuse to watch a score that no validation gives."""
    known, stems = list(SCORES), data.stems
    if len(stems) > 1:
        names = [*stems, SUMS] if _has_sums(data) else stems
        known += [f"{name}/{score}" for name in names for score in STEM_SCORES]
    if monitor not in known:
        raise ConfigError(f"train: monitor {monitor!r}; there are {known}")


def _has_sums(data: Settings) -> bool:
    """Return whether stems may be known only together in a validation."""
    stems, tracks = set(data.stems), getattr(data, "tracks", ())
    contents = [held for t in tracks if t.valid_share > 0 for held in t.contains.values()]
    return any(len(stems & set(held)) > 1 for held in contents)


def check_examples(examples: str, data: Settings) -> None:
    """Refuse to make on a device what only the CPU can."""
    if examples == "device" and getattr(data, "effects", None):
        raise ConfigError(
            'train: examples = "device", but data.effects are played on the CPU; set data.effects '
            '= {}, as with equalise_db and reverb_share, or examples = "loader"'
        )


def check_channels(n_seen: int, data: Settings) -> None:
    """Refuse a network that sees other channels at once than the examples have."""
    if n_seen not in (1, data.channels):
        raise ConfigError(
            f"frontend: sees {n_seen} channels at once, examples have {data.channels}; set "
            "data.channels, which stems have"
        )


def check_head(family: Family, data: Settings) -> None:
    """Refuse masks that the network cannot change, or that leave nothing for the residual."""
    stems = list(data.stems)
    if len(stems) == 1 and data.residual is None:
        raise ConfigError(f"data: {stems[0]!r} is all there is; name more sources")
    if family.sums_to_one and len(stems) == 1:
        raise ConfigError(
            f"head: {family.name} masks sum to one over the sources, so that of {stems[0]!r} alone "
            "is always 1; name more targets or take another family"
        )
    if family.sums_to_one and data.residual is not None:
        raise ConfigError(
            f"head: {family.name} masks of {stems} sum to one, nothing is left for the residual "
            f"{data.residual!r}; make it a target or take another family"
        )
    if not _is_learnable(family, len(stems)):
        raise ConfigError(
            f"head: {family.name} has bins where the mask is a step or a constant, so nothing is "
            "learned there; take a family that is smooth, as irm1"
        )


def check_assignment(
    loss: Loss, grouping: str, outputs: int, data: Settings, *, batch: int
) -> None:
    """Refuse outputs that nothing shares out, and what cannot be shared out.

    Parameters
    ----------
    loss : Loss
    grouping, outputs
        Of the head.
    data : Settings
    batch : int
        Examples of a step.
    """
    kind, n_targets = loss.assignment, len(data.stems)
    shares_out = kind in ("groups", "mixit")
    if (grouping == "assigned") != shares_out:
        raise ConfigError(
            f"loss: assignment = {kind!r} with head.grouping = {grouping!r}; groups and mixit go "
            'with grouping = "assigned", the others with another'
        )
    if kind == "fixed":
        return
    if n_targets == 1:
        raise ConfigError(f"loss: assignment = {kind!r} needs targets, data has {data.stems[0]!r}")
    if losses.parse(loss.kind).keys() & losses.MASK_LOSSES:
        raise ConfigError(
            f"loss: {loss.kind} compares masks, assignment = {kind!r} moves waveforms; take a loss "
            "of waveforms"
        )
    if _may_be_together(data):
        raise ConfigError(
            f"loss: assignment = {kind!r}, some stems are known only together; leave those tracks "
            "out, or set it to fixed"
        )
    if kind == "mixit" and (batch % 2 or outputs < 2 * n_targets):
        raise ConfigError(
            f"loss: assignment = 'mixit' adds up pairs of mixtures, batch = {batch} and outputs = "
            f"{outputs}; expected an even batch and at least {2 * n_targets} outputs"
        )


def _may_be_together(data: Settings) -> bool:
    """Return whether stems may be known only together."""
    stems, tracks = set(data.stems), getattr(data, "tracks", ())
    return any(len(stems & set(held)) > 1 for t in tracks for held in t.contains.values())


def _is_learnable(family: Family, n_sources: int) -> bool:
    """Return whether the masks have a gradient in every bin."""
    shape = (n_sources, family.n_maps, 1, _BINS, family.context[0] + 3)
    n_maps = torch.Size(shape).numel()
    with torch.enable_grad():
        raw = torch.linspace(-1.0, 1.0, n_maps).reshape(shape).requires_grad_()
        square = family.activate(raw).abs().square().sum()
        if not square.requires_grad:
            return False
        (slope,) = torch.autograd.grad(square, raw)
    return bool((slope.abs().sum((0, 1, 2, 4)) > 0).all())


def check_mask_losses(kind: str | Mapping[str, float], family: Family, host: STFT | Frames) -> None:
    """Refuse losses of masks where there are none that they could compare."""
    names = sorted(losses.parse(kind).keys() & losses.MASK_LOSSES)
    if not names:
        return
    if not isinstance(host, STFT):
        raise ConfigError(
            f"loss: {names[0]} looks at masks of a spectrum, a learned front-end has none; take a "
            'loss of waveforms, or frontend.kind = "stft"'
        )
    if family.has_components:
        raise ConfigError(
            f"loss: {names[0]} compares one number a bin, masks of {family.name} have several; "
            "take another loss or family"
        )
    if "mask_binary" in names and family.domain not in (Interval(0, 1), Binary()):
        raise ConfigError(
            f"loss: mask_binary needs masks in [0, 1], {family.name} has {family.domain}; take "
            "irm1, or mask_l1"
        )


def remarks(family: Family, loss: str | Mapping[str, float], *, sees: str | None) -> list[str]:
    """Return what can be trained but may not be what was meant.

    Parameters
    ----------
    family : Family
        Of the head.
    loss : str or mapping
        As in a recipe.
    sees : str, optional
        Input of the network, where it has a choice.
    """
    said = []
    blind = losses.parse(loss).keys() <= BLIND_TO_LEVEL
    if blind and not family.sums_to_one and _is_unbounded(family):
        said.append(
            f"loss {loss!r} does not hear the level of an estimate and {family.name} does not "
            "bound it: levels, and with them the residual, are left to chance; add magnitude"
        )
    if sees == "magnitude" and family.is_complex:
        said.append(
            f"the network sees magnitudes only, {family.name} masks turn a phase that it does not "
            "see; set frontend.input to complex or compressed"
        )
    return said


def remarks_on_head(of_parameters: float, of_macs: float) -> list[str]:
    """Return what is odd about the share of a network, from 0 to 1, that its head takes."""
    if max(of_parameters, of_macs) <= _MOST_OF_HEAD:
        return []
    return [
        f"the head holds {of_parameters:.0%} of the parameters and {of_macs:.0%} of the "
        "multiplications: more is spent on masks than on what they are made of; lower head.hidden, "
        "depth or outputs, or compare with networks of equal size"
    ]


def _is_unbounded(family: Family) -> bool:
    """Return whether large maps make large masks."""
    raw = torch.full((2, family.n_maps, 1, 2, 1), 1e3)
    return bool(family.activate(raw).abs().max() > 100)
