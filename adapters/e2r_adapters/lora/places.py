"""Where a user's adapters lie: one file for all tasks, or one for each kind of task."""

from collections.abc import Mapping
from pathlib import Path

from e2r_adapters.editors.sana_facts import PROJECTION_FILE
from e2r_adapters.lora.dialects import PEFT_FILE, PEFT_SETTINGS, tensor_file
from e2r_adapters.lora.header import ADAPTER_FILE, RECORD_KEY, entry, read_header
from e2r_baselines.tasks import KINDS, TASKS
from e2r_metrics.base.errors import UsageError


def adapters_in(given: Path) -> Mapping[str, Path]:
    """Return the adapter files at a path by task kind, "" for one that serves every task.

    Raises:
        UsageError: there is none.
    """
    if given.is_file():
        return {"": given}
    if tensor_file(given) != given:
        return {"": tensor_file(given)}
    found = {kind: tensor_file(given / kind) for kind in sorted(KINDS)}
    by_kind = {kind: path for kind, path in found.items() if path.is_file()}
    if not by_kind:
        raise UsageError(
            f"--set adapter={given}: expected a LoRA file, a folder with {ADAPTER_FILE} or "
            f"{PEFT_FILE}, or one with a folder per task kind; found none"
        )
    return by_kind


def kinds_of(adapters: Mapping[str, Path]) -> frozenset[str]:
    """Return the kinds of task that adapters are for: all, where one does not say its own.

    Args:
        adapters: see `adapters_in`.
    """
    found = {kind for kind in adapters if kind}
    for path in (path for kind, path in adapters.items() if not kind):
        record = entry(path, read_header(path)[2], RECORD_KEY) or {}
        trained = record.get("tasks")
        if not isinstance(trained, list) or not trained:
            return KINDS
        found |= {TASKS[task].kind if task in TASKS else str(task) for task in trained}
    return frozenset(found)


def files_of(adapters: Mapping[str, Path]) -> dict[str, Path]:
    """Return label -> file of everything that decides what adapters do.

    The scale of a PEFT adapter stands in a file of settings beside it, and a paired adapter has a
    projection there.
    """
    found = {f"adapter/{kind}" if kind else "adapter": path for kind, path in adapters.items()}
    for label, path in list(found.items()):
        settings = path.with_name(PEFT_SETTINGS)
        if path.name == PEFT_FILE and settings.is_file():
            found[f"{label}/settings"] = settings
        projection = path.with_name(PROJECTION_FILE)
        if projection.is_file():
            found[f"{label}/projection"] = projection
    return found


def label_of(given: Path) -> str:
    """Return what an adapter is called in the name of a build."""
    if given.name in (ADAPTER_FILE, PEFT_FILE):
        return given.resolve().parent.name
    return given.stem if given.suffix else given.name
