"""What MkDocs calls while it builds the site (`mkdocs.yml`): pages that are made, and links."""

from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain
from typing import Any

import demonstrations
import pages
import repository
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what `docs/` does not hold: pages that it links to, made pages, the demonstrations."""
    for repo_path in repository.linked():
        uri = repository.site_uri(repo_path)
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, content=repository.content(repo_path)))
    for uri, content in {**pages.made(), **demonstrations.made()}.items():
        files.append(File.generated(config, uri, content=content))
    found = [file.src_uri for file in files.documentation_pages()]
    config.nav = expanded(config.nav, sorted(found, key=order))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the demonstrations in, and let links lead to where the site has what they mean."""
    repo_path = repository.repo_path(page.file.src_uri)
    markdown = demonstrations.shown(markdown)
    return markdown if repo_path is None else repository.relinked(markdown, repo_path)


def order(uri: str) -> str:
    """Return what pages of a star are sorted by: `api/index.md` comes first."""
    return uri.replace("index.md", "")


def expanded(nav: list[Any], found: list[str]) -> list[Any]:
    """Return the navigation with pages in the place of stars; a page stands in it once."""
    named = set(_names(nav))

    def walk(entries: list[Any]) -> Iterator[Any]:
        for entry in entries:
            if isinstance(entry, dict):
                parts = {title: list(walk(inner)) for title, inner in entry.items()}
                yield from [parts] if any(parts.values()) else []
            elif "*" in entry:
                depth = entry.count("/")
                alike = (uri for uri in found if uri.count("/") == depth and fnmatch(uri, entry))
                yield from (uri for uri in alike if uri not in named)
            else:
                yield entry

    return list(walk(nav))


def _names(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        yield from _names([*chain(*entry.values())]) if isinstance(entry, dict) else [entry]
