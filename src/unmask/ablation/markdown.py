"""The Markdown page of an ablation."""

from unmask.ablation.tables import Cells, blog_rows, level_rows, results, to_markdown
from unmask.ablation.verdicts import verdicts


def report(cells: Cells, *, title: str, note: str) -> str:
    """Return the page: what holds, the oracles, the table of the blog for every decimation.

    Parameters
    ----------
    cells : mapping of Cell to sequence of Score
    title, note : str
        Of the page, and below its title.
    """
    parts = [f"# {title}", note]
    for found in results(cells):
        parts.append(f"## {found.mixing} of {found.n_sources} sources, {found.stft}")
        parts.append(to_markdown(list(verdicts(found))))
        parts.append("All bins; gains where the mixture is the sum and the mean of the sources.")
        parts.append(to_markdown(level_rows(found)))
        for factor in sorted(factor for factor in found.values("decimation") if factor > 1):
            parts.append(f"One bin in {factor} kept, mean SDR over sources in dB.")
            parts.append(to_markdown(blog_rows(found, factor)))
    return "\n\n".join(part.strip() for part in parts) + "\n"
