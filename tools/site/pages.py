"""Pages that are made of the code: every command, every public module, every bundled model."""

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

import unmask
from unmask.cli import cards, main
from unmask.engine.model import bundled, load_model

#: Modules of the training wing: they need PyTorch, so `unmask.__all__` leaves them out.
TRAINING = ("checkpoint", "data", "export", "losses", "nets", "recipe", "train")
#: What is rendered away from its module has the heading that others get from it.
_WITH_HEADING = ("heading: true", "full_path: false", "toc_entry: true")
#: Whose settings commands inherit: that defaults are shown.
_ROOT = click.Context(main, info_name="unmask", **main.context_settings)
_PACKAGE = Path(unmask.__file__).parent


def made() -> dict[str, str]:
    """Return the text of every made page by its place on the site."""
    return {"cards.md": _models(), **dict(_commands()), **dict(_modules())}


# ---- the command line


def _commands() -> Iterator[tuple[str, str]]:
    yield "cli/index.md", _overview()
    for name, command in main.commands.items():
        yield f"cli/{name}.md", "\n".join(_command(command, f"unmask {name}", None, 1))


def _overview() -> str:
    rows = [
        f"| [`{n}`]({n}.md) | {_escaped(c.get_short_help_str(200))} |"
        for n, c in main.commands.items()
    ]
    about = "Exit codes, JSON, completion, what goes where: [the command line](../command_line.md)."
    table = ["| command | |", "|---|---|", *rows]
    return "\n".join(["# All commands", "", about, "", *table, ""])


def _command(
    command: click.Command, path: str, parent: click.Context | None, level: int
) -> Iterator[str]:
    """Yield the lines of a command and of those below it."""
    name = path.rsplit(" ")[-1]
    context = click.Context(command, parent or _ROOT, info_name=name)
    yield f"{'#' * level} {path}\n"
    yield from _help(cleandoc(command.help or ""))
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [
        f"| `{names}` | {_cell(_escaped(text))} |" for names, text in filter(None, records) if text
    ]
    if rows:
        yield "\n".join(["| option | |", "|---|---|", *rows, ""])
    if isinstance(command, click.Group):
        for inner, below in command.commands.items():
            yield from _command(below, f"{path} {inner}", context, level + 1)


def _help(text: str) -> Iterator[str]:
    r"""Yield paragraphs; what \b keeps as it is becomes code below its heading."""
    for paragraph in text.replace("\f", "").split("\n\n"):
        head, kept, block = paragraph.partition("\b\n")
        if not kept:
            yield f"{_escaped(head)}\n"
            continue
        title, *lines = block.splitlines()
        yield f"{title}\n\n```text\n" + "\n".join(line.removeprefix("  ") for line in lines)
        yield "```\n"


def _broken(text: str) -> str:
    """Return a text whose long words, hashes, may be broken."""
    return re.sub(r"\w{16}(?=\w)", r"\g<0><wbr>", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _escaped(text: str) -> str:
    """Return plain text as Markdown that shows it; code in it stays."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = (re.sub(r"[*\[\]_]", r"\\\g<0>", x.replace("<", "&lt;")) for x in parts[::2])
    return "".join(parts)


# ---- the library


def _modules() -> Iterator[tuple[str, str]]:
    names = [name for name in unmask.__all__ if name.islower() and _is_module(name)]
    pages = {"unmask": _front_door(), **{f"unmask.{n}": "" for n in names}}
    pages |= {f"unmask.{n}": "Needs `unmask[train]`.\n" for n in TRAINING}
    listed = "\n".join(f"- [`{name}`]({name}.md)" for name in pages)
    yield (
        "api/index.md",
        (
            "# The library\n\nPublic names, their shapes, units and errors. Axes and the order of "
            "arguments are the same everywhere: [architecture](../architecture.md#axes-once), "
            f"[glossary](../glossary.md).\n\n{listed}\n"
        ),
    )
    for name, about in pages.items():
        body = about if name == "unmask" else f"{about}\n::: {name}\n\n{_hidden(name)}"
        yield f"api/{name}.md", f"# {name}\n\n{body}"


def _hidden(module: str) -> str:
    """Return what is called like its file: asked for such a name, one is given the file."""
    folder = _PACKAGE / module.removeprefix("unmask.")
    if not folder.is_dir():
        return ""
    listed = re.search(r"__all__ = \[(.*?)\]", (folder / "__init__.py").read_text("utf-8"), re.S)
    names = re.findall(r'"(\w+)"', listed[1]) if listed else []
    both = [name for name in names if (folder / f"{name}.py").is_file()]
    return "\n".join(_one(f"{module}.{name}.{name}") for name in both)


def _one(path: str) -> str:
    options = "".join(f"      show_root_{option}\n" for option in _WITH_HEADING)
    return f"::: {path}\n    options:\n{options}"


def _is_module(name: str) -> bool:
    return (_PACKAGE / name).is_dir() or (_PACKAGE / f"{name}.py").is_file()


def _front_door() -> str:
    """Return what ``unmask.NAME`` finds: a link to the module whose page has it, or itself."""
    homes = sorted((name, f"unmask.{home}") for name, home in unmask._HOME.items())
    below = [(name, home) for name, home in homes if home.split(".")[1] in unmask.__all__]
    links = "\n".join(f"- [`unmask.{name}`][{home}.{name}]" for name, home in below)
    shown = [_one(f"{home}.{name}") for name, home in homes if (name, home) not in below]
    return "\n".join([f"{links}\n", *shown])


# ---- models


def _models() -> str:
    parts = [
        "# Model cards\n\nWhat `unmask models show NAME` prints; `--all` and `--json` say more. "
        "Which one to take: [which model, which mask](choosing.md); sources and licences of what "
        "they were trained on: [ASSETS.md](ASSETS.md).\n"
    ]
    for name, file in bundled().items():
        rows = cards.card(load_model(name), file.stat().st_size)
        table = [f"| {key} | {_broken(_cell(_escaped(value)))} |" for key, value in rows]
        parts.append("\n".join([f"## {name}\n", "| | |", "|---|---|", *table, ""]))
    return "\n".join(parts)
