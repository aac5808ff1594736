"""The families of editing models, by the pipeline class that a model's folder names."""

from collections.abc import Mapping
from types import MappingProxyType

from e2r_adapters.editors.editor import Family
from e2r_adapters.editors.fill import FILL
from e2r_adapters.editors.klein import KLEIN
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.editors.qwen import FIRST_PIPELINE, QWEN_EDIT
from e2r_adapters.editors.sana import SANA_CONCAT
from e2r_metrics.base.errors import UsageError, unknown

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {f.pipeline: f for f in (KONTEXT, KLEIN, FILL, QWEN_EDIT, SANA_CONCAT)}
    | {FIRST_PIPELINE: QWEN_EDIT}
)


def family_called(name: str) -> Family:
    """Return a family by its own name; `UsageError` where there is none."""
    known = {family.name: family for family in FAMILIES.values()}
    if name not in known:
        raise unknown("family", name, known)
    return known[name]


def family_of(pipeline: str, where: str) -> Family:
    """Return the family of a pipeline class.

    Raises:
        UsageError: none; `where` says in what model the class stands.
    """
    if pipeline not in FAMILIES:
        raise UsageError(
            f"{where}: expected a pipeline of a known family ({', '.join(FAMILIES)}), found "
            f"{pipeline}; choose another backbone"
        )
    return FAMILIES[pipeline]
