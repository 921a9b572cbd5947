"""``unmask listen``: listening tests, from sound files to numbers."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from unmask.cli import show

if TYPE_CHECKING:
    from unmask.listen.make import Plan

_Command = TypeVar("_Command", bound=Callable[..., Any])
_TEST = click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="TEST")
_DATABASE = click.option(
    "--database",
    metavar="URL",
    help="Where answers are; postgresql+psycopg://USER@HOST/NAME.  [default: TEST/answers.sqlite]",
)
_EXPECTED = (0.58, 0.65)


@click.group()
def listen() -> None:
    """Make, serve and analyse listening tests in the browser.

    \b
    Examples:
      unmask listen make separated/ours separated/theirs --targets musdb18hq/test -o mytest
      unmask listen serve mytest
      unmask listen export mytest -o judgements.csv
      unmask listen analyse judgements.csv
    """


def _numbers(_context: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(",") if number.strip())
    except ValueError:
        raise click.BadParameter(f"{text!r} should be numbers with commas", param=option) from None


_MAKE = (
    click.argument(
        "systems",
        nargs=-1,
        required=True,
        type=click.Path(file_okay=False, path_type=Path),
        metavar="SYSTEM...",
    ),
    click.option(
        "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the test."
    ),
    click.option(
        "--targets",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the true stems. Not needed for --preset ab.",
    ),
    click.option(
        "--mixtures",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the mixtures.  [default: beside the targets, or their sum]",
    ),
    click.option(
        "--preset",
        type=click.Choice(["paper", "cartwright", "ab", "mushra"]),
        default="paper",
        help="paper: pairs, quality and separation; cartwright: pairs, five questions; ab: pairs, "
        "preference, no reference; mushra: ratings, hidden reference, anchors.",
    ),
    click.option("--names", callback=show.split, metavar="A,B,...", help="Of the systems."),
    click.option("--stems", callback=show.split, metavar="A,B,...", help="Stems to use."),
    click.option("--allow-missing", is_flag=True, help="Leave out tracks that not all have."),
    click.option(
        "--items", type=int, help="Excerpts.  [default: one a stem of a track, at most 12]"
    ),
    click.option("--duration", "duration_s", type=float, default=8.0, help="Of an excerpt, s."),
    click.option("--pairs", type=int, help="Pairs of systems an excerpt.  [default: all]"),
    click.option(
        "--pages",
        "pages_per_listener",
        type=int,
        help="Pages a listener, a balanced random subset.  [default: all, at most 24]",
    ),
    click.option("--repeats", type=int, default=0, help="Pages that each listener gets twice."),
    click.option("--none", is_flag=True, help='Offer the answer "no difference".'),
    click.option(
        "--references",
        callback=lambda c, o, text: None if text is None else show.split(c, o, text),
        metavar="A,B",
        help="Of mixture and target.  [default: those of the preset]",
    ),
    click.option(
        "--anchors", callback=_numbers, default="3500,7000", metavar="HZ,...", help="Of MUSHRA."
    ),
    click.option("--loudness", "loudness_lufs", type=float, default=-23.0, help="Of clips, LUFS."),
    click.option(
        "--min-heard",
        "min_heard_s",
        type=float,
        default=2.0,
        help="Seconds that each clip is played before one can answer.",
    ),
    click.option(
        "--headphones",
        type=click.Choice(["off", "ask", "require"]),
        default="ask",
        help="The headphone check: left out, made, or to be passed.",
    ),
    click.option("--title", default="Listening test", help="What listeners read at the top."),
    click.option("--seed", type=int, default=0, help="Of all chance."),
    show.quiet_option,
    show.json_option,
)


def _with(options: Sequence[Any]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@listen.command()
@_with(_MAKE)
def make(
    systems: Sequence[Path],
    out: Path,
    targets: Path | None,
    mixtures: Path | None,
    names: Sequence[str],
    stems: Sequence[str],
    allow_missing: bool,
    quiet: bool,
    json_file: str | None,
    **settings: Any,
) -> None:
    """Make a listening test of what systems wrote.

    SYSTEM is a folder of estimates, track/stem.wav, as `unmask separate` writes below
    separated/MODEL. Excerpts lie where the target is loud, by chance among these; their clips are
    equally loud (BS.1770), and have random names.

    \b
    Examples:
      unmask listen make separated/ours separated/theirs --targets musdb18hq/test -o mytest
      unmask listen make ours theirs --targets true --stems bass,drums --repeats 2 -o mytest
      unmask listen make a b c d --targets true --preset mushra --items 8 -o mytest
      unmask listen make ours theirs --preset ab --none -o mytest
    """
    from unmask.evaluate import Pairing
    from unmask.listen import make as making
    from unmask.listen.recordings import find, system_names

    called = system_names(systems, names)
    how = Pairing(stems=tuple(stems) or None, allow_missing=allow_missing)
    found = find(dict(zip(called, systems, strict=True)), targets, mixtures, how)
    plan = making.plan(called, found.recordings, making.Settings(**settings))
    for remark in found.remarks:
        show.note(remark)
    for line in _needs(plan):
        show.say(line, err=json_file == "-")
    with show.steps(plan.n_items, quiet=quiet) as advance:
        test = making.make(plan, out, progress=advance)
    made = f"{out}: {plan.n_items} excerpts, {plan.n_pages} pages; unmask listen serve {out}"
    show.say(made, err=json_file == "-")
    show.write_json(json_file, asdict(test))


def _needs(plan: "Plan") -> list[str]:
    """Say how many judgements and listeners the test needs."""
    from unmask.listen.power import judgements_needed

    again = f", {plan.settings.repeats} of them twice" * (plan.settings.repeats > 0)
    lines = [f"each listener gets {plan.pages_per_listener} of {plan.n_pages} pages{again}"]
    if any(len(one.mixture) > 1 for one, _ in plan.excerpts) and "mixture" in plan.references:
        lines.append("no mixtures beside the targets: the sum of all targets of a track is played")
    if plan.preset.kind == "mushra":
        return [*lines, "ITU-R BS.1534 finds that up to 20 experienced listeners are often enough"]
    for preference in _EXPECTED:
        lines.append(
            f"to show that {preference:.0%} prefer one of two (80 % power, exact binomial test at "
            f"5 %) takes {judgements_needed(preference)} judgements a pair and question: "
            f"{plan.listeners_needed(preference)} listeners"
        )
    return lines


@listen.command()
@_TEST
@click.option("--host", default="127.0.0.1", help="Address to serve on; 0.0.0.0 is all there are.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="0 is any free one.")
@click.option(
    "--public-url",
    metavar="URL",
    help="How listeners reach it through a proxy: cookies for https alone if it is https, no other "
    "host name, and the proxy is believed about addresses.",
)
@_DATABASE
@click.option(
    "--max-listeners", type=click.IntRange(1), default=1000, help="How many it takes in all."
)
def serve(
    folder: Path,
    host: str,
    port: int,
    public_url: str | None,
    database: str | None,
    max_listeners: int,
) -> None:
    """Serve a listening test to browsers, until Ctrl-C.

    Answers are on the disk before the browser is told so; stopped or killed, it goes on where it
    was when it is started again.

    \b
    Examples:
      unmask listen serve mytest
      unmask listen serve mytest --host 0.0.0.0 --port 8080
      unmask listen serve mytest --public-url https://listen.example.org
      unmask listen serve mytest --database postgresql+psycopg://me@localhost/answers
    """
    from unmask.listen.serving import Address, serve

    address = Address(host=host, port=port, public_url=public_url)
    serve(folder, address, database=database, most_sessions=max_listeners, say=show.say)


@listen.command()
@_TEST
@_DATABASE
@click.option("-o", "--out", default="judgements.csv", metavar="FILE", help="- is standard output.")
@click.option(
    "--listeners", type=click.Path(dir_okay=False, path_type=Path), help="Also write a CSV of them."
)
@click.option("--token", is_flag=True, help="Only print the organiser's token, for HTTP.")
@show.json_option
def export(
    folder: Path,
    database: str | None,
    out: str,
    listeners: Path | None,
    token: bool,
    json_file: str | None,
) -> None:
    """Write what listeners answered as CSV, one row an answer.

    It may be done while the test is served. Over HTTP: GET /api/export/judgements.csv and
    listeners.csv with the organiser's token.

    \b
    Examples:
      unmask listen export mytest -o judgements.csv --listeners listeners.csv
      curl -H "Authorization: Bearer $(unmask listen export mytest --token)" \\
        http://127.0.0.1:8000/api/export/judgements.csv
    """
    from unmask.files import write_text
    from unmask.listen import design
    from unmask.listen import export as exporting
    from unmask.listen.serving import open_store

    if token:
        click.echo(design.read(folder)[1].organiser)
        return
    test, secret, store = open_store(folder, database)
    text = exporting.judgements_csv(test, secret, store)
    rows = list(exporting.judgements(test, secret, store))
    people = list(exporting.listeners(test, store))
    if listeners is not None:
        write_text(listeners, exporting.listeners_csv(test, store))
    store.close()
    if out == "-":
        click.echo(text, nl=False)
    else:
        write_text(out, text)
        show.say(f"{out}: {len(rows)} answers of {len(people)} listeners", err=json_file == "-")
    show.write_json(json_file, {"judgements": rows, "listeners": people})
