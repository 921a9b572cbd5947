"""``unmask models``: what there is, what a model file says, and models from a hub."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import show
from unmask.errors import FileError, UnmaskError

if TYPE_CHECKING:
    from unmask.hub import Offer


@click.group()
def models() -> None:
    """List models, show what one says about itself, or fetch one from a hub.

    Only `pull` asks a host. What was pulled is a model like any other: -m hf://ORGANISATION/NAME.

    \b
    Examples:
      unmask models list
      unmask models show MODEL.onnx --json card.json
      unmask models pull hf://ORGANISATION/NAME@v1
      unmask models verify
    """


@models.command("list")
@show.json_option
def list_models(json_file: str | None) -> None:
    """List the models that are bundled, and those that were pulled from a hub.

    \b
    Example:
      unmask models list --json models.json
    """
    from unmask.cli import cards
    from unmask.engine.licence import short
    from unmask.engine.model import bundled, load_model

    pulled = _pulled()
    found = [cards.summary(load_model(name), file) for name, file in bundled().items()]
    rows = [
        row
        | {
            "rate": f"{row['sample_rate'] / 1000:g}",
            "size": row["n_bytes"] / 1e6,
            "weights": row["parameters"] / 1e6,
            "latency": f"{row['latency_ms']:.0f}",
            "licence": short(row["licence"]),
        }
        for row in found
    ]
    columns = {
        "name": "name",
        "rate": "kHz",
        "size": "file MB",
        "weights": "weights M",
        "files": "files ×",
        "streams": "streams ×",
        "latency": "latency ms",
        "score": "gain dB",
        "licence": "licence",
    }
    about = f"×: times real time on {cards.machine()}; gain: in SI-SDR, never trained on"
    show.table(rows, columns, title=f"Bundled models ({about})")
    for row in found:
        stems = ", ".join(row["stems"])
        show.paragraph(f"{row['name']} ({row['task']}: {stems}): take it when {row['take_when']}")
    if pulled:
        rows = [row | {"size": row["n_bytes"] / 1e6, "day": row["pulled"][:10]} for row in pulled]
        columns = {"address": "address", "size": "file MB", "day": "pulled", "licence": "licence"}
        show.say("")
        show.table(rows, columns | {"state": "file"}, title="Pulled models", prose=["licence"])
    show.write_json(json_file, found + pulled)


def _pulled() -> list[dict[str, Any]]:
    from dataclasses import asdict
    from pathlib import Path

    from unmask import pins

    return [
        asdict(pin)
        | {"address": str(pin.address), "state": "here" if Path(pin.path).is_file() else "gone"}
        for pin in pins.every()
    ]


@models.command("show")
@click.argument("name_or_path")
@click.option("--all", "everything", is_flag=True, help="All that the file says, a field a line.")
@show.json_option
def show_model(name_or_path: str, everything: bool, json_file: str | None) -> None:
    """Show a model's card: what it does and needs, how good it is, where it comes from.

    With --all or --json, all that the file says: also the whole recipe and every recording.

    \b
    Examples:
      unmask models show denoise-48k-base
      unmask models show MODEL.onnx --json card.json
      unmask models show hf://ORGANISATION/NAME@v1
    """
    from unmask.cli import cards
    from unmask.engine.loading import find
    from unmask.engine.model import load_model

    model = load_model(name_or_path)
    file = find(name_or_path)
    said = model.metadata | {"latency_ms": 1000 * model.latency_s, "sha256": model.sha256}
    # As text: two decimals would make a learning rate zero.
    pairs = (
        [(key, str(value)) for key, value in _flat(said)]
        if everything
        else cards.card(model, file.stat().st_size if file.is_file() else None)
    )
    rows = [{"field": key, "value": value} for key, value in pairs]
    show.table(rows, {"field": "", "value": ""}, title=model.name, prose=["value"])
    show.write_json(json_file, said)


def _flat(said: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested objects, and lists of objects, as dotted names and values."""
    if isinstance(said, list) and said and all(isinstance(entry, dict) for entry in said):
        said = {str(k): entry for k, entry in enumerate(said)}
    if not (isinstance(said, dict) and said):
        return [(prefix, said)]
    dot = prefix and f"{prefix}."
    return [pair for key, value in said.items() for pair in _flat(value, f"{dot}{key}")]


