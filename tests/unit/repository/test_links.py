"""Links between the pages lead to files and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.repository import tree

LINK = re.compile(r"\]\((?P<file>[^)#\s]*)(?:#(?P<heading>[^)\s]+))?\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`[^`\n]+`")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(CODE.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_of_pages_are_whole() -> None:
    broken = []
    for page in (path for path in tree.files() if path.suffix == ".md"):
        for link in LINK.finditer(INLINE.sub("", CODE.sub("", page.read_text()))):
            target = page if not link["file"] else (page.parent / link["file"]).resolve()
            if "://" in link["file"]:
                continue
            if not target.exists() or (link["heading"] and link["heading"] not in anchors(target)):
                broken.append(f"{tree.relative(page)}: {link.group()}")
    assert broken == []
