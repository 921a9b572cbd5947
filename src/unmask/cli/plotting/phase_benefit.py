"""``unmask plot phase-benefit``: where complex masks are worth it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import show
from unmask.cli.plotting import choices

if TYPE_CHECKING:
    from unmask.phase_benefit import Curve

_ALL = "mean"


@click.command("phase-benefit")
@click.argument(
    "folders", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FOLDER_OF_STEMS…"
)
@choices.figure_option
@click.option("--complex", "complex_mask", default="complex_tanh", help="Family of complex masks.")
@click.option("--real", "real_mask", default="psm_unit", help="Family of real masks.")
@choices.stems_option
@click.option("--start", default=0.0, help="Where to begin in every recording, in seconds.")
@click.option("--duration", type=float, help="How much of it, in seconds.  [default: to the end]")
@click.option("--loss", default=0.5, metavar="DB", help="What the crossover may cost.")
@click.option("--sdr", type=float, metavar="DB", help="Also what it costs a separator of this SDR.")
@choices.front_end_options
@show.json_option
@show.quiet_option
def plot_phase_benefit(
    folders: Sequence[Path],
    out: Path,
    complex_mask: str,
    real_mask: str,
    stems: Sequence[str],
    start: float,
    duration: float | None,
    loss: float,
    sdr: float | None,
    n_fft: int | None,
    hop: int | None,
    window: str | None,
    json_file: str | None,
    quiet: bool,
) -> None:
    """Show per octave what ideal complex masks gain over ideal real ones, and where to stop.

    A mixture is the sum of the stems in a folder; means are over stems and folders, in dB. Also
    prints what a hybrid, complex below a crossover and real above, loses against complex masks
    everywhere, and the lowest crossover that loses no more than --loss.

    \b
    Examples:
      unmask plot phase-benefit assets/demo -o benefit.png --stems speech --n-fft 320 --hop 160
      unmask plot phase-benefit songs/* -o benefit.svg --start 30 --duration 20 --json benefit.json
    """
    from unmask.mixtures import Sources
    from unmask.phase_benefit import mean, phase_benefit
    from unmask.stems import find_stems

    front = choices.front_end(n_fft, hop, window)
    found: dict[str, list[Curve]] = {}
    with show.steps(len(folders), quiet=quiet) as advance:
        for folder in folders:
            advance(folder.name)
            truth = Sources(find_stems(folder), start_s=start, duration_s=duration)
            found[str(folder)] = phase_benefit(
                truth,
                complex_mask=complex_mask,
                real_mask=real_mask,
                stft=front,
                only=_chosen(truth.names, stems),
            )
    curves = [curve for of_one in found.values() for curve in of_one]
    names = list(dict.fromkeys(curve.name for curve in curves))
    means = {name: mean([c for c in curves if c.name == name], name) for name in names}
    if len(means) > 1:
        means[_ALL] = mean(curves, _ALL)
    sample_rate = truth.sample_rate
    noun = "recording" if len(folders) == 1 else "recordings"
    about = f"{complex_mask} over {real_mask}, {front}, {sample_rate} Hz, {len(folders)} {noun}"
    _print_gains(means, about)
    _print_losses(means, curves, loss, sdr)
    _draw(out, means, loss, about)
    said = {
        "complex": complex_mask, "real": real_mask, "sample_rate": sample_rate, "loss_db": loss,
        "sdr_db": sdr,
        "stft": asdict(front), "start_s": start, "duration_s": duration,
        "crossovers_hz": {name: _crossovers(curve, loss, sdr) for name, curve in means.items()},
        "loss_at_db": None if sdr is None else {n: c.loss_at(sdr) for n, c in means.items()},
        "means": [curve.describe() for curve in means.values()],
        "recordings": [
            {"folder": folder, "stems": [curve.describe() for curve in of_one]}
            for folder, of_one in found.items()
        ],
    }  # fmt: skip
    show.write_json(json_file, said)
    show.say(str(out))


def _chosen(truth: Sequence[str], stems: Sequence[str]) -> list[str] | None:
    """Return the stems to score that this recording has; all names if it has none of them."""
    from unmask.stems import canonical

    wanted = [canonical(name) for name in stems]
    return [name for name in wanted if name in truth] or wanted or None


def _crossovers(curve: "Curve", loss: float, sdr: float | None) -> dict[str, float]:
    found = {
        "whole_band": curve.crossover_hz(loss),
        "every_octave": curve.crossover_hz(loss, every_octave=True),
    }
    return found if sdr is None else found | {"at_sdr": curve.crossover_hz(loss, sdr_db=sdr)}


def _print_gains(means: "Mapping[str, Curve]", about: str) -> None:
    bands = next(iter(means.values())).bands_hz
    rows = [
        {"band": f"{low:g}-{high:g} Hz", **{n: c.gain_db[k] for n, c in means.items()}}
        for k, (low, high) in enumerate(bands)
    ]
    columns = {"band": "octave", **{name: name for name in means}}
    show.table(rows, columns, title=f"Gain in SDR, dB: {about}")


def _print_losses(
    means: "Mapping[str, Curve]", curves: "Sequence[Curve]", loss: float, sdr: float | None
) -> None:
    *_, whole = means.values()
    at_sdr = whole.sdr_db if sdr is None else whole.loss_at(sdr)
    rows: list[dict[str, Any]] = [
        {
            "hz": f"{hz:g} Hz",
            "sdr": whole.sdr_db[k],
            **{name: curve.loss_db[k] for name, curve in means.items()},
            "worst": max(curve.loss_db[k] for curve in curves),
            "octave": whole.worst_octave_db[k],
            "at_sdr": at_sdr[k],
        }
        for k, hz in enumerate(whole.crossovers_hz)
    ]
    columns = {"hz": "crossover", "sdr": "SDR", **{name: f"loss, {name}" for name in means}}
    columns |= {"worst": "loss, worst stem", "octave": "loss, worst octave"}
    if sdr is not None:
        columns["at_sdr"] = f"loss at {sdr:g} dB"
    show.table(rows, columns, title="SDR of hybrids and what they lose, dB; 0 Hz is all real")
    for name, curve in means.items():
        at = _crossovers(curve, loss, sdr)
        show.paragraph(
            f"{name}: complex below {at['whole_band']:g} Hz loses at most {loss:g} dB of the whole "
            f"band; below {at['every_octave']:g} Hz, of any octave"
            + (
                ""
                if sdr is None
                else f"; below {at['at_sdr']:g} Hz, with a separator of {sdr:g} dB"
            )
        )


def _draw(file: Path, means: "Mapping[str, Curve]", loss: float, title: str) -> None:
    from unmask.plots import phase_benefit_figure, write_figure

    edges = next(iter(means.values())).crossovers_hz
    figure = phase_benefit_figure(
        edges,
        {name: curve.gain_db for name, curve in means.items()},
        {name: curve.loss_db for name, curve in means.items()},
        limit_db=loss,
        title=title,
    )
    write_figure(file, figure)
