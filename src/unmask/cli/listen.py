"""``unmask listen``: listening tests, from sound files to numbers."""

import click


@click.group()
def listen() -> None:
    """Make, serve and analyse listening tests in the browser."""
