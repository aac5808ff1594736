"""A paper's claims as data: statement, arms, metrics, direction or margin, published values, n."""

import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from e2r_bench.statistics.margins import GAP, MARGINS, Margin
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.files import read_text

BUILT_IN = "edit2restore"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Paper(_Frozen):
    """Where the published values come from.

    Attributes:
        name: the paper.
        backbone: the model that its claims are about.
        columns: metrics, in the order of every published row.
        higher_is_better: their directions.
        n: task to number of images.
        data: task to test set.
        yardstick: configurations whose spread bounds what the tables resolve.
        rounding: one unit of the last printed digit.
    """

    name: str
    backbone: str
    columns: tuple[str, ...]
    higher_is_better: tuple[bool, ...]
    n: Mapping[str, int]
    data: Mapping[str, str]
    yardstick: tuple[str, ...]
    rounding: float = 0.01


class Training(_Frozen):
    """The few-shot training of an arm; see `e2r_adapters.config.TrainConfig`.

    Attributes:
        pairs: per task.
        text_encoder: train CLIP's LoRA too.
        replicate_prompt_cache_bug: show prompts as the release does.
        per_task: one adapter per task instead of a unified one.
        seed: of the training.
    """

    pairs: int
    text_encoder: bool = False
    replicate_prompt_cache_bug: bool = False
    per_task: bool = False
    seed: int = 42


class Arm(_Frozen):
    """What one side of a claim is run with.

    Attributes:
        method: name in the method catalog.
        steps: sampler steps.
        seed: of the sampler.
        prompt: the task's own, another task's, or none.
        training: None for the adapter that comes with the backbone.
    """

    method: str
    steps: int = 28
    seed: int = 0
    prompt: Literal["right", "wrong", "empty"] = "right"
    training: Training | None = None


class Claim(_Frozen):
    """One testable statement.

    Attributes:
        id: such as "C1".
        statement: what is claimed, in one sentence.
        kind: "better": the first arm improves on every second one; "equivalent": they differ by
            less than the margin; "correlation": the two metrics do not agree over all arms;
            "trend": the arms, in order, do not improve monotonically.
        first: name of an arm.
        second: names of arms.
        published: names of published configurations, the first arm's first; empty for none.
        metrics: as the paper names them; `PROXIES` says what else is measured.
        tasks: empty for all of the paper's.
        note: what confounds it.
    """

    id: str
    statement: str
    kind: Literal["better", "equivalent", "correlation", "trend"]
    first: str
    second: tuple[str, ...]
    published: tuple[str, ...]
    metrics: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    note: str = ""

    def arms(self) -> tuple[str, ...]:
        """Return the names of all arms."""
        return (self.first, *self.second)


class OwnMargin(_Frozen):
    """What counts as no difference under one metric, in place of the project's own margin.

    Attributes:
        value: above zero, in `unit`.
        unit: the metric's own, or "share of the control's gap".
        reason: why this much.
    """

    value: float = Field(gt=0)
    unit: str
    reason: str = Field(min_length=1)


class Claims(_Frozen):
    """A file of claims."""

    paper: Paper
    configs: Mapping[str, Mapping[str, tuple[float, ...]]]
    arms: Mapping[str, Arm]
    claims: tuple[Claim, ...]
    margins: Mapping[str, OwnMargin] = Field(default_factory=dict[str, OwnMargin])

    def own_margins(self) -> dict[str, Margin]:
        """Return the margins that the file gives, by metric."""
        return {
            name: Margin(name, row.value, row.unit, row.reason)
            for name, row in self.margins.items()
        }

    def only(self, ids: Iterable[str] | None) -> "Claims":
        """Return the claims with these ids, in the file's order; None for all.

        Raises:
            UsageError: an id that no claim has.
        """
        if ids is None:
            return self
        chosen, known = set(ids), [claim.id for claim in self.claims]
        for name in sorted(chosen - set(known)):
            raise unknown("claim", name, known)
        found = tuple(claim for claim in self.claims if claim.id in chosen)
        return self.model_copy(update={"claims": found})


def load_claims(where: str) -> Claims:
    """Read the built-in claims of "edit2restore", or a TOML file.

    Raises:
        UsageError: no such file, not TOML, an unknown key, or a name that nothing defines.
    """
    try:
        if where == BUILT_IN:
            text = files("e2r_bench.arms").joinpath("data", f"{BUILT_IN}.toml").read_text("utf-8")
        else:
            text = read_text(Path(where))
        claims = Claims.model_validate(tomllib.loads(text))
    except OSError as error:
        raise UsageError(
            f"{where}: expected a TOML file of claims, found: {error.strerror}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = " ".join(".".join(str(part) for part in first["loc"]).split())
        raise UsageError(f"{where}: {place}: {first['msg']}, found {first['input']!r}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: expected TOML, found: {error}") from error
    _check_names(claims, where)
    return claims


def _check_names(claims: Claims, where: str) -> None:
    _known(f"configuration of yardstick in {where}", claims.paper.yardstick, claims.configs)
    if len(claims.paper.yardstick) < 2:
        raise UsageError(f"{where}: paper.yardstick: expected at least two configurations")
    _check_margins(claims, where)
    for claim in claims.claims:
        _known(f"arm of {claim.id} in {where}", claim.arms(), claims.arms)
        _known(f"configuration of {claim.id} in {where}", claim.published, claims.configs)
        _known(f"task of {claim.id} in {where}", claim.tasks, claims.paper.n)
        if claim.kind == "correlation" and len(claim.metrics) != 2:
            raise UsageError(f"{where}: {claim.id}: expected two metrics to correlate")
    for name, rows in claims.configs.items():
        _known(f"task of configuration {name} in {where}", rows, claims.paper.n)
        for task, row in rows.items():
            if len(row) != len(claims.paper.columns):
                raise UsageError(
                    f"{where}: {name}, {task}: expected {len(claims.paper.columns)} values, found "
                    f"{len(row)}"
                )


def _check_margins(claims: Claims, where: str) -> None:
    _known(f"metric of margins in {where}", claims.margins, MARGINS)
    for name, row in claims.margins.items():
        units = ("", GAP) if MARGINS[name].relative else (MARGINS[name].unit,)
        if row.unit not in units:
            raise UsageError(
                f"{where}: margins.{name}.unit: expected {' or '.join(map(repr, units))}, found "
                f"{row.unit!r}"
            )


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    there = tuple(known)
    for name in names:
        if name not in there:
            raise unknown(what, name, there)
