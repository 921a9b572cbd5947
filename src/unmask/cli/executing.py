"""What does the work, this machine or a cluster; and files that are elsewhere."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.remote import StandIns
    from unmask.workers import Executor

cluster_option = click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Do it on a Ray cluster: HOST:PORT of its head, 'auto' on one of its machines, 'local' "
    "for this machine alone. Files are URLs (s3://…), or lie where all machines see them.",
)


def executor(
    jobs: int, cluster: str | None, *, threads: int = 1, jobs_asked: int | None = None
) -> "Executor":
    """Return what does the work.

    Raises
    ------
    ConfigError
        If both are asked for, processes of this machine and a cluster.
    """
    if cluster is None:
        from unmask.workers import Processes

        return Processes(jobs)
    if jobs_asked is not None:
        raise ConfigError("-j, --cluster: a cluster does what its machines can; leave out -j")
    if not cluster:
        raise ConfigError("--cluster: '' is no address; is a variable of the shell not set?")
    from unmask.cluster import Cluster

    return Cluster(cluster, threads)


def stand_ins() -> "AbstractContextManager[StandIns]":
    """Make what stands for files that are elsewhere, while the block lasts."""
    from unmask import remote

    return remote.stand_ins()


def check_urls(paths: Iterable[str], *, reference: str | None, is_video: bool) -> None:
    """Refuse URLs where this machine would have to look into the files.

    Raises
    ------
    ConfigError
        If there is one.
    """
    from unmask.remote import is_url

    option = "--reference" if reference else "--into-video" if is_video else None
    if option and (urls := [path for path in (*paths, reference or "") if is_url(path)]):
        raise ConfigError(
            f"{option}: looks into files on this machine, {urls[0]} is elsewhere; copy it here"
        )
