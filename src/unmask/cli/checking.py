"""``unmask check``: what a separator keeps when something else is turned."""

import math
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import show
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.check import Row, Separator


@click.command()
@click.argument("separator", required=False)
@click.option(
    "--command",
    metavar="TEXT",
    help="A program instead: {input} is the file that it reads, {output} the folder that it "
    "writes to ({output}.wav for one file).",
)
@click.option(
    "--rate",
    "sample_rate",
    type=click.IntRange(8000, 192000),
    default=44100,
    metavar="HZ",
    help="Of what a program or function is given; a model has its own.",
)
@click.option("--channels", type=click.Choice(["1", "2"]), default="2", help="Of the recording.")
@click.option(
    "--seconds", type=click.FloatRange(0.5, 600), default=3.0, help="Length of the recording."
)
@click.option(
    "--input",
    "recording",
    type=click.Path(path_type=Path),
    help="Give it the beginning of this file, at the file's rate. Default: a recording made here.",
)
@click.option("--only", callback=show.split, metavar="NAMES", help="Only these, as length,sum.")
@click.option("--timeout", type=float, default=600.0, help="Seconds that a program may take.")
@show.json_option
@show.quiet_option
def check(separator: str | None, json_file: str | None, quiet: bool, **options: Any) -> None:
    """Check what a separator keeps: length, level, channels, containers, blocks, and more.

    SEPARATOR is a bundled model, an .onnx file, or module:function, a Python function of (mixture,
    sample_rate), arrays (channel, sample). Every row says what was turned, the bound, and the
    difference that was measured, in dB of the mixture's energy. Exit code 1 if it fails where a
    separator must not; what merely differs is how the network learned to be.

    \b
    Examples:
      unmask check denoise-16k
      unmask check MODEL.onnx --seconds 10 --json check.json
      unmask check unmask.check:identity
      unmask check --command "demucs -n htdemucs -o {output} {input}" --seconds 8
    """
    from unmask import check as checks

    chosen = _separator(separator, options)
    mixture = None
    if options["recording"] is not None:
        mixture = _beginning(options, chosen)
    rows: list[Row] = []
    names = options["only"] or checks.CHECKS
    with show.steps(len(names), quiet=quiet) as advance:
        found = checks.check(
            chosen,
            mixture=mixture,
            seconds=options["seconds"],
            n_channels=int(options["channels"]),
            only=options["only"],
        )
        for row in found:
            advance(row.check)
            rows.append(row)
    _print(rows, chosen.name)
    passed = checks.is_passed(rows)
    show.write_json(
        json_file,
        {"separator": chosen.name, "passed": passed, "checks": [asdict(row) for row in rows]},
    )
    if not passed:
        click.get_current_context().exit(1)


def _separator(said: str | None, options: dict[str, Any]) -> "Separator":
    from unmask.check import CallableSeparator, CommandSeparator, ModelSeparator

    rate = options["sample_rate"]
    if (said is None) == (options["command"] is None):
        raise ConfigError("check: expected either SEPARATOR or --command; give one")
    if said is None:
        return CommandSeparator(options["command"], sample_rate=rate, timeout_s=options["timeout"])
    _, colon, name = said.partition(":")
    if colon and name.isidentifier() and not said.endswith(".onnx"):
        sys.path.insert(0, os.getcwd())  # as `python -m` does
        return CallableSeparator.find(said, sample_rate=rate)
    return ModelSeparator(said)


def _beginning(options: dict[str, Any], separator: "Separator") -> Any:
    """Return the first seconds of a file, float32; the separator is checked at its rate."""
    import numpy as np

    from unmask import audio

    samples, rate = audio.read(options["recording"], stop_s=options["seconds"])
    separator.sample_rate = rate
    return samples[: int(options["channels"])].astype(np.float32)


def _print(rows: "list[Row]", name: str) -> None:
    shown = [
        {
            "check": row.check,
            "law": row.law,
            "bound": _value(row.bound, row.unit),
            "value": row.said or _value(row.value, row.unit),
            "result": row.result.upper() if row.result == "fail" else row.result,
        }
        for row in rows
    ]
    columns = {
        "check": "check",
        "law": "what is turned or asked",
        "bound": "at most",
        "value": "measured",
        "result": "result",
    }
    title = f"{name}: largest differences, in dB of the mixture's energy"
    show.table(shown, columns, title=title, prose=("law", "value"))


def _value(value: float, unit: str) -> str:
    if math.isnan(value):
        return ""
    return "none" if value == -math.inf else f"{value:.0f} {unit}"
