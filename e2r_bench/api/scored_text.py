"""What scores are as text: CSV, JSON or Parquet, of one set of results or of several."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from e2r_bench.maps.shares import SHARES
from e2r_bench.report.contest_text import json_content
from e2r_bench.studies.contest import level_of
from e2r_bench.studies.entrants import share_protocol

if TYPE_CHECKING:
    from e2r_bench.report.statements import Contest, Level
    from e2r_bench.studies.entrants import Entrant

_COLUMNS = ("image", "metric", "variant", "value", "n", "protocol")


def gone(one: "Entrant") -> list[str]:
    """Return a line for each metric that has no value."""
    return [f"{name}: not measured, {away.words}" for name, away in one.scores.missing.items()] + [
        f"{name}: not measured: {reason}" for name, reason in one.scores.unmeasured.items()
    ]


def summaries(one: "Entrant") -> "Iterator[tuple[Level, str]]":
    """Yield every number of a folder with its interval over pictures, and its protocol."""
    from e2r_bench.report.statements import Level

    for row in one.scores.summaries:
        m, ends = row.metric, (row.low, row.high) if row.low == row.low else (None, None)
        head = ("", m.id, m.unit, m.higher_is_better, one.name)
        yield Level(*head, row.value, *ends, row.n), m.protocol
    for key, values in one.shares.items():
        info = SHARES[key]
        head = ("", key, info.unit, info.higher_is_better)
        if values:
            yield (
                level_of(head, one.name, values, [str(one.partners[i]) for i in values]),
                (info.protocol),
            )


def records(one: "Entrant") -> list[dict[str, Any]]:
    """Return one record per image and metric, and one per set metric with `image` empty."""
    n = {row.metric.id: row.n for row in one.scores.summaries}
    found = [
        {
            "image": row.image,
            "metric": row.metric.name,
            "variant": row.metric.variant,
            "value": row.value,
            "n": n[row.metric.id] if not row.image else 1,
            "protocol": row.metric.protocol,
        }
        for row in one.scores.values
    ]
    for key, values in one.shares.items():
        name, _, variant = key.partition(":")
        found += [
            {"image": image, "metric": name, "variant": variant, "value": value, "n": 1,
             "protocol": share_protocol(key, one.parts)}
            for image, value in values.items()
        ]  # fmt: skip
    return found


def _every(entrants: "Sequence[Entrant]") -> list[dict[str, Any]]:
    """Return the records of all folders; of several, each says whose it is."""
    if len(entrants) == 1:
        return records(entrants[0])
    return [{"restored": one.name, **row} for one in entrants for row in records(one)]


def csv_text(entrants: "Sequence[Entrant]", contest: "Contest | None") -> str:
    """Return a line per image and metric."""
    del contest
    buffer = io.StringIO()
    names = _COLUMNS if len(entrants) == 1 else ("restored", *_COLUMNS)
    writer: csv.DictWriter[str] = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_every(entrants))
    return buffer.getvalue()


def json_text(entrants: "Sequence[Entrant]", contest: "Contest | None") -> str:
    """Return all numbers; of several folders by name, with the comparison."""
    if len(entrants) == 1:
        content = _content(entrants[0])
    else:
        scored = {one.name: _content(one) for one in entrants}
        content = {"scores": scored, **(json_content(contest) if contest else {})}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _content(one: "Entrant") -> dict[str, Any]:
    return {
        "summary": [
            {
                "metric": level.metric.partition(":")[0],
                "variant": level.metric.partition(":")[2],
                "n": level.n,
                "value": _number(level.value),
                "low": _number(level.low),
                "high": _number(level.high),
                "higher_is_better": level.higher_is_better,
                "unit": level.unit,
                "protocol": protocol,
            }
            for level, protocol in summaries(one)
        ],
        "not_measured": {
            name: {"reason": away.reason, "fetch": away.command or None}
            for name, away in one.scores.missing.items()
        }
        | {name: {"reason": why, "fetch": None} for name, why in one.scores.unmeasured.items()},
        "failed": {**one.scores.failed, **one.failed},
        "values": [{**row, "value": _number(row["value"])} for row in records(one)],
    }


def _number(value: float | None) -> float | str | None:
    """Return what JSON can hold: it has neither NaN nor infinity."""
    if value is None or math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def parquet_bytes(entrants: "Sequence[Entrant]", contest: "Contest | None") -> bytes:
    """Return a line per image and metric."""
    import pandas as pd

    del contest
    buffer = io.BytesIO()
    pd.DataFrame(_every(entrants)).to_parquet(buffer, index=False)
    return buffer.getvalue()
