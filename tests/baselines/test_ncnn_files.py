"""The reader of ncnn's files: what is read, and that nothing else gets through."""

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2r_baselines.ncnn_files import read_ncnn
from e2r_baselines.ncnn_graphs import graph_digest, read_graph
from e2r_metrics.base.errors import UsageError

INPUT = "Input data 0 1 data 0=8 1=8 2=3"
CONV = "Convolution c1 1 1 data a 0=5 1=3 4=1 5=1 6=135 9=2 -23310=1,0.1"
DECONV = "Deconvolution d1 1 1 a b 0=2 1=4 3=2 4=3 5=1 6=160"
DENSE = "InnerProduct f1 1 1 b c 0=3 1=1 2=6 9=1"
LINES = [INPUT, CONV, DECONV, DENSE]
SLOW = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def graph(lines: list[str]) -> str:
    blobs = sum(int(line.split()[3]) for line in lines)
    return "\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n"


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        "c1.weight": (5, 3, 3, 3), "c1.bias": (5,),
        "d1.weight": (2, 5, 4, 4), "d1.bias": (2,),
        "f1.weight": (3, 2), "f1.bias": (3,),
    }  # fmt: skip
    # Halves hold these exactly.
    return {k: (rng.integers(-64, 64, s) / 32).astype(np.float32) for k, s in shapes.items()}


def content(half: bool = True) -> bytes:
    """Tag, weights in the file's order, padding to four bytes, then float32 biases."""
    out = b""
    for key, value in arrays().items():
        if key.endswith("bias"):
            out += value.astype("<f4").tobytes()
        elif half:
            data = value.astype("<f2").tobytes()
            out += struct.pack("<I", 0x01306B47) + data + bytes(-len(data) % 4)
        else:
            out += struct.pack("<I", 0) + value.astype("<f4").tobytes()
    return out


def written(folder: Path, text: str | bytes, binary: bytes) -> tuple[Path, Path]:
    param, weights = folder / "net.param", folder / "net.bin"
    param.write_bytes(text.encode() if isinstance(text, str) else text)
    weights.write_bytes(binary)
    return param, weights


@pytest.mark.parametrize("half", [True, False])
def test_tensors_come_back_in_torchs_order(tmp_path: Path, half: bool) -> None:
    layers, tensors = read_ncnn(*written(tmp_path, graph(LINES), content(half)))
    assert [layer.kind for layer in layers] == [line.split()[0] for line in LINES]
    assert list(tensors) == list(arrays())
    for key, value in arrays().items():
        expected = value.swapaxes(0, 1) if key == "d1.weight" else value
        np.testing.assert_array_equal(tensors[key].numpy(), expected)
    assert layers[1].settings[10] == (0.1,)


def test_an_odd_number_of_halves_is_padded(tmp_path: Path) -> None:
    lines = [INPUT, "Convolution c 1 1 data a 0=1 1=1 6=3"]
    binary = struct.pack("<I3eH", 0x01306B47, 1.0, 2.0, 3.0, 0)
    _, tensors = read_ncnn(*written(tmp_path, graph(lines), binary))
    assert tensors["c.weight"].flatten().tolist() == [1, 2, 3]
    with pytest.raises(UsageError, match="expected zeros behind"):
        read_ncnn(*written(tmp_path, graph(lines), binary[:-1] + b"\1"))


def refused(tmp_path: Path, text: str | bytes, binary: bytes) -> str:
    param, weights = written(tmp_path, text, binary)
    with pytest.raises(UsageError) as caught:
        read_ncnn(param, weights)
    message = str(caught.value)
    assert "\n" not in message
    assert str(param) in message or str(weights) in message
    return message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.replace("7767517", "7767516"), "magic number 7767517, found '7767516'"),
        (lambda t: "", "magic number"),
        (lambda t: t.replace("4 4", "5 4"), "expected '5 4' layers and blobs, found '4 4'"),
        (lambda t: t.replace("Convolution c1", "Convolution1D c1"), "expected one of the layers"),
        (lambda t: t.replace("9=2", "19=2"), "Convolution with setting 19 is not known here"),
        (lambda t: t.replace("9=2", "9=x"), "expected index=value, found '9=x'"),
        (lambda t: t.replace("9=2", "9=nan"), "expected index=value"),
        (lambda t: t.replace("=1,0.1", "=2,0.1"), "expected index=value"),
        (lambda t: t.replace("5=1 6=135", "5=1 5=1 6=135"), "a setting twice"),
        (lambda t: t.replace("1 1 data a", "1 1 nobody a"), "reads 'nobody' before it is made"),
        (lambda t: t.replace("d1 1 1 a b", "d1 1 1 a a").replace("b c", "a c"), "a name twice"),
        (lambda t: t.replace("c1 1 1", "c1 -1 1"), "expected -1 inputs"),
        (lambda t: t.replace("c1 1 1", "c1 1 9"), "expected 1 inputs and 9 outputs"),
        (lambda t: t.replace("6=135", "6=134"), "5 filters of 3x3, found 134"),
        (lambda t: t.replace("6=135", "6=-135"), "expected a count as setting 6"),
        (lambda t: t.replace("6=135", "6=135.5"), "expected a count as setting 6"),
        (lambda t: t.replace("0=5 1=3", "0=0 1=3"), "0 filters"),
        (lambda t: t.replace("2=6 9=1", "2=7 9=1"), "3 outputs, found 7"),
        (lambda t: t.replace("5=1 6=160", "5=2 6=160"), "expected 0 or 1 biases"),
        (lambda t: t.encode() + b"\xff", "expected ncnn's graph in text, found bytes"),
    ],
)
def test_a_graph_that_is_not_understood_is_refused(
    tmp_path: Path, change: Callable[[str], str | bytes], said: str
) -> None:
    assert said in refused(tmp_path, change(graph(LINES)), content())


