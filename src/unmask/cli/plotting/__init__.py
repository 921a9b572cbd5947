"""``unmask plot``: figures of what masks do, and of how runs went."""

import click

from unmask.cli.plotting.difference import plot_difference
from unmask.cli.plotting.learning import plot_learning
from unmask.cli.plotting.masks import plot_masks
from unmask.cli.plotting.phase_benefit import plot_phase_benefit


@click.group()
def plot() -> None:
    """Draw what masks do, and how runs went.

    \b
    Examples:
      unmask plot masks complex_tanh FOLDER_OF_STEMS -o masks.png
      unmask plot phase-benefit FOLDER_OF_STEMS -o benefit.png
      unmask plot learning runs/a runs/b -o learning.png
      unmask plot difference complex_tanh psm_unit FOLDER_OF_STEMS -o PAGE
    """


for command in (plot_masks, plot_phase_benefit, plot_difference, plot_learning):
    plot.add_command(command)
