"""What was run: options, files and inputs of every instance."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from e2r_bench.report.facts import details, facts
from e2r_bench.report.page import write_report
from e2r_bench.store.store import Store
from e2r_metrics.base.digests import sha256_of


@pytest.fixture(scope="module")
def instances(build_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Store:
    spec = replace(
        build_run.plain,
        methods={"a": ("kontext-nano", True, 14.0), "b": ("kontext-nano", True, 12.0)},
        catalog={"a": "kontext_lora", "b": "kontext_lora"},
        options={"a": {"adapter": "X.safetensors"}, "b": {"adapter": "Y", "guidance": 1.5}},
        files={"a": {"kontext-nano": "00", "adapter": "aa11"}, "b": {"adapter": "bb22"}},
        images=["p0"],
        tasks={"denoise25": 25},
        seeds=(0,),
        steps=(8,),
        size=(24, 24),
    )
    return build_run(tmp_path_factory.mktemp("runs") / "instances", spec)


def told(found: tuple, term: str) -> tuple[str, ...]:
    return next(fact.lines for fact in found if fact.term == term)


def test_instances_say_method_build_and_options(instances: Store) -> None:
    assert told(facts(instances), "Methods") == (
        "a: kontext_lora, kontext-nano (miniature); adapter = X.safetensors",
        "b: kontext_lora, kontext-nano (miniature); adapter = Y, guidance = 1.5",
    )


def test_a_note_stands_beside_its_method(instances: Store) -> None:
    info = instances.info.methods["b"].model_copy(update={"note": "its detail is invented"})
    noted = replace(instances, info=instances.info.model_copy(update={"methods": {"b": info}}))
    (line,) = told(facts(noted), "Methods")
    assert line.endswith("guidance = 1.5; its detail is invented")


def test_files_of_one_name_keep_a_hash_for_each_instance(instances: Store) -> None:
    assert told(details(instances), "Weights and files of methods (sha256)") == (
        "a: kontext-nano = 00",
        "a: adapter = aa11",
        "b: adapter = bb22",
    )


def test_inputs_and_degradations_are_told(instances: Store) -> None:
    (line,) = told(details(instances), "Degradations")
    assert line == "denoise25: Gaussian sigma 25, seed 0"
    inputs = instances.folder / "inputs.json"
    inputs.write_text('{"sources": {}, "results": {}}', encoding="utf-8")
    (line,) = told(details(instances), "Sources and ready results (sha256)")
    assert line.endswith(sha256_of(inputs))


def test_page_and_markdown_carry_them(instances: Store) -> None:
    page = write_report(instances).read_text(encoding="utf-8")
    markdown = Path(instances.folder / "report.md").read_text(encoding="utf-8")
    for said in ("adapter = X.safetensors", "b: adapter = bb22"):
        assert said in page
        assert said.replace("_", "\\_") in markdown
