"""`command:LINE` as a metric: real programs, their faults, and what travels with values."""

import os
import shlex
import sys
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2r_metrics import Missing, PictureError, Resolver, Session, UsageError, resolve
from e2r_metrics.base.pictures import write_png
from e2r_metrics.command_metric import _read
from e2r_metrics.score import score_folders

BRIGHT = """
import csv, sys
from pathlib import Path
import numpy as np
from PIL import Image
restored, reference, values = map(Path, sys.argv[1:4])
names = sorted(path.name for path in restored.iterdir())
assert names == sorted(path.name for path in reference.iterdir())
with values.open("w", newline="") as stream:
    made = csv.writer(stream)
    made.writerow(["image", "value"])
    for name in names:
        there, true = (np.asarray(Image.open(x / name), float) for x in (restored, reference))
        made.writerow([name, there.mean() - true.mean()])
"""
HEAD = f"better=higher {shlex.quote(sys.executable)}"


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A place for temporary files that must be empty when a call is over."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert not list(place.iterdir())


@pytest.fixture
def measured(session, tmp_path):
    """Return a function from a program's text and its settings to the values of pairs."""

    def measure(source, restored, clean, head="better=higher", rest=""):
        path = tmp_path / "two words.py"
        path.write_text(source)
        line = f"command:{head} {shlex.quote(sys.executable)} {shlex.quote(str(path))} {rest}"
        (metric,) = resolve([line])
        return session.per_image(metric, restored, clean)

    return measure


def _says(text):
    return f"import sys; open(sys.argv[-1], 'w').write({text!r})"


def test_values_are_the_programs(measured, photo, noisy):
    lighter = np.clip(photo.astype(int) + 9, 0, 255).astype(np.uint8)
    pairs = [photo, lighter, noisy(9)], [photo, photo, photo]
    found = measured(BRIGHT, *pairs)
    expected = [x.mean() - y.mean() for x, y in zip(*pairs, strict=True)]
    assert found == pytest.approx(expected, abs=1e-9)
    assert found.dtype == np.float64
    alone = [measured(BRIGHT, [x], [y])[0] for x, y in zip(*pairs, strict=True)]
    assert np.array_equal(found, alone)
    floats = measured(BRIGHT, [lighter / 255.0], [photo / 255.0])
    assert floats[0] == found[1]


def test_a_line_without_reference_looks_at_the_picture_alone(measured, photo):
    source = """
import os, sys
given, made = sys.argv[1:3]
assert not os.path.exists(os.path.join(os.path.dirname(given), "reference"))
open(made, "w").write("image,value\\n0001,%d" % len(os.listdir(given)))
"""
    assert measured(source, [photo], [], rest="{restored} {values}") == [1.0]
    (alone,) = resolve(["command:better=lower true {restored} {values}"])
    (both,) = resolve(["command:better=lower true"])
    assert (alone.scope, both.scope) == ("single", "image")


