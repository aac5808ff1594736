"""A run's numbers for the model hub: `.eval_results` files, and metadata of a model card."""

from collections.abc import Iterator
from dataclasses import dataclass

from e2r_bench.report.export import Value, values
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError, unknown


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


def eval_results(store: Store, target: Target) -> str:
    """Return the YAML of a file below `.eval_results/`.

    Raises:
        UsageError: an unknown method, a miniature, or one with several schedules.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump

    entries = [
        EvalResultEntry(
            dataset_id=target.dataset,
            task_id=target.task_id.format(task=one.task, metric=one.metric),
            value=one.value,
            source_url=target.source or None,
            notes=_notes(one),
        )
        for one in _mine(store, target)
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