@models.command()
@click.argument("address")
@click.option(
    "-y",
    "--yes",
    "--accept-licence",
    "accepted",
    is_flag=True,
    help="Take the licence, and fetch without being asked.",
)
@click.option("--sha256", metavar="HEX", help="Refuse a file that has not this hash.")
@click.option(
    "--with-token",
    is_flag=True,
    help="Tell the hub who asks (HF_TOKEN or `hf auth login`): for models that need it.",
)
@show.json_option
@show.quiet_option
def pull(
    address: str,
    accepted: bool,
    sha256: str | None,
    with_token: bool,
    json_file: str | None,
    quiet: bool,
) -> None:
    """Fetch a model from a hub: hf://ORGANISATION/NAME[@REVISION][/FILE.onnx].

    Shows commit, size and licence before anything is fetched, and asks. The file goes to the cache
    of huggingface_hub (HF_HUB_CACHE) once it is whole, its hash is right and it loads; commit and
    hash are noted, and each use compares the hash. With HF_HUB_OFFLINE what the cache has is
    taken, and no host is asked. Needs unmask[hub].

    \b
    Examples:
      unmask models pull hf://ORGANISATION/NAME
      unmask models pull hf://ORGANISATION/NAME@v1/small.onnx --accept-licence --sha256 HEX
      unmask separate -m hf://ORGANISATION/NAME song.mp3
    """
    from dataclasses import asdict

    from unmask import hub
    from unmask.cli.separating import say_licence

    offer = hub.look_up(address, with_token=with_token)
    _say_offer(offer)
    if not accepted:
        _ask(offer)
    with show.steps(100, quiet=quiet or offer.is_cached) as advance:
        seen = 0

        def progress(share: float) -> None:
            nonlocal seen
            while seen < 100 * share:
                advance(offer.file)
                seen += 1

        pin, model = hub.pull(offer, sha256=sha256, with_token=with_token, progress=progress)
    own = model.metadata.get("licence")
    show.say(f"{pin.address}: {pin.path}")
    show.say(f"SHA-256 {pin.sha256}, pinned; licence by the file itself: {own or 'not told'}")
    say_licence(model)
    show.say(f"use it with -m {address}")
    show.write_json(json_file, asdict(pin))


def _say_offer(offer: "Offer") -> None:
    """Say on standard error what would be fetched."""
    show.note(str(offer.address))
    where = "in the cache already" if offer.is_cached else "to be fetched"
    show.note(f"{offer.n_bytes / 1e6:.2f} MB, {where}; licence: {offer.licence}")


def _ask(offer: "Offer") -> None:
    """Ask whether it is wanted, where somebody can answer.

    Raises
    ------
    FileError
        If nobody can.
    """
    if not sys.stdin.isatty():
        raise FileError(
            f"{offer.asked}: nothing was fetched; read the licence ({offer.licence}) and "
            "add --accept-licence (-y)"
        )
    click.confirm("Take the licence and fetch it?", abort=True, err=True)


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@show.json_option
def verify(names: Sequence[str], json_file: str | None) -> None:
    """Read models again: hashes, contents, and one call of each network.

    NAME is a bundled name, a file or the address of a model that was pulled; without any, all that
    are bundled or pulled. Exit code 1 if one is not as it was.

    \b
    Examples:
      unmask models verify
      unmask models verify hf://ORGANISATION/NAME@v1 music
    """
    from unmask.hub import verify as verified

    rows, n_bad = [], 0
    for name, found in verified(names):
        if isinstance(found, UnmaskError):
            n_bad += 1
            show.error(found)
        rows.append(
            {
                "name": name,
                "result": "bad" if isinstance(found, UnmaskError) else "good",
                "sha256": None if isinstance(found, UnmaskError) else found.sha256,
            }
        )
    columns = {"name": "name", "result": "result", "sha256": "SHA-256"}
    show.table(rows, columns, title="Models, read again")
    show.write_json(json_file, rows)
    if n_bad:
        click.get_current_context().exit(1)
