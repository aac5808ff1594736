"""`command:LINE`: what a program may do wrong, and that nothing of it stays behind."""

import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2r_baselines.catalog import method_named
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, Pixels, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import PictureError, UsageError

TASK = TASKS["derain"]
PYTHON = sys.executable


def pixels(seed: int, height: int = 6, width: int = 8) -> Pixels:
    eight_bit = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return (eight_bit / 255).astype(np.float32)


PHOTOS = [Photo("b", pixels(1)), Photo("clip/a.1", pixels(2, 5, 5))]


def restored(
    name: str, photos: Sequence[Photo], options: Mapping[str, Any] | None = None
) -> list[Pixels]:
    spec = spec_of(method_named(name), options)
    restorer = spec.open(spec.builds[0], {}, Compute())
    return [result.pixels for result in restorer.restore(photos, TASK, [DETERMINISTIC])]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for temporary files that must be empty when a call is over."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def written(folder: Path, source: str, name: str = "two words.py") -> str:
    path = folder / name
    path.write_text(source)
    return f"command:{PYTHON} '{path}'"


INVERT = """
import sys
from pathlib import Path
from PIL import Image, ImageOps
given, made, task = sys.argv[1:4]
assert task == "derain", task
for path in Path(given).rglob("*.png"):
    out = Path(made, path.relative_to(given))
    out.parent.mkdir(exist_ok=True)
    ImageOps.invert(Image.open(path)).save(out)
"""


def test_a_command_maps_a_folder_to_a_folder(tmp_path: Path, temporary: Path) -> None:
    line = written(tmp_path, INVERT) + " {input} {output} {task}"
    first, second = restored(line, PHOTOS)
    np.testing.assert_allclose(first, 1 - PHOTOS[0].pixels, atol=1e-6)
    np.testing.assert_allclose(second, 1 - PHOTOS[1].pixels, atol=1e-6)
    assert not list(temporary.iterdir())


def test_a_command_that_names_no_folders_gets_them_appended(tmp_path: Path) -> None:
    source = INVERT.replace("argv[1:4]", "argv[1:3] + ['derain']")
    first, _ = restored(written(tmp_path, source), PHOTOS)
    np.testing.assert_allclose(first, 1 - PHOTOS[0].pixels, atol=1e-6)


def test_results_are_read_by_the_one_decoder(tmp_path: Path) -> None:
    """16 bits, an upper-case suffix and the ending that upscalers give."""
    source = """
import sys, cv2, numpy as np
deep = np.full((6, 8, 3), 32768, np.uint16)
cv2.imwrite(sys.argv[2] + "/b_out.png", deep)
import os; os.rename(sys.argv[2] + "/b_out.png", sys.argv[2] + "/b_out.PNG")
"""
    (found,) = restored(written(tmp_path, source), PHOTOS[:1])
    np.testing.assert_allclose(found, 32768 / 65535, atol=1e-6)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("command:'unclosed", "found No closing quotation"),
        ("command: ", "found no program"),
        ("command:/nowhere/program", "cannot be started"),
        ("command:a\0b", "found a NUL"),
    ],
)
def test_a_line_that_cannot_be_run_is_the_users_mistake(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        spec_of(method_named(line))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise SystemExit('out of memory')", "expected exit status 0, found 1: out of memory"),
        ("pass", "expected one picture named 'b', found none"),
        ("import os; os.kill(os.getpid(), 9)", "found -9: no message"),
        ("import os; os.write(1, b'caf\\xe9 \\xff\\n'); raise SystemExit(3)", "found 3: caf\ufffd"),
        ("import sys; print('x' * 10**7); sys.exit(3)", r"found 3: \.\.\.x{200}$"),
        ("print('50%\\r\\x1b[31mred\\x1b[0m'); raise SystemExit(2)", r"2:  \[31mred \[0m$"),
        ("import sys, shutil; shutil.rmtree(sys.argv[2])", "found none"),
        (
            "import sys; [open(sys.argv[2] + '/b' + s, 'wb').close() for s in ('.png', '.bmp')]",
            "have one name",
        ),
        ("import sys; open(sys.argv[2] + '/b.png', 'wb').write(b'x')", r"output/b\.png: expected"),
        ("import sys, os; os.mkfifo(sys.argv[2] + '/b.png')", "no regular file"),
        ("input()", "EOFError"),
    ],
)  # fmt: skip
def test_a_call_that_goes_wrong_is_a_fault_of_its_photos(
    tmp_path: Path, temporary: Path, source: str, said: str
) -> None:
    line = written(tmp_path, source)
    with pytest.raises(PictureError, match=said) as caught:
        restored(line, PHOTOS)
    message = str(caught.value)
    assert message.startswith(f"command {PYTHON!r}: ")
    assert "\n" not in message
    assert len(message) < 500
    # Another call has another folder: what is recorded must not depend on it.
    assert str(temporary) not in message
    assert not list(temporary.iterdir())


def test_a_long_line_with_commas_is_one_line(tmp_path: Path) -> None:
    source = INVERT.replace(
        "given, made, task = sys.argv[1:4]", "given, made, task, long = sys.argv[1:5]"
    )
    long = "a,b;c" * 8000
    spec = spec_of(
        method_named(f"{written(tmp_path, source)} {{input}} {{output}} {{task}} {long}")
    )
    assert len(spec.title) < 80
    restorer = spec.open(spec.builds[0], {}, Compute())
    (result,) = restorer.restore(PHOTOS[:1], TASK, [DETERMINISTIC])
    np.testing.assert_allclose(result.pixels, 1 - PHOTOS[0].pixels, atol=1e-6)


