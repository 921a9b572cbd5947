"""The command line: one thin function per command, each calls the library and prints the result.

A command lives in a module of this folder that imports nothing heavy at its top, and is added to
:data:`main` here.
"""

import io
import sys
from contextlib import suppress
from typing import Any

import click

from unmask._version import __version__
from unmask.cli import (
    ablating,
    checking,
    combining,
    environment,
    evaluating,
    listen,
    listen_analysing,
    listening,
    masking,
    measuring,
    models,
    plotting,
    reporting,
    separating,
    show,
    streaming,
    training,
    ui,
)
from unmask.cli.stopping import stopped_by_signals
from unmask.errors import UnmaskError


class Commands(click.Group):
    """A group that says what went wrong in one line; what is no `UnmaskError` is a bug."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the options; a pipe that nobody reads is no error of --help and --version."""
        try:
            return super().make_context(*args, **options)
        except BrokenPipeError:
            show.abandon(sys.stdout)
            raise click.exceptions.Exit(0) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; exit code 1 after an error, 130 after Ctrl-C, 143 after SIGTERM."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # names that it cannot show end nothing
                stream.reconfigure(errors="backslashreplace")
        try:
            with stopped_by_signals():
                return super().invoke(ctx)
        except UnmaskError as error:
            show.error(error)
            ctx.exit(1)
        except BrokenPipeError:  # of what click prints itself
            show.abandon(sys.stdout)
            ctx.exit(0)
        except KeyboardInterrupt as stop:
            with suppress(OSError):  # the terminal may be gone
                show.note("stopped; nothing half-written is left")
            ctx.exit(getattr(stop, "code", 130))


_CONTEXT = {
    "show_default": True,
    "max_content_width": 100,
    "help_option_names": ["-h", "--help"],
}


def _say_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        show.say(f"unmask {__version__}")
        show.say(environment.versions())
        context.exit()


@click.group(cls=Commands, context_settings=_CONTEXT)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Show the version, and those of what results depend on.",
)
def main() -> None:
    """Separate sound with masks, and measure how well.

    \b
    Examples:
      unmask denoise noisy.wav
      unmask separate song.mp3
      unmask separate song.mp3 --two-stems vocals
      unmask oracle FOLDER_OF_STEMS
      unmask models list
    """


listen.listen.add_command(listen_analysing.analyse)
for command in (
    separating.separate,
    separating.denoise,
    streaming.stream,
    listening.loudness,
    masking.masks,
    reporting.report,
    listen.listen,
    ui.ui,
    measuring.oracle,
    measuring.gap,
    combining.combine,
    ablating.ablate,
    checking.check,
    evaluating.evaluate,
    evaluating.scores,
    models.models,
    plotting.plot,
    training.train,
    training.export,
    environment.info,
):
    main.add_command(command)
