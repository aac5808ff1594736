"""Files that the program reads, scrambled: read, or refused by the project's own errors.

Those of ncnn are in `tests/baselines/test_ncnn_files.py`.
"""

import json
import shutil
import struct
import sys
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from commands import pictures, run_command

from e2r_adapters.lora.inspection import inspect
from e2r_bench.arms.claims import load_claims
from e2r_bench.run.config import make_experiment, read_toml
from e2r_bench.store.lines import read_lines
from e2r_bench.store.store import open_store
from e2r_metrics.base.errors import E2RError, unknown

QUICK = settings(max_examples=100, deadline=None)
THOROUGH = settings(max_examples=5000, deadline=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, whole."""
    home = tmp_path_factory.mktemp("fuzz")
    data = pictures(home / "data", count=1)
    assert run_command(data, home / "run")() == 0
    return home / "run"


def read_or_refused(read: Callable[[], object]) -> None:
    """Call; anything but the project's errors, each of one line, is a defect."""
    said = ""
    try:
        read()
    except E2RError as error:
        said = str(error) or "nothing"
    assert said != "nothing"
    assert "\n" not in said


# What is scrambled

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from([-1, 0, 2**63, 10**400, "psnr", "derain", "", "/", "\x00", "..", "a/b"]),
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


@st.composite
def damaged_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return a file with a few bytes changed, cut out, or put in."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        gone = draw(st.sampled_from([0, 1, 1, 2, 40, len(content)]))
        content[at : at + gone] = draw(st.binary(max_size=4))
    return bytes(content)


@st.composite
def damaged_values(draw: st.DrawFn, whole: Any) -> Any:
    """Return a record in which one value, at any depth, is another, or is gone."""
    record = json.loads(json.dumps(whole))
    at: Any = record
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return record
        key = draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or draw(st.booleans()):
            break
        at = at[key]
    if draw(st.booleans()):
        at[key] = draw(JSON)
    else:
        del at[key]
    return record


def toml_value(value: Any) -> str:
    """Return a value as TOML; what it cannot hold, as a table of nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    return "{}"


def toml(record: dict[str, Any]) -> bytes:
    lines = (f"{json.dumps(key)} = {toml_value(value)}" for key, value in record.items())
    return "\n".join(lines).encode("utf-8", "replace") + b"\n"


# The kinds of file

SETTINGS = {
    "methods": ["degraded"], "tasks": ["derain"], "metrics": ["psnr"], "data": ["mini"],
    "seeds": [0, 1], "steps": [4], "limit": 2, "batch": 4, "protocol": "e2r", "noise_seed": 0,
    "method": {"degraded": {"x": 1}}, "recursive": True, "variant": {"psnr": "y"}, "crop": 64,
}  # fmt: skip
CLAIMS = files("e2r_bench.arms").joinpath("data", "edit2restore.toml").read_text("utf-8")
ADAPTER = {
    "__metadata__": {"lora_adapter_metadata": '{"transformer.r": 2, "transformer.lora_alpha": 2}'},
    "transformer.x_embedder.lora_A.weight": {
        "dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
    "transformer.x_embedder.lora_B.weight": {
        "dtype": "F32", "shape": [4, 2], "data_offsets": [32, 64]},
}  # fmt: skip


def safetensors(header: Any) -> bytes:
    content = json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content + bytes(64)


def _experiment(path: Path) -> object:
    return make_experiment(read_toml(path), str(path))


def _claims(path: Path) -> object:
    return load_claims(str(path))


def _rows(path: Path) -> object:
    return list(read_lines(path))


def _store(path: Path) -> object:
    return open_store(path.parent)


TOML = st.one_of(
    st.binary(max_size=60),
    damaged_bytes(toml(SETTINGS)),
    damaged_values(SETTINGS).map(toml),
    st.dictionaries(st.sampled_from(sorted(SETTINGS)), JSON, max_size=4).map(toml),
)
CLAIM_FILES = st.one_of(
    damaged_bytes(CLAIMS.encode()), damaged_values(tomllib.loads(CLAIMS)).map(toml)
)
ADAPTERS = st.one_of(
    st.binary(max_size=60),
    damaged_bytes(safetensors(ADAPTER)),
    damaged_values(ADAPTER).map(safetensors),
    JSON.map(safetensors),
    JSON.map(lambda value: safetensors({**ADAPTER, "__metadata__": {
        "lora_adapter_metadata": json.dumps(value)}})),
    JSON.map(lambda value: safetensors({**ADAPTER, "__metadata__": {
        "e2r_bench": json.dumps(value)}})),
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scrambled")


def scramble(data: st.DataObject, place: Path, run: Path, kind: str) -> None:
    """Write a scrambled file of a kind, and read it."""
    whole = (run / kind).read_bytes() if (run / kind).exists() else b""
    if kind == "run.json":
        records = damaged_values(json.loads(whole)).map(lambda one: json.dumps(one).encode())
        content, read = data.draw(damaged_bytes(whole) | records), _store
    elif kind == "per_image.jsonl":
        row = json.loads(whole.splitlines()[0])
        rows = damaged_values(row).map(lambda one: json.dumps(one).encode() + b"\n")
        content = data.draw(damaged_bytes(whole) | rows)
        read = _rows
    else:
        strategy, read = KINDS[kind]
        content = data.draw(strategy)
    path = place / kind
    path.write_bytes(content)
    read_or_refused(lambda: read(path))


KINDS = {
    "settings.toml": (TOML, _experiment),
    "claims.toml": (CLAIM_FILES, _claims),
    "adapter.safetensors": (ADAPTERS, inspect),
}
NAMES = [*KINDS, "run.json", "per_image.jsonl"]


@pytest.mark.parametrize("kind", NAMES)
@QUICK
@given(data=st.data())
def test_a_scrambled_file_is_read_or_refused(
    data: st.DataObject, kind: str, place: Path, folder: Path
) -> None:
    scramble(data, place, folder, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", NAMES)
@THOROUGH
@given(data=st.data())
def test_many_scrambled_files_are_read_or_refused(
    data: st.DataObject, kind: str, place: Path, folder: Path
) -> None:
    scramble(data, place, folder, kind)


@pytest.mark.parametrize("kind", NAMES)
def test_the_whole_files_are_read(kind: str, place: Path, folder: Path) -> None:
    whole = {
        "settings.toml": toml({**SETTINGS, "method": {}}), "claims.toml": CLAIMS.encode(),
        "adapter.safetensors": safetensors(ADAPTER),
    }  # fmt: skip
    if kind in whole:
        (place / kind).write_bytes(whole[kind])
        KINDS[kind][1](place / kind)
        return
    shutil.copy(folder / kind, place / kind)
    assert _store(place / kind) if kind == "run.json" else list(read_lines(place / kind))


def test_what_was_found(place: Path, folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    record["tasks"]["derain"]["scenes"].append("one too many")
    (place / "run.json").write_text(json.dumps(record))
    with pytest.raises(E2RError, match=r"1 images with 2 scenes at tasks\.derain"):
        _store(place / "run.json")
    with pytest.raises(E2RError, match=r"known: a b$"):
        raise unknown("claim", "zzz", ["a\nb"])
    (place / "claims.toml").write_text('[configs]\n"a\\nb" = 1\n' + CLAIMS)
    with pytest.raises(E2RError, match=r"configs\.a b"):
        load_claims(str(place / "claims.toml"))


def test_what_is_none_of_our_errors_is_seen() -> None:
    def planted() -> None:
        raise KeyError("planted")

    with pytest.raises(KeyError):
        read_or_refused(planted)
