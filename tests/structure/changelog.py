"""CHANGELOG.md by the rules of Keep a Changelog; with a tag, says whether that has a dated part.

Nothing but the standard library: the publishing workflow runs it before anything is installed.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_RELEASE = re.compile(r"## \[(\d+)\.(\d+)\.(\d+)\] - (unreleased|\d{4}-\d{2}-\d{2})")


def releases(text: str) -> dict[str, str]:
    """Return version -> date, or "unreleased", in the file's order."""
    found = [_RELEASE.fullmatch(line) for line in text.splitlines() if line.startswith("## ")]
    return {".".join(one.groups()[:3]): one[4] for one in found if one is not None}


def faults(text: str) -> Iterator[str]:
    """Yield what is wrong with a changelog."""
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    yield from (f"{line}: expected ## [X.Y.Z] - YYYY-MM-DD" for line in heads
                if not _RELEASE.fullmatch(line))  # fmt: skip
    found = releases(text)
    numbers = [tuple(map(int, version.split("."))) for version in found]
    if len(numbers) < len(heads) or numbers != sorted(numbers, reverse=True):
        yield "versions are not each there once, the newest first"
    if "unreleased" in list(found.values())[1:]:
        yield "a version below the first is unreleased"
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", part, re.MULTILINE)
        if not kinds or len(set(kinds)) < len(kinds) or not set(kinds) <= set(KINDS):
            yield f"{part.splitlines()[0]}: expected some of {', '.join(KINDS)}, found {kinds}"


def main(tag: str) -> int:
    """Check the changelog for a release by its tag, such as v1.2.3; return the exit code."""
    text = CHANGELOG.read_text(encoding="utf-8")
    wrong = list(faults(text))
    date = releases(text).get(tag.removeprefix("v"))
    if date in (None, "unreleased"):
        wrong.append(f"{tag}: expected its part, with a date, found {date or 'none'}")
    for line in wrong:
        print(f"CHANGELOG.md: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