def test_a_file_of_another_length_or_coding_is_refused(tmp_path: Path) -> None:
    good = content()
    assert "cut off or belongs to another graph" in refused(tmp_path, graph(LINES), good[:-1])
    longer = refused(tmp_path, graph(LINES), good + b"\0")
    assert f"expected {len(good)} bytes for net.param, found {len(good) + 1}" in longer
    quantised = struct.pack("<I", 0x000D4B38) + good[4:]
    assert "found the tag 0x000d4b38; quantised" in refused(tmp_path, graph(LINES), quantised)
    infinite = good[:4] + struct.pack("<e", np.inf) + good[6:]
    assert "expected finite weights in layer c1" in refused(tmp_path, graph(LINES), infinite)


def test_missing_and_huge_files_are_one_line(tmp_path: Path) -> None:
    param, weights = written(tmp_path, graph(LINES), content())
    with pytest.raises(UsageError, match=r"net2\.param: expected an ncnn file"):
        read_graph(tmp_path / "net2.param")
    weights.unlink()
    with pytest.raises(UsageError, match=r"net\.bin: expected an ncnn file"):
        read_ncnn(param, weights)
    with param.open("wb") as huge:
        huge.truncate(10**12)
    with pytest.raises(UsageError, match="expected at most"):
        read_graph(param)


def read_or_refused(read: Callable[[], object]) -> None:
    said = ""
    try:
        read()
    except UsageError as error:
        said = str(error)
    assert "\n" not in said


@SLOW
@given(st.binary(max_size=600))
def test_any_bytes_as_a_graph_are_read_or_refused(tmp_path: Path, text: bytes) -> None:
    param, _ = written(tmp_path, text, b"")
    read_or_refused(lambda: read_graph(param))


WORDS = st.sampled_from(
    [*" ".join(LINES).split(), "7767517", "4", "-1", "9" * 5000, "0=99999999999999", "-23310=0",
     "=", "1=", "-23310=", "6=1e300", "Scale", "Split", "\n", "\n"]
)  # fmt: skip


@SLOW
@given(st.lists(WORDS, max_size=40), st.binary(max_size=40))
def test_scrambled_graphs_are_read_or_refused(
    tmp_path: Path, words: list[str], binary: bytes
) -> None:
    text = "7767517\n" + " ".join(words)
    read_or_refused(lambda: read_ncnn(*written(tmp_path, text, binary)))


@SLOW
@given(st.integers(0, len(content())), st.integers(0, 255))
def test_a_changed_byte_changes_values_or_is_refused(tmp_path: Path, at: int, value: int) -> None:
    good = content()
    changed = good[:at] + bytes([value]) + good[at + 1 :]
    if changed == good:
        return
    try:
        _, tensors = read_ncnn(*written(tmp_path, graph(LINES), changed))
    except UsageError:
        return
    now = np.concatenate([tensor.numpy().ravel() for tensor in tensors.values()])
    _, tensors = read_ncnn(*written(tmp_path, graph(LINES), good))
    before = np.concatenate([tensor.numpy().ravel() for tensor in tensors.values()])
    assert now.view(np.uint32).tolist() != before.view(np.uint32).tolist()


@SLOW
@given(st.integers(0, len(content()) - 1))
def test_every_truncation_is_refused(tmp_path: Path, length: int) -> None:
    refused(tmp_path, graph(LINES), content()[:length])


@pytest.mark.parametrize(
    "line",
    [
        "Convolution c 1 1 data a 0=1000000 1=1000 6=1000000000000",
        "InnerProduct c 1 1 data a 0=1 2=1000000000000",
        "Convolution c 1 1 data a 0=1000000000000 1=1 5=1 6=1000000000000",
    ],
)
def test_absurd_sizes_allocate_nothing_beyond_the_file(tmp_path: Path, line: str) -> None:
    tracemalloc.start()
    message = refused(tmp_path, graph([INPUT, line]), content())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "cut off or belongs to another graph" in message
    assert peak < 1_000_000


def test_the_digest_sees_what_is_computed_and_not_how_blobs_are_called(tmp_path: Path) -> None:
    def digest(lines: list[str]) -> str:
        return graph_digest(read_graph(written(tmp_path, graph(lines), b"")[0]))

    plain = digest(LINES)
    renamed = [line.replace(" a", " x").replace("0=8 1=8", "0=9 1=7") for line in LINES]
    assert digest(renamed) == plain
    split = [INPUT, CONV, "Split s 1 1 a a1", DECONV.replace(" a b", " a1 b"), DENSE]
    assert digest(split) == plain
    assert digest([INPUT, CONV.replace("0.1", "0.2"), DECONV, DENSE]) != plain
    assert digest([INPUT, CONV.replace("4=1 ", ""), DECONV, DENSE]) != plain
    assert digest([INPUT, CONV, DECONV.replace(" a b", " data b"), DENSE]) != plain
