"""One HTML file of an ablation: what holds, the blog's table, every row; it needs nothing else."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from unmask.ablation.tables import (
    COLUMNS,
    HEADS,
    Cells,
    Results,
    blog_rows,
    level_rows,
    results,
    text,
)
from unmask.ablation.verdicts import statements

# SDR in dB at which the colour of a table is lightest and fullest.
_LOW_DB, _HIGH_DB = 0.0, 20.0


def page(cells: Cells, *, title: str, note: str) -> str:
    """Return the page.

    Parameters
    ----------
    cells : mapping of Cell to sequence of Score
    title, note : str
        Of the page, and below its title.
    """
    parts = [_section(found) for found in results(cells)]
    body = "\n".join(parts)
    return _PAGE.format(title=escape(title), note=escape(note), body=body)


def _section(found: Results) -> str:
    stft = found.stft
    head = f"Mixture: {found.mixing} of {found.n_sources} sources. {stft}"
    parts = [f"<h2>{escape(head)}</h2>", _verdicts(found), _levels(found)]
    parts += [_blog(found, d) for d in sorted(found.values("decimation")) if d > 1]
    return "\n".join(parts)


def _verdicts(found: Results) -> str:
    signs = {True: "✓", False: "✗", None: "–"}
    classes = {True: "yes", False: "no", None: "open"}
    rows = [
        f'<tr class="{classes[one.holds]}"><td><b aria-hidden="true">{signs[one.holds]}</b> '
        f"{one.verdict}</td><td>{escape(one.text)}</td><td>{escape(one.found)}</td></tr>"
        for one in statements(found)
    ]
    head = "<tr><th>Here</th><th>Statement</th><th>In this recording</th></tr>"
    return _table("What is said, and whether it holds", head, rows)


def _levels(found: Results) -> str:
    rows = [
        f"<tr><td>{escape(row['family'])}</td><td>{escape(row['bound'])}</td>"
        + "".join(_value(row[key]) for key in ("sdr", "si_sdr"))
        + "".join(_value(row[f"gain {m}"], coloured=False) for m in ("sum", "mean"))
        + "</tr>"
        for row in level_rows(found)
    ]
    names = ("family", "bound", "SDR", "SI-SDR", "gain, sum", "gain, mean")
    head = "<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"
    return _table("All bins: the oracles, and what they do to levels", head, rows)


def _blog(found: Results, decimation: int) -> str:
    span = len(COLUMNS) // 2
    head = (
        '<tr><th rowspan="2">upsampled</th><th rowspan="2">family</th><th rowspan="2">bound</th>'
        f'<th rowspan="2">space</th><th colspan="{span}">aligned</th>'
        f'<th colspan="{span}">half-bin shift</th></tr><tr>'
        + "".join(f"<th>{name}</th>" for _, name in COLUMNS)
        + "</tr>"
    )
    rows = [_blog_row(row) for row in blog_rows(found, decimation)]
    return _table(f"One bin in {decimation} kept: mean SDR over sources in dB", head, rows)


def _blog_row(row: Mapping[str, Any]) -> str:
    values = [row[f"{alignment} {name}"] for alignment, name in COLUMNS]
    best = max((value for value in values if not math.isnan(value)), default=math.nan)
    heads = "".join(f"<td>{escape(row[k])}</td>" for k in HEADS)
    return f"<tr>{heads}{''.join(_value(v, best=v == best) for v in values)}</tr>"


def _value(value: float, *, coloured: bool = True, best: bool = False) -> str:
    if math.isnan(value):
        return '<td class="n"></td>'
    share = min(1.0, max(0.0, (value - _LOW_DB) / (_HIGH_DB - _LOW_DB)))
    style = f' style="--v:{100 * share:.0f}%"' if coloured else ""
    shown = f"<b>{text(value)}</b>" if best else text(value)
    return f'<td class="n{" c" if coloured else ""}"{style}>{shown}</td>'


def _table(caption: str, head: str, rows: Sequence[str]) -> str:
    body = "\n".join(rows)
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption><thead>{head}</thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --full: light-dark(#7db8e8, #1f5f92) }}
body {{ font-family: sans-serif; line-height: 1.4 }}
body {{ margin: 1em auto; max-width: 72em; padding: 0 1em }}
h2 {{ font-size: 1.1em; margin-top: 2em }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; margin: 1em 0 }}
caption {{ font-weight: bold; padding: .4em 0; text-align: left }}
th, td {{ border-bottom: 1px solid light-dark(#ccc, #555); padding: .25em .7em; text-align: left }}
th {{ font-weight: normal; opacity: .8; vertical-align: bottom }}
.n {{ font-variant-numeric: tabular-nums; text-align: right }}
.c {{ background: color-mix(in srgb, var(--full) var(--v), transparent) }}
td:first-child {{ white-space: nowrap }}
.yes b {{ color: light-dark(#17752b, #6fd585) }}
.no b {{ color: light-dark(#b3261e, #ff8a80) }}
</style>
<h1>{title}</h1>
<p>{note}</p>
{body}
<p>Colours run from 0 to 20 dB; the best interpolation of a row is bold. A space or bound that makes
no difference is not repeated. Montesinos (2021), Masks in sound source separation: an ablation.</p>
</html>
"""
