"""A pytest fixture that puts a user's own numbers under watch.

Not registered by itself; a conftest.py names it: `pytest_plugins = ["e2r_metrics.pytest_plugin"]`.
Goldens are written by `pytest --write-goldens "the reason"`, and only then, beside the tests: in
`goldens/<test file>/<test>.json`, one file for each test and parameter.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import pytest

from e2r_metrics.base.errors import UsageError
from e2r_metrics.drift import Drift, Golden, Record, compare, read_record, report, write

_PASSED = pytest.StashKey[bool]()


@dataclass
class Watch:
    """What `watch_numbers` is: called with numbers by name, as often as a test likes.

    Attributes:
        path: the goldens of this test.
        node: its full id.
        reason: why goldens are written; None to compare with them.
    """

    path: Path
    node: str
    reason: str | None
    _seen: dict[str, Golden] = field(default_factory=dict[str, Golden])
    _record: Record | None = None

    def __call__(
        self, numbers: Mapping[str, float], tolerance: float | Mapping[str, float] | None = None
    ) -> None:
        """Fail the test when a number is not what its golden says.

        Args:
            numbers: by name; a name may be given once in a test.
            tolerance: relative, with an absolute floor of the same size; for all numbers, or by
                name. 1e-6 without.
        """
        __tracebackhide__ = True
        twice = sorted(numbers.keys() & self._seen.keys())
        if twice:
            _fail(f"{self.node}: expected each number once, found {', '.join(twice)} again")
        new = [Golden(n, float(v), "float32", _of(n, tolerance)) for n, v in numbers.items()]
        self._seen |= {golden.name: golden for golden in new}
        if self.reason is None:
            self._compare(new)

    def _compare(self, new: list[Golden]) -> None:
        __tracebackhide__ = True
        known = {golden.name: golden for golden in self._goldens().goldens}
        missing = [golden.name for golden in new if golden.name not in known]
        if missing:
            self._no_golden(", ".join(missing))
        moved = compare([(known[golden.name], golden) for golden in new])
        if moved:
            _fail("\n".join(report(Drift(len(new), moved, {}))))

    def _goldens(self) -> Record:
        __tracebackhide__ = True
        if not self.path.is_file():
            self._no_golden("any number")
        if self._record is None:
            try:
                self._record = read_record(self.path)
            except UsageError as error:
                _fail(str(error))
        return self._record

    def _no_golden(self, what: str) -> NoReturn:
        __tracebackhide__ = True
        _fail(
            f"{self.path}: no golden for {what}; where the numbers are right, write them: "
            f'pytest "{self.node}" --write-goldens "why they are right"'
        )

    def finish(self, passed: bool) -> None:
        """Write goldens; or fail where a number with a golden was not computed any more."""
        __tracebackhide__ = True
        if self.reason is not None:
            if self._seen and passed:
                write(self.reason, self.path, lambda: iter(self._seen.values()))
        elif self._record is not None and passed:
            gone = [g.name for g in self._record.goldens if g.name not in self._seen]
            if gone:
                _fail(f"{self.path}: no longer computed: {', '.join(gone)}")


def _of(name: str, tolerance: float | Mapping[str, float] | None) -> float | None:
    return tolerance.get(name) if isinstance(tolerance, Mapping) else tolerance


def _fail(reason: str) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(reason, pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--write-goldens REASON`."""
    parser.addoption("--write-goldens", metavar="REASON", help="write goldens anew, and why")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep whether a test passed: one that did not has not shown all of its numbers."""
    found = yield
    if found.when == "call":
        item.stash[_PASSED] = found.passed
    return found


@pytest.fixture
def watch_numbers(request: pytest.FixtureRequest) -> Generator[Watch]:
    """Give what fails the test when a number moved; see `Watch`."""
    reason = request.config.getoption("--write-goldens")
    inside = request.node.nodeid.partition("::")[2]
    file = Path(request.path)
    # A parameter may hold a slash, or a test of a class a colon: each has a file of its own.
    path = file.parent / "goldens" / file.stem / f"{quote(inside, safe='[] .,=')}.json"
    watch = Watch(path, request.node.nodeid, reason if isinstance(reason, str) else None)
    yield watch
    watch.finish(request.node.stash.get(_PASSED, False))
