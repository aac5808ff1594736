"""The runner, the studies and the report: does a perceptual claim survive its own noise?

The commands as functions, imported when they are first used: `score`, `judge`, `run`, `maps`,
`write_maps`, `check`, `publish`, `verify`, the studies, and what they return. See `e2r_bench.api`.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError as _Absent
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2r_bench.api.arm_studies import Taught, study_pairs, study_prompts
    from e2r_bench.api.bundles import publish, verify
    from e2r_bench.api.check import Gate, check
    from e2r_bench.api.filter_study import Filtered, study_filter
    from e2r_bench.api.judge import Judgement, judge, judge_runs
    from e2r_bench.api.maps import PictureMaps, maps
    from e2r_bench.api.page_studies import study_plan, study_tradeoff
    from e2r_bench.api.run import Ran, open_run, run
    from e2r_bench.api.run_maps import carry_trust, trust_maps, write_maps
    from e2r_bench.api.score import Number, Scored, score
    from e2r_bench.api.session import open_session
    from e2r_bench.api.studies import Study, study_seeds, study_steps
    from e2r_metrics.base.errors import PictureError, UsageError

try:
    __version__ = _version("e2r-bench")
except _Absent:  # the sources lie on the path, and nothing was installed
    __version__ = "unknown"

__all__ = [
    "Filtered",
    "Gate",
    "Judgement",
    "Number",
    "PictureError",
    "PictureMaps",
    "Ran",
    "Scored",
    "Study",
    "Taught",
    "UsageError",
    "__version__",
    "carry_trust",
    "check",
    "judge",
    "judge_runs",
    "maps",
    "open_run",
    "open_session",
    "publish",
    "run",
    "score",
    "study_filter",
    "study_pairs",
    "study_plan",
    "study_prompts",
    "study_seeds",
    "study_steps",
    "study_tradeoff",
    "trust_maps",
    "verify",
    "write_maps",
]

_HOME = {
    "Filtered": "e2r_bench.api.filter_study",
    "Gate": "e2r_bench.api.check",
    "Judgement": "e2r_bench.api.judge",
    "Number": "e2r_bench.api.score",
    "PictureError": "e2r_metrics.base.errors",
    "PictureMaps": "e2r_bench.api.maps",
    "Ran": "e2r_bench.api.run",
    "Scored": "e2r_bench.api.score",
    "Study": "e2r_bench.api.studies",
    "Taught": "e2r_bench.api.arm_studies",
    "UsageError": "e2r_metrics.base.errors",
    "carry_trust": "e2r_bench.api.run_maps",
    "check": "e2r_bench.api.check",
    "judge": "e2r_bench.api.judge",
    "judge_runs": "e2r_bench.api.judge",
    "open_run": "e2r_bench.api.run",
    "open_session": "e2r_bench.api.session",
    "publish": "e2r_bench.api.bundles",
    "score": "e2r_bench.api.score",
    "study_filter": "e2r_bench.api.filter_study",
    "study_pairs": "e2r_bench.api.arm_studies",
    "study_plan": "e2r_bench.api.page_studies",
    "study_prompts": "e2r_bench.api.arm_studies",
    "study_seeds": "e2r_bench.api.studies",
    "study_steps": "e2r_bench.api.studies",
    "study_tradeoff": "e2r_bench.api.page_studies",
    "trust_maps": "e2r_bench.api.run_maps",
    "verify": "e2r_bench.api.bundles",
    "write_maps": "e2r_bench.api.run_maps",
}
# `run` and `maps` are packages too: they are imported as such, and called as the function.
_CALLED = frozenset({"maps", "run"})


def __getattr__(name: str) -> object:
    if name in _CALLED:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
