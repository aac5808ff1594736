"""A run's numbers for the model hub: `.eval_results` files, and metadata of a model card."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from e2r_bench.report.export import Value, values
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError, unknown

_REPOSITORY = re.compile(r"(?!.*(--|\.\.|\.git$))\w[\w.-]*(?<![.-])/\w[\w.-]*(?<![.-])", re.ASCII)
_WEB = re.compile(r"https?://[^\s/?#]+\.[^\s/?#]+([/?#]\S*)?")


@dataclass(frozen=True)
class Target:
    """What the numbers are of, in the hub's words.

    Attributes:
        method: the instance whose model it is.
        dataset: id of the data set's repository, such as "org/CBSD68".
        task_id: its id of the task, with {task} and {metric} in it.
        source: page where the run is published, "" for none.
    """

    method: str
    dataset: str
    task_id: str
    source: str

    def __post_init__(self) -> None:
        """Refuse what the hub would not find.

        Raises:
            UsageError: another name than OWNER/NAME, a task id of other parts, or no web address.
        """
        if not _REPOSITORY.fullmatch(self.dataset):
            raise UsageError(
                "--dataset: expected the id of a repository on the hub, OWNER/NAME of letters, "
                f"digits, - _ and ., found {self.dataset!r}; its page shows it"
            )
        if self.source and not _WEB.fullmatch(self.source):
            raise UsageError(
                "--source: expected the address of a page, https://..., found "
                f"{self.source!r}; leave it out where the run is published nowhere"
            )
        try:
            made = self.task_id.format(task="", metric="")
        except (KeyError, ValueError, IndexError, AttributeError):
            made = None
        if made is None or not self.task_id.strip():
            raise UsageError(
                "--task-id: expected text with {task} and {metric} in it, such as "
                f"{{task}}_{{metric}}, found {self.task_id!r}"
            )


def eval_results(store: Store, target: Target) -> str:
    """Return the YAML of a file below `.eval_results/`.

    Raises:
        UsageError: an unknown method, a miniature, several schedules, or one id for several
            numbers.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump

    mine = list(_mine(store, target))
    ids = [target.task_id.format(task=one.task, metric=one.metric) for one in mine]
    if len(set(ids)) < len(ids):
        raise UsageError(
            "--task-id: expected {task} and {metric} in it, since the run has several numbers, "
            f"found {target.task_id!r}"
        )
    entries = [
        EvalResultEntry(
            dataset_id=target.dataset,
            task_id=name,
            value=one.value,
            source_url=target.source or None,
            notes=_notes(one),
        )
        for name, one in zip(ids, mine, strict=True)
    ]
    return yaml_dump(eval_result_entries_to_yaml(entries))


def model_card(store: Store, target: Target) -> str:
    """Return the `model-index` of a model card, with its fences; errors as `eval_results`."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index
    from huggingface_hub.utils import yaml_dump

    results = [
        EvalResult(
            task_type="image-to-image",
            task_name=one.task,
            dataset_type=target.dataset,
            dataset_name=one.data,
            metric_type=one.metric.partition(":")[0],
            metric_name=f"{one.metric}: {_notes(one)}",
            metric_value=one.value,
            source_name="e2r-bench" if target.source else None,
            source_url=target.source or None,
        )
        for one in _mine(store, target)
    ]
    index = eval_results_to_model_index(target.method, results)
    return f"---\n{yaml_dump({'model-index': index})}---\n"


def _mine(store: Store, target: Target) -> Iterator[Value]:
    """Yield the finite numbers of one method; each task and metric once."""
    if target.method not in store.info.methods:
        raise unknown("method of this run", target.method, store.info.methods)
    if store.info.methods[target.method].miniature:
        raise UsageError(
            f"{target.method} ran with a miniature, {store.info.methods[target.method].build}: "
            "expected the model itself, since the hub shows its number without a word beside it"
        )
    seen: set[tuple[str, str]] = set()
    for one in values(store):
        if one.method != target.method or one.value is None:
            continue
        if (one.task, one.metric) in seen:
            raise UsageError(
                f"{target.method}: expected one schedule, found several; publish a run of one"
            )
        seen.add((one.task, one.metric))
        yield one


def _notes(one: Value) -> str:
    interval = "" if one.low is None else f"95% interval [{one.low:.6g}, {one.high:.6g}], "
    more = "; ".join(filter(None, (one.drawn, one.notes)))
    told = f"{interval}n={one.n} of {one.data}; {one.protocol}"
    return f"{told}; {more}" if more else told
