"""``unmask ui``: a page in the browser, on this computer."""

import click

from unmask.cli import show
from unmask.cli.separating import DEFAULT_SEPARATOR


@click.command()
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="NAME_OR_FILE",
    help="Also offer this .onnx file, and choose it first; may be given several times.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 is any free one.")
@click.option("--open/--no-open", "opens", default=True, help="Whether a browser is opened.")
@click.option("--threads", type=click.IntRange(1), default=1, help="Threads of the network.")
@show.provider_option
def ui(
    models: tuple[str, ...], port: int, opens: bool, threads: int, providers: tuple[str, ...]
) -> None:
    """Separate recordings on a page in the browser, until Ctrl-C.

    Drop files, hear the stems, switched without a gap, mix them, look at spectrograms and masks,
    download what `unmask separate` would have written. Nothing leaves this computer: the page is
    served to it alone, under an address with a secret that is printed. What was given and made is
    in a temporary folder (of TMPDIR) that is removed at the end. Files of up to 4 GB are taken.

    \b
    Examples:
      unmask ui
      unmask ui --threads 4 -m MODEL.onnx
      unmask ui --no-open --port 8100
      ssh -L 8100:127.0.0.1:8100 COMPUTER unmask ui --no-open --port 8100
    """
    from unmask.cli import cards
    from unmask.engine.model import bundled
    from unmask.ui.offers import Models, Offer
    from unmask.ui.serving import serve

    names = list(dict.fromkeys([*models, DEFAULT_SEPARATOR, *bundled()]))
    offers = [Offer(name, cards.known(name).get("take_when", "")) for name in names]
    offered = Models(offers, threads=threads, providers=providers)
    for name in models or names[:1]:
        offered.get(name)  # what cannot be read is refused now
    serve(offered, port=port, opens=opens, say=show.say)
