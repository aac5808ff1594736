"""A pytest fixture that puts a user's own numbers under watch.

Not registered by itself; a conftest.py names it: `pytest_plugins = ["e2r_metrics.pytest_plugin"]`.
Goldens are written by `pytest --write-goldens "the reason"`, and only then.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from e2r_metrics.drift import Golden, check, report, write

Watch = Callable[[Mapping[str, float]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--write-goldens REASON`."""
    parser.addoption("--write-goldens", metavar="REASON", help="write goldens anew, and why")


@pytest.fixture
def watch_numbers(request: pytest.FixtureRequest) -> Watch:
    """Return a function that fails the test when a number moved.

    It takes numbers by name and compares them with `goldens/<test>.json` beside the test file, to
    1e-6 relative.
    """
    path = Path(request.path).parent / "goldens" / f"{request.node.name}.json"
    reason = request.config.getoption("--write-goldens")

    def watch(numbers: Mapping[str, float]) -> None:
        goldens = [Golden(name, float(value), "float32") for name, value in numbers.items()]
        if isinstance(reason, str):
            write(reason, path, lambda: iter(goldens))
            return
        drift = check(path, lambda: iter(goldens))
        if drift.moved:
            pytest.fail("\n".join(report(drift)), pytrace=False)

    return watch
