"""Pages of the repository on the site: what links lead to, and where the site has it.

Pages in `docs/` link as a repository host wants it: relative, also to files above `docs/`. What is
linked to comes onto the site; a file that is no page (a recipe) as a page that shows it.
"""

import posixpath
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Pages above `docs/` that belong on the site, whether linked to or not.
_ABOVE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "ASSETS.md", "NOTICE.md")
#: README.md would be the first page of the site, which is `docs/index.md`.
_RENAMED = {"README.md": "overview.md"}
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_PICTURES = {".png", ".svg", ".jpg"}


def site_uri(repo_path: str) -> str:
    """Return where the site has a file of the repository.

    >>> [site_uri(path) for path in ("docs/masks.md", "README.md", "recipes/unet.toml")]
    ['masks.md', 'overview.md', 'recipes/unet.toml.md']
    """
    if repo_path.startswith("docs/"):
        return repo_path.removeprefix("docs/")
    repo_path = _RENAMED.get(repo_path, repo_path)
    page = Path(repo_path).suffix in {".md", *_PICTURES}
    return repo_path if page else f"{repo_path}.md"


def repo_path(uri: str) -> str | None:
    """Return which file of the repository a page of the site is; None if it is made."""
    return {site_uri(path): path for path in [*_pages(), *linked()]}.get(uri)


def content(repo_path: str) -> str | bytes:
    """Return what the site has in the place of a file."""
    file = ROOT / repo_path
    if file.suffix in _PICTURES:
        return file.read_bytes()
    text = file.read_text("utf-8")
    if file.suffix == ".md":
        return text
    return f"# {file.name}\n\n`{repo_path}`\n\n```{file.suffix[1:]}\n{text}```\n"


def linked() -> list[str]:
    """Return the files outside `docs/` that the site holds: linked to, from wherever."""
    waiting, seen = [*_pages(), *_ABOVE], set()
    while waiting:
        path = waiting.pop()
        if path in seen or not (ROOT / path).is_file():
            continue
        seen.add(path)
        if path.endswith(".md"):
            for part in _prose((ROOT / path).read_text("utf-8")):
                waiting += [_target(link, path) for _, link, _ in _LINK.findall(part)]
    return sorted(path for path in seen if not path.startswith("docs/"))


def relinked(markdown: str, repo_path: str) -> str:
    """Return a page whose links lead to where the site has what they mean."""
    here = posixpath.dirname(site_uri(repo_path))

    def link(found: re.Match[str]) -> str:
        start, href, end = found.groups()
        target = _target(href, repo_path)
        if not (ROOT / target).is_file():
            return found[0]  # MkDocs says so
        anchor = href.partition("#")[1] + href.partition("#")[2]
        return f"{start}{posixpath.relpath(site_uri(target), here or '.')}{anchor}{end}"

    return _outside_code(markdown, lambda text: _bars(_LINK.sub(link, text)))


def _bars(text: str) -> str:
    r"""Return tables whose bars in code are plain: ``\|`` is how repository hosts want them.

    >>> _bars(r"| `\|S\|` | a \| b |")
    '| `|S|` | a \\| b |'
    """
    rows = re.compile(r"^\|.*$", re.MULTILINE)
    code = re.compile(r"`[^`\n]+`")
    plain = partial(code.sub, lambda found: found[0].replace("\\|", "|"))
    return rows.sub(lambda row: plain(row[0]), text)


def _pages() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))]


def _target(href: str, repo_path: str) -> str:
    """Return the path in the repository that a link means; nonsense for other links."""
    path = href.partition("#")[0]
    if not path or ":" in path:
        return "-"
    return posixpath.normpath(posixpath.join(posixpath.dirname(repo_path), path))


def _prose(markdown: str) -> list[str]:
    return _FENCE.split(markdown)[::2]


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    parts = _FENCE.split(markdown)
    parts[::2] = map(change, parts[::2])
    return "".join(parts)