WRONG = {
    "exit": ("import sys; print('no quota left', file=sys.stderr); sys.exit(3)",
             "expected exit status 0, found 3: no quota left"),
    "nothing": ("", "expected a CSV file of values: .*values.csv"),
    "header": (_says("0001,3"), "columns image,value, found '0001,3'"),
    "column": (_says("image,value\n0001,3,4"), "columns image,value"),
    "absent": (_says("image,value\n"), "expected a value of the picture, found none$"),
    "stranger": (_says("image,value\n0001,1\n0002,1"), "'0002' and no file of that name"),
    "twice": (_says("image,value\n0001,1\n0001.png,1"), "'0001.png' twice"),
    "word": (_says("image,value\n0001,good"), "finite number from 0 to 10, found 'good'"),
    "nan": (_says("image,value\n0001,nan"), "finite number from 0 to 10, found 'nan'"),
    "underscore": (_says("image,value\n0001,1_0"), "finite number from 0 to 10, found '1_0'"),
    "digits": (
        "import sys; open(sys.argv[-1], 'w', encoding='utf-8').write('image,value\\n0001,\u0663')",
        "finite number from 0 to 10, found '\u0663'",
    ),
    "infinite": (_says("image,value\n0001,inf"), "finite number"),
    "above": (_says("image,value\n0001,10.5"), "from 0 to 10, found '10.5'"),
    "below": (_says("image,value\n0001,-1"), "from 0 to 10, found '-1'"),
    "bytes": ("import sys; open(sys.argv[-1], 'wb').write(b'\\xff\\xfe')", "a CSV file of values"),
    "folder": ("import os, sys; os.mkdir(sys.argv[-1])", "a CSV file of values: .*no regular file"),
    "pipe": ("import os, sys; os.mkfifo(sys.argv[-1])", "a CSV file of values: .*no regular file"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_a_programs_fault_is_the_pictures(fault, measured, photo, temporary):
    source, message = WRONG[fault]
    with pytest.raises(PictureError, match=message) as caught:
        measured(source, [photo], [photo], "better=higher low=0 high=10 name=vie")
    assert str(caught.value).startswith("vie")
    assert "\n" not in str(caught.value)
    assert str(temporary) not in str(caught.value)


def test_a_program_that_hangs_is_ended(measured, photo):
    with pytest.raises(PictureError, match=r"within 0\.5 seconds, ended it .*timeout=SECONDS"):
        measured("import time; time.sleep(60)", [photo], [photo], "better=higher timeout=0.5")


REFUSED = {
    "": "found no program",
    "python judge.py": "expected better=higher or better=lower before the program, found none",
    "better=up judge": "better=higher or better=lower before the program, found up",
    "better=higher": "expected a program, found settings alone",
    "better=higher hihg=3 judge": "unknown setting of command: 'hihg': did you mean 'high'",
    "better=higher low=a judge": "low: expected a number, found 'a'",
    "better=higher low=1_0 judge": "low: expected a number, found '1_0'",
    "better=higher low=nan judge": "low: expected a number, found 'nan'",
    "better=higher low=3 high=3 judge": "expected low below high, found 3 and 3",
    "better=higher margin=0 judge": "margin: expected a number above 0",
    "better=higher margin=inf judge": "margin: expected a number above 0",
    "better=higher timeout=-1 judge": "timeout: expected a number above 0",
    "better=higher against=truth judge": "against=clean or against=degraded",
    "better=higher name=psnr judge": "name: 'psnr' is taken",
    "better=higher name=ntire26-srx4 judge": "name: 'ntire26-srx4' is taken",
    "better=higher name=a:b judge": "expected small letters, found 'a:b'",
    "better=higher judge {reference}": "expected {restored} too",
    "better=higher judge {restored}": "expected {values} too",
    "better=higher 'judge": "No closing quotation",
    "better=lower better=higher judge": "expected better= once before the program, found two",
    "better=lower low=1 low=1 judge": "expected low= once before the program, found two",
    "better=lower judge a,b": "expected no comma",
}


@pytest.mark.parametrize("line", REFUSED)
def test_lines_that_do_not_say_what_they_mean(line):
    with pytest.raises(UsageError) as caught:
        resolve([f"command:{line}"])
    assert REFUSED[line] in str(caught.value)


def test_what_travels_with_a_value(tmp_path):
    path = tmp_path / "judge.py"
    path.write_text("one")
    line = f"command:better=lower low=0 high=10 margin=0.5 against=degraded name=vie python {path}"
    (metric,) = resolve([line])
    assert (metric.name, metric.low, metric.high, metric.margin) == ("vie", 0, 10, 0.5)
    assert not metric.higher_is_better
    assert metric.against == "degraded"
    assert "somebody's program, one picture at a time as 8-bit PNG: better" in metric.protocol
    assert f"sha256 of {path}: " in metric.protocol
    assert "against the degraded pictures" in metric.protocol
    assert f"better=lower against=degraded low=0 high=10 python {path}" in metric.protocol


def test_every_setting_that_changes_the_meaning_is_in_the_protocol():
    """Two lines whose numbers mean different things never have one protocol."""
    heads = ("", "low=0 ", "high=1 ", "high=1.25 ", "low=-inf ", "against=degraded ")
    found = [resolve([f"command:{head}better=lower j"])[0].protocol for head in heads]
    found.append(resolve(["command:better=higher j"])[0].protocol)
    bare = [text.partition(" v1 ")[2] for text in found]
    assert len(set(bare)) == len(bare)
    assert "high=1.25" in found[3]


@pytest.mark.parametrize(
    "lines",
    [
        ("better=lower margin=0.5 j", "better=lower margin=2 j"),
        ("better=lower j", "better=lower k"),
    ],
)
def test_two_programs_of_one_name_are_refused(lines):
    """Margins go by names: one of the two would be judged by the other's."""
    with pytest.raises(UsageError, match="programs of different names, found 'command' twice"):
        resolve([f"command:{line}" for line in lines])
    named = [f"command:name={name} {line}" for name, line in zip("ab", lines, strict=True)]
    assert [one.name for one in resolve(named)] == ["a", "b"]


def test_a_line_that_a_comma_cut_says_so():
    for names in (["command:better=lower j a", "b"], ["command:better=lower 'j a", "b'"]):
        with pytest.raises(UsageError, match="no comma may stand in a command: line"):
            resolve(names)
    with pytest.raises(UsageError, match="psrn") as caught:
        resolve(["psnr", "psrn"])
    assert "comma" not in str(caught.value)


def test_a_file_with_a_byte_order_mark_is_read(measured, photo):
    source = "import sys; open(sys.argv[-1], 'w').write(chr(0xFEFF) + 'image,value\\n0001,3\\n')"
    assert measured(source, [photo], [photo]) == [3.0]


def test_a_script_that_cannot_be_read_is_the_users_mistake(tmp_path, monkeypatch):
    def refuse(paths):
        raise PermissionError(13, "Permission denied", str(next(iter(paths))))

    (tmp_path / "judge.py").write_text("")
    # Whoever runs the tests may be allowed to read anything.
    monkeypatch.setattr("e2r_metrics.command_metric.sha256_of_all", refuse)
    with pytest.raises(UsageError, match=r"expected files that can be read: .*judge\.py"):
        resolve([f"command:better=higher python {tmp_path / 'judge.py'}"])


def test_another_program_is_another_metric(tmp_path):
    """Neither an edited script nor another range or direction is taken for what was measured."""
    path = tmp_path / "judge.py"
    path.write_text("one")
    heads = ("better=lower", "better=higher", "better=higher low=0", "better=higher high=9",
             "better=higher against=degraded")  # fmt: skip
    lines = [f"{head} python {path}{rest}" for head in heads for rest in ("", " --strict")]
    ids = [resolve([f"command:{line}"])[0].id for line in lines]
    again = [resolve([f"command:timeout=9 {line}"])[0].id for line in lines]
    path.write_text("two")
    os.utime(path, (1, 1))
    edited = [resolve([f"command:{line}"])[0].id for line in lines]
    assert ids == again
    assert len({*ids, *edited}) == 20
    assert all(one.startswith("command:command-") for one in ids)


def test_a_program_that_is_not_here_is_not_measured():
    session = Session(Resolver({}))
    (metric,) = resolve(["command:better=higher no-such-judge"])
    gone = session.missing(metric)
    assert isinstance(gone, Missing)
    assert gone.reason == (
        "expected a program 'no-such-judge', found none of that name: install it, or correct the "
        "line"
    )
    assert gone.words == gone.reason
    assert session.missing(resolve([f"command:{HEAD}"])[0]) is None


SOME = """
import atexit, sys, time
from pathlib import Path
alone = Path(__file__).with_suffix(".lock")
alone.touch(exist_ok=False)
atexit.register(alone.unlink)
time.sleep(0.3)
import numpy as np
from PIL import Image
mean = np.asarray(Image.open(Path(sys.argv[1], "0001.png"))).mean()
print("judging", file=sys.stderr)
if mean < 100: sys.exit("too dark to judge")
Path(sys.argv[3]).write_text(f"image,value\\n0001,{mean}\\n")
"""


def test_one_pictures_fault_leaves_the_others(session, tmp_path):
    """And no two calls run at once: a program may need all of a card."""
    path = tmp_path / "judge.py"
    path.write_text(SOME)
    for name, level in (("a", 120), ("b", 50), ("c", 200)):
        for folder in ("restored", "clean"):
            write_png(tmp_path / folder / f"{name}.png", np.full((8, 8, 3), level, np.uint8))
    (metric,) = resolve([f"command:{HEAD} {path}"])
    found = score_folders(tmp_path / "restored", tmp_path / "clean", [metric], session)
    assert {v.image: v.value for v in found.values} == {"a": 120.0, "c": 200.0}
    (summary,) = found.summaries
    assert (summary.n, summary.value) == (2, 160.0)
    ((name, reason),) = found.failed.items()
    assert name == f"b {metric.id}"
    assert "expected exit status 0, found 1: too dark to judge" in reason


def test_pictures_that_are_none_start_nothing(session, tmp_path, photo):
    mark = tmp_path / "started"
    (metric,) = resolve(
        [f"command:better=higher touch {mark} {{restored}} {{reference}} {{values}}"]
    )
    for restored, clean in (([photo.astype(int)], [photo]), ([photo[1:]], [photo])):
        with pytest.raises(PictureError, match=r"expected .*found"):
            session.per_image(metric, restored, clean)
    assert not mark.exists()


def test_no_composite_starts_a_program(tmp_path):
    """A file of a user's own names metrics; a line in it is nobody's metric."""
    path = tmp_path / "mine.toml"
    path.write_text('[mine]\n[[mine.part]]\nmetric = "command:better=higher touch x"\n')
    (metric,) = resolve([str(path)])
    gone = Session(Resolver({})).missing(metric)
    assert gone is not None
    assert "no metric of that name is here" in gone.reason


NAMES = st.lists(st.text("abcdef01 ,\"'\n", min_size=1, max_size=6), min_size=1, max_size=5)


@given(NAMES, st.floats())
@settings(max_examples=60, deadline=None)
def test_what_csv_writes_is_read_or_refused(tmp_path_factory, names, value):
    import csv

    path = tmp_path_factory.mktemp("values") / "values.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("image", "value"), *((name, value) for name in names)])
    try:
        found = _read(path, names)
    except PictureError:
        assert len(set(names)) < len(names) or any("\n" in name for name in names)
    else:
        assert found == dict.fromkeys(names, str(value))


@given(st.binary(max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("values") / "values.csv"
    path.write_bytes(content)
    with pytest.raises(PictureError, match="expected") as caught:
        _read(path, ["0001"])
    assert len(str(caught.value).splitlines()) == 1
