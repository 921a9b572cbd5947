"""``unmask stream``: sound that is under way, through pipes and through sound cards."""

import sys
from typing import TYPE_CHECKING, Any, TextIO

import click

from unmask.cli import show
from unmask.cli.settings import with_settings
from unmask.engine.settings import Settings
from unmask.errors import ConfigError, SampleRateError, ShapeError

if TYPE_CHECKING:
    from unmask.audio.pcm import PipeFormat
    from unmask.engine.model import Model
    from unmask.live.device import Device
    from unmask.live.tap import Tap

# What a shell reports for a program that Ctrl-C, or a pipe that nobody reads, has ended.
_INTERRUPTED, _NOBODY_READS = 130, 141

_FORMATS = [
    *("wav", "u8", "s16le", "s24le", "s32le", "f32le", "f64le"),
    *("s16be", "s24be", "s32be", "f32be", "f64be"),
]


def _list_devices(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from unmask.live.device import sound_card

        for line in str(sound_card().query_devices()).splitlines():
            show.say(line)
        context.exit()


def _device(_context: click.Context, _parameter: click.Parameter, name: str | None) -> "Device":
    return int(name) if name is not None and name.isdecimal() else name


@click.command()
@click.option(
    "-m", "--model", default=show.DENOISER, help="Bundled name, .onnx file or hf:// address."
)
@click.option("--stem", help="What comes out: a stem or the residual.  [default: the first stem]")
@click.option(
    "--format",
    "kind",
    type=click.Choice(_FORMATS),
    help="What comes in and goes out: WAV, or raw PCM by FFmpeg's name.  [default: wav]",
)
@click.option("--rate", type=int, metavar="HZ", help="Of raw PCM or live sound.")
@click.option("--channels", type=click.IntRange(1), help="Of raw PCM or live sound.  [default: 1]")
@click.option(
    "--block",
    type=click.IntRange(1),
    metavar="N",
    help="Samples that are waited for.  [default: one hop of the model]",
)
@click.option("--max-latency", type=float, metavar="MS", help="Refuse a model that has more.")
@click.option(
    "--chunk-frames",
    type=click.IntRange(1),
    metavar="N",
    help="Frames a call of the network: less work, N - 1 frames later. Allows a network for files.",
)
@with_settings
@click.option(
    "--not-finite",
    type=click.Choice(["silence", "refuse"]),
    default="silence",
    help="NaN and infinity pass as silence and are counted, or end the stream.",
)
@click.option("--live", is_flag=True, help="From microphone to loudspeaker, until Ctrl-C.")
@click.option("--input-device", callback=_device, metavar="NAME", help="Or its number.")
@click.option("--output-device", callback=_device, metavar="NAME", help="Or its number.")
@click.option(
    "--list-devices",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_devices,
    help="Show the sound devices.",
)
@click.option("--threads", type=click.IntRange(1), default=1, help="Threads of the network.")
@show.provider_option
@click.option("-q", "--quiet", is_flag=True, help="No report at the end; warnings stay.")
def stream(
    live: bool, model: str, threads: int, providers: tuple[str, ...], **options: Any
) -> None:
    """Separate sound that is under way.

    Reads standard input and writes standard output, in the same format and with as many samples;
    what is ready is out at once. With --live it listens and plays instead. At the end the latency
    and the speed are reported on standard error.

    Exit codes: 0 at the end of the input, 1 after an error, 130 after Ctrl-C, 141 if nobody reads
    the output any more.

    \b
    Examples:
      ffmpeg -i talk.mp4 -f wav - | unmask stream | ffplay -i -
      unmask stream -m denoise-48k-small --format s16le --rate 48000 --channels 2 < in.raw > out.raw
      unmask stream -m denoise-48k-live --live --max-latency 21
    """
    from unmask.engine.model import load_model

    loaded = load_model(model, threads=threads, providers=providers)
    run = _live if live else _pipe
    click.get_current_context().exit(run(loaded, **options))


def _pipe(
    model: "Model",
    *,
    kind: str | None,
    rate: int | None,
    channels: int | None,
    quiet: bool,
    input_device: "Device",
    output_device: "Device",
    **options: Any,
) -> int:
    """Relay standard input to standard output; return the exit code."""
    from unmask.live.pipe import Ending, relay
    from unmask.live.tap import delay

    if input_device is not None or output_device is not None:
        raise click.UsageError("--input-device and --output-device need --live")
    source, sink = _binary(sys.stdin, "standard input"), _binary(sys.stdout, "standard output")
    form = _form(source, kind or "wav", rate, channels)
    tap, block = _tap(model, form.sample_rate, form.n_channels, **options)
    code, ending = 0, Ending(0, 0)
    try:
        ending = relay(source, sink, tap, form, block=block)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        code = _NOBODY_READS
    except OSError as error:
        show.abandon(sink)
        raise ConfigError(
            f"standard input or output: {error.strerror}; check what is at their ends"
        ) from error
    if code:
        show.abandon(sink)
    if ending.n_missing:
        show.warn(f"standard input: ends {ending.n_missing} bytes before its head says")
    if ending.n_stray:
        show.warn(f"standard input: ends with {ending.n_stray} bytes of a sample, they are dropped")
    _report(tap, block, delay(tap.streamer, block), quiet=quiet)
    return code


def _live(
    model: "Model",
    *,
    kind: str | None,
    rate: int | None,
    channels: int | None,
    quiet: bool,
    input_device: "Device",
    output_device: "Device",
    **options: Any,
) -> int:
    """Relay a microphone to a loudspeaker; return the exit code."""
    from unmask.live import device

    if kind is not None:
        raise click.UsageError("--format is of pipes, --live has none")
    sound = device.sound_card()
    rate = rate or device.default_rate(sound, input_device)
    tap, block = _tap(model, rate, channels or 1, **options)
    duplex, code = device.Duplex(tap, block=block), 0
    try:
        device.run(duplex, sound, devices=(input_device, output_device))
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if duplex.n_underruns:
        show.warn(
            f"{duplex.n_silent} samples in {duplex.n_underruns} blocks came too late, silence"
        )
    if duplex.n_overruns:
        show.warn(
            f"{duplex.n_lost} samples in {duplex.n_overruns} blocks found no room and are lost"
        )
    if duplex.n_faults:
        show.warn(f"the sound card was late {duplex.n_faults} times; try a larger --block")
    card = f" and {1000 * duplex.device_s:.1f} ms of the sound card"
    _report(tap, block, duplex.delay, quiet=quiet, more=card)
    return code


def _binary(file: TextIO | None, subject: str) -> Any:
    """Return the bytes of standard input or output."""
    if file is None or file.isatty():
        found = "is closed" if file is None else "is a terminal"
        raise ConfigError(f"{subject}: {found}, expected sound; use a pipe or a file")
    return file.buffer


def _form(source: Any, kind: str, rate: int | None, channels: int | None) -> "PipeFormat":
    """Return what standard input carries; read the head of WAV."""
    from unmask.audio.pcm import ENCODINGS, PipeFormat, read_wav_head

    if kind != "wav":
        if rate is None:
            raise click.UsageError(f"--format {kind} needs --rate: raw PCM does not say its own")
        return PipeFormat(rate, channels or 1, ENCODINGS[kind])
    form = read_wav_head(source)
    if rate not in (None, form.sample_rate):
        raise SampleRateError(
            f"standard input: sample rate is {form.sample_rate} Hz by its head, "
            f"--rate says {rate} Hz; leave it out"
        )
    if channels not in (None, form.n_channels):
        raise ShapeError(
            f"standard input: has {form.n_channels} channels by its head, "
            f"--channels says {channels}; leave it out"
        )
    return form


def _tap(
    model: "Model",
    rate: int,
    n_channels: int,
    *,
    stem: str | None,
    block: int | None,
    max_latency: float | None,
    chunk_frames: int | None,
    settings: Settings,
    not_finite: str,
) -> tuple["Tap", int]:
    """Return the stem of a new stream, and the samples to feed it at a time."""
    from unmask.engine.stream import Streamer
    from unmask.live.tap import Tap, check_delay, hop

    streamer = Streamer(
        model,
        sample_rate=rate,
        n_channels=n_channels,
        residual=stem is not None and stem not in model.stems,
        chunk_frames=chunk_frames,
        settings=settings,
    )
    if chunk_frames is None and (model.context or model.unit > 1):
        raise ConfigError(
            f"{model.name}: is a network for files, {streamer.latency / rate:.1f} s late; "
            f"use one for streams, or allow it with --chunk-frames {model.unit} or a multiple"
        )
    samples = block or hop(streamer)
    if max_latency is not None:
        check_delay(streamer, samples, name=model.name, max_ms=max_latency)
    return Tap(streamer, stem or model.stems[0], refuse=not_finite == "refuse"), samples


def _report(tap: "Tap", block: int, n_late: int, *, quiet: bool, more: str = "") -> None:
    """Say on standard error what was changed, and unless `quiet` how late and how fast it was."""
    if tap.n_clipped:
        show.warn(
            f"standard output: {tap.n_clipped} samples beyond full scale were clipped, "
            f"the peak was {tap.peak:.3f}; a float format holds them"
        )
    if tap.n_not_finite:
        show.warn(f"{tap.n_not_finite} samples were NaN or infinite, they passed as silence")
    if quiet or not tap.n_samples:
        return
    rate = tap.streamer.sample_rate
    show.note(
        f"{tap.stem}: {tap.n_samples / rate:.2f} s at {rate} Hz in blocks of {block}, "
        f"latency {1000 * n_late / rate:.1f} ms{more}; {tap.speed:.1f} times real time, "
        f"{tap.n_steps} steps, {1000 * tap.quantile_s(0.5):.2f} ms (median) to "
        f"{1000 * tap.quantile_s(0.999):.2f} ms (99.9 %)"
    )
