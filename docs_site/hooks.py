"""The site is README, docs/ and what they link to, as they stand; the reference is generated."""

import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the README, the reference, and every file of the repository that a page links to."""
    # mkdocs takes the path that it loads a hook from away again.
    sys.path.insert(0, str(Path(__file__).parent))
    from reference import pages

    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
    for place in sorted(reached()):
        if not place.startswith("docs/"):
            files.append(File.generated(config, site_of(place), abs_src_path=str(ROOT / place)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links of the repository lead through the site."""
    place = page.file.src_uri
    if place.startswith("reference/"):
        return markdown
    source = repository_of(place)

    def led(link: re.Match[str]) -> str:
        target = resolved(source, link[2])
        if target is None:
            return link[0]
        way = posixpath.relpath(site_of(target), posixpath.dirname(place) or ".")
        return f"{link[1]}{way}{link[3]}"

    return _LINK.sub(led, markdown)


def reached() -> set[str]:
    """Return every file that the README and docs/ lead to, by its path in the repository."""
    found: set[str] = set()
    left = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
    while left:
        place = left.pop()
        if place in found:
            continue
        found.add(place)
        left += links(place)
    return found


def links(place: str) -> Iterator[str]:
    """Yield the files that a page links to."""
    if place.endswith(".md"):
        for link in _LINK.finditer((ROOT / place).read_text(encoding="utf-8")):
            target = resolved(place, link[2])
            if target is not None:
                yield target


def resolved(place: str, link: str) -> str | None:
    """Return the repository's file that a link of a page means; a folder's page for a folder."""
    if "://" in link or link.startswith("mailto:"):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
    if (ROOT / target).is_dir() and (ROOT / target / "README.md").is_file():
        target = f"{target}/README.md"
    return target if not target.startswith("..") and (ROOT / target).is_file() else None


def site_of(place: str) -> str:
    """Return where a file of the repository stands in the site."""
    return "index.md" if place == "README.md" else place.removeprefix("docs/")


def repository_of(place: str) -> str:
    """Return which file of the repository a page is."""
    if place == "index.md":
        return "README.md"
    return f"docs/{place}" if (ROOT / "docs" / place).is_file() else place