def test_a_prompt_with_braces_is_not_filled_again(tmp_path: Path) -> None:
    from dataclasses import replace

    line = written(tmp_path, "import sys; sys.exit(sys.argv[1])") + " {prompt} {input}"
    spec = spec_of(method_named(line))
    restorer = spec.open(spec.builds[0], {}, Compute())
    with pytest.raises(PictureError, match=r"found 1: say \{output\} twice"):
        list(restorer.restore(PHOTOS, replace(TASK, prompt="say {output} twice"), [DETERMINISTIC]))


def alive(pid: int) -> bool:
    """Whether a process runs still; a zombie that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def waited_for(path: Path, within: float = 20.0) -> int:
    until = time.monotonic() + within
    while not (path.is_file() and path.read_text().endswith("\n")):
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.02)
    return int(path.read_text())


HANGS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time; "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"])
with open({pid!r}, "w") as stream:
    stream.write(f"{{child.pid}}\\n")
{then}
"""


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path, temporary: Path) -> None:
    pid = tmp_path / "pid"
    line = written(
        tmp_path, HANGS.format(pid=str(pid), then="print('step 3', flush=True); time.sleep(60)")
    )
    since = time.monotonic()
    with pytest.raises(PictureError, match=r"end within 1 seconds, ended it \(step 3\)"):
        restored(line, PHOTOS, {"timeout": "1"})
    assert time.monotonic() - since < 15
    assert gone(waited_for(pid))
    assert not list(temporary.iterdir())


def test_what_a_program_leaves_in_the_background_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    line = written(tmp_path, HANGS.format(pid=str(pid), then="sys.exit(5)"))
    since = time.monotonic()
    with pytest.raises(PictureError, match="found 5"):
        restored(line, PHOTOS)
    assert time.monotonic() - since < 15
    assert gone(waited_for(pid))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_program_first(tmp_path: Path, temporary: Path, number: int) -> None:
    pid = tmp_path / "pid"
    line = written(tmp_path, HANGS.format(pid=str(pid), then="time.sleep(60)"))
    code = f"""
import signal, sys, tempfile
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup ignores this one
sys.path[:0] = {sys.path!r}
tempfile.tempdir = {str(temporary)!r}
import numpy as np
from e2r_baselines.catalog import method_named
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, spec_of
from e2r_baselines.tasks import TASKS
spec = spec_of(method_named({line!r}))
restorer = spec.open(spec.builds[0], {{}}, Compute())
photo = Photo("b", np.zeros((6, 8, 3), np.float32))
try:
    list(restorer.restore([photo], TASKS["derain"], [DETERMINISTIC]))
except KeyboardInterrupt:
    sys.exit(77)
"""
    runner = subprocess.Popen([PYTHON, "-c", code])
    child = waited_for(pid)
    assert list(temporary.iterdir())
    runner.send_signal(number)
    assert runner.wait(90) == (77 if number == signal.SIGINT else -number)
    assert gone(child)
    assert not list(temporary.iterdir())


def test_handlers_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    restored(written(tmp_path, INVERT) + " {input} {output} {task}", PHOTOS)
    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before


def test_a_call_from_another_thread_works(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    line = written(tmp_path, INVERT) + " {input} {output} {task}"
    with ThreadPoolExecutor(1) as pool:
        first, _ = pool.submit(restored, line, PHOTOS).result()
    np.testing.assert_allclose(first, 1 - PHOTOS[0].pixels, atol=1e-6)


def test_what_would_run_is_known_before_it_does() -> None:
    method = method_named("command:rm -rf 'a b' {prompt}")
    assert method.runs == ("rm", "-rf", "a b", "{prompt}", "{input}", "{output}")
    assert pickle.loads(pickle.dumps(method)).runs == method.runs


def test_the_files_that_a_line_names_are_bound_to_its_results(tmp_path: Path) -> None:
    script, weights = tmp_path / "net.py", tmp_path / "net.PTH"
    script.write_text("")
    weights.write_text("")
    (tmp_path / "run.log").write_text("")
    nothing = f"{tmp_path}/gone.py ~nobody-of-this-name/x.py {'x' * 5000}.py"
    line = f"command:{PYTHON} {script} --ckpt={weights} --log {tmp_path}/run.log {nothing}"
    (build,) = spec_of(method_named(line)).builds
    assert build.own_files == {
        PYTHON: Path(PYTHON), str(script): script, f"--ckpt={weights}": weights
    }  # fmt: skip


@pytest.mark.parametrize("timeout", ["0", "-3", "nan"])
def test_a_timeout_is_above_zero(timeout: str) -> None:
    with pytest.raises(UsageError, match="timeout above 0"):
        spec_of(method_named(f"command:{PYTHON} x.py"), {"timeout": timeout})


def test_there_may_be_no_timeout(tmp_path: Path) -> None:
    line = written(tmp_path, INVERT) + " {input} {output} {task}"
    assert len(restored(line, PHOTOS, {"timeout": "inf"})) == 2
