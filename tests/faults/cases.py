"""The bad inputs of the campaign: each command, each of its inputs, each kind."""

import csv
import io
import os
import re
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

import bad_files
import bad_pictures
import harness
import hostile
from bad_pictures import pixels
from matrix import Case, Words

from e2r_bench.cli import main
from e2r_metrics.base.pictures import write_png

NAMES = ("a", "b", "c")
ONE, TWO = frozenset({1}), frozenset({2})
ANY = frozenset({0, 1, 2})
FAILS = frozenset({1, 2})
QUICK = ("--tasks", "derain", "--metrics", "psnr", "--device", "cpu", "--offline")


def _folder(folder: Path, first: int, names: Sequence[str] = NAMES) -> Path:
    for k, name in enumerate(names):
        write_png(folder / f"{name}.png", pixels(first + k))
    return folder


def _inputs(folder: Path) -> None:
    """Three clean pictures, what they were degraded to, and what somebody restored."""
    for k, name in enumerate(NAMES):
        write_png(folder / "data" / "gt" / f"{name}.png", pixels(k))
        write_png(folder / "data" / "lq" / f"{name}.png", pixels(k) + 20)
        write_png(folder / "results" / f"{name}.png", pixels(k) + 3)


PLACES = {"results": "results", "clean": "data/gt", "degraded": "data/lq"}
Bad = Callable[[Path], object]


def _score(bad: Bad, place: str, folder: Path) -> Words:
    _inputs(folder)
    bad(folder / PLACES[place] / "b.png")
    results, clean = folder / "results", folder / "data" / "gt"
    return ["score", str(results), str(clean), "--metrics", "psnr", "--format", "csv", "--offline"]


def _run(bad: Bad, place: str, folder: Path) -> Words:
    _inputs(folder)
    bad(folder / PLACES[place] / "b.png")
    methods = f"m=folder:{folder / 'results'}"
    data = str(folder / "data")
    return ["run", "--methods", methods, "--data", data, *QUICK, "--out", str(folder / "out")]


def _leakage(bad: Bad, side: str, folder: Path) -> Words:
    train, test = _folder(folder / "train", 0), _folder(folder / "test", 0)
    bad((train if side == "train" else test) / "b.png")
    return ["leakage", str(train), str(test)]


def _train(bad: Bad, folder: Path) -> Words:
    _folder(folder / "data", 0, tuple("abcdefghijklmnop"))
    bad(folder / "data" / "b.png")
    data = f"denoise25={folder / 'data'}"
    small = ["--profile", "nano", "--pairs", "16", "--epochs", "1", "--sample-every", "0"]
    return [
        "train", "--tasks", "denoise25", *small, "--resolution", "16", "--data", data,
        "--out", str(folder / "out"),
    ]  # fmt: skip


def _mean(n: int, folder: Path, said: str) -> list[str]:
    """Check the number of `score`: every restored picture is 3 levels off."""
    del folder
    # libpng and others print what they like before it.
    _, head, table = said.partition("image,metric,")
    read = csv.DictReader(io.StringIO(head + table))
    rows = [row for row in read if row.get("metric") == "psnr"]
    values = {round(float(row["value"]), 3) for row in rows}
    return [] if len(rows) == n and values == {38.588} else [f"found {len(rows)} rows of {values}"]


def _summary(n: int, folder: Path, said: str) -> list[str]:
    """Check the number of `run`: the method is 3 levels off."""
    del said
    path = folder / "out" / "summary.csv"
    if not path.is_file():
        return ["the run was lost: no summary.csv"]
    with path.open(encoding="utf-8") as stream:
        read = list(csv.DictReader(stream))
    rows = [row for row in read if (row["method"], row["metric"]) == ("m", "psnr")]
    found = [(row["n"], row["value"][:6]) for row in rows]
    return [] if found == [(str(n), "38.588")] else [f"found {found}"]


def pictures() -> Iterator[Case]:
    """Every door for pictures, with every kind of picture file."""
    gone = {"absent", "a folder"}
    for kind, bad in bad_pictures.FAULTY.items():
        codes = FAILS if kind in gone else ONE
        for place in ("results", "clean"):
            check = partial(_mean, 2) if kind not in gone else _no_check
            yield Case(f"score, {place}", kind, partial(_score, bad, place), codes, check)
        for place in PLACES:
            lost = kind in gone and place != "results"
            check = _no_check if lost else partial(_summary, 2)
            right = FAILS if lost else ONE
            yield Case(f"run, {place}", kind, partial(_run, bad, place), right, check)
        for side in ("train", "test"):
            yield Case(f"leakage, {side}", kind, partial(_leakage, bad, side), ANY)
        if kind not in ("one row missing", "another size", "turned", *gone):
            yield Case("train, data", kind, partial(_train, bad), TWO)
    for kind, good in bad_pictures.SOUND.items():
        for place in ("results", "clean"):
            yield Case(
                f"score, {place}", kind, partial(_score, good, place), frozenset({0}),
                partial(_mean, 3),
            )  # fmt: skip
        for place in PLACES:
            yield Case(
                f"run, {place}", kind, partial(_run, good, place), frozenset({0}),
                partial(_summary, 3),
            )  # fmt: skip


def _no_check(folder: Path, said: str) -> list[str]:
    del folder, said
    return []


# Run folders

RUN_FILES = (
    "run.json", "per_image.jsonl", "timing.jsonl", "failures.json", "inputs.json", "summary.csv",
    "summary.json", "images/m/derain/seed0_steps0/b.png", "pairs/derain/clean/b.png",
    "pairs/derain/degraded/b.png",
)  # fmt: skip
READERS: Mapping[str, Sequence[str]] = {
    "run": (),
    "report": ("report", "{out}"),
    "maps": ("maps", "{out}", "--maps", "invented", "--offline"),
    "study seeds": ("study", "seeds", "{out}"),
    "study steps": ("study", "steps", "{out}"),
    "compare": ("compare", "{out}", "{other}", "--out", "{out}/comparison.html"),
}


@cache
def _finished() -> Path:
    """Return inputs with a run of them that nobody disturbed, made once per process."""
    folder = Path(mkdtemp(prefix="campaign-")) / "base"
    words = [str(word) for word in _run(_unharmed, "results", folder)]
    (folder / "data" / "lq" / "b.png").write_bytes(b"")
    if harness.run(lambda: main(words), folder) != 1:
        raise RuntimeError("the run that the campaign damages could not be made")
    return folder


def _unharmed(path: Path) -> None:
    del path


def _damaged(name: str, damage: bad_files.Damage, reader: str, folder: Path) -> Words:
    base = _finished()
    for part in ("data", "results", "out"):
        shutil.copytree(base / part, folder / part)
    shutil.copytree(base / "out", folder / "other")
    if not (folder / "out" / name).exists():
        (folder / "out" / name).write_text("{}\n")
    damage(folder / "out" / name)
    if reader == "run":
        methods = f"m=folder:{base / 'results'}"
        data = str(base / "data")
        return ["run", "--methods", methods, "--data", data, *QUICK, "--out", str(folder / "out")]
    places = {"out": str(folder / "out"), "other": str(folder / "other")}
    return [word.format(**places) for word in READERS[reader]]


def _resumed(folder: Path, said: str) -> list[str]:
    """A run that does not refuse gives the numbers of the undisturbed one."""
    if "e2r-bench: " in said:
        return []
    whole = (_finished() / "out" / "summary.csv").read_text(encoding="utf-8")
    found = (folder / "out" / "summary.csv").read_text(encoding="utf-8")
    return [] if found == whole else ["summary.csv is not that of the undisturbed run"]


def folders() -> Iterator[Case]:
    """Every file of a run folder, damaged in every way, for every command that reads one."""
    for reader in READERS:
        check = _resumed if reader == "run" else _no_check
        for name in RUN_FILES:
            for kind, damage in bad_files.DAMAGES.items():
                if name.endswith(".png") and kind in ("twice", "foreign keys"):
                    continue
                yield Case(
                    f"{reader}, {name.rpartition('/')[2] if name.count('/') < 2 else name}", kind,
                    partial(_damaged, name, damage, reader), ANY, check,
                )  # fmt: skip


# Words of the command line

FLAGS: Mapping[str, Sequence[str]] = {
    "run": (
        "--methods ,", "--methods", "--methods degradd", "--methods folder:/nonexistent",
        "--methods folder:", "--methods command:", "--methods command:/nonexistent",
        "--methods a=degraded,a=clean", "--methods spandrel:/nonexistent", "--tasks ,",
        "--tasks deraim", "--metrics ,", "--metrics pnsr", "--metrics psnr:q", "--seeds ,",
        "--seeds -1", "--seeds a", "--seeds 1.5", "--steps 0", "--steps -4", "--steps ,",
        "--steps x", "--limit 0", "--limit -1", "--limit many", "--batch 0", "--tile 8",
        "--device tpu", "--device cuda:99", "--dtype float8", "--weights /nonexistent",
        "--data /nonexistent", "--data ,", "--data derain=", "--protocol none", "--profile none",
        "--variant psnr", "--variant psnr=q", "--prompts g9", "--range 0", "--range -1",
        "--range nan", "--flatten whit", "--pair x", "--set strength=1", "--set =1",
        "--set other.strength=1", "--ste 4", "--outt x", "--noise-seed x", "--out s3://bucket/run",
        "/nonexistent.toml",
    ),
    "score {pictures} {pictures}": (
        "--metrics ,", "--metrics pnsr", "--variant psnr=q", "--profile none", "--range 0",
        "--range nan", "--flatten whit", "--pair x", "--max-megapixels 0", "--format xml",
        "--format parquet", "--weights /nonexistent", "--device tpu", "--shave -1", "--metric psnr",
    ),
    "score": (
        "", "{pictures}", "/nonexistent {pictures}", "{pictures} /nonexistent",
        "{empty} {pictures}", "{pictures} {empty}", "{file} {pictures}",
        "{pictures} /dev/null", "{pictures} /proc",
    ),
    "train": (
        "", "--tasks deraim --out {out}", "--pairs 0 --out {out}", "--pairs 17 --out {out}",
        "--epochs 0 --out {out}", "--resolution 1 --out {out}", "--test /nonexistent --out {out}",
        "--data denoise25=/nonexistent --tasks denoise25 --out {out}", "--data derain --out {out}",
        "--data derain={empty} --tasks derain --out {out}", "--profile g9 --out {out}",
        "--backbone /nonexistent --out {out}", "--device tpu --out {out}", "--seed -1 --out {out}",
        "--targets some --out {out}", "--tasks , --out {out}", "--checkpoint-every -1 --out {out}",
        "--epoch 3 --out {out}", "/nonexistent.toml --out {out}",
    ),
    "adapter inspect": ("", "/nonexistent", "{empty}", "/dev/null", "{file} --alpha 0",
                        "{file} --alpha nan", "{file} --jsn"),
    "leakage": ("", "/nonexistent {pictures}", "{pictures} /nonexistent", "{empty} {pictures}",
                "{pictures} {file}", "/dev/null {pictures}"),
    "maps": ("", "/nonexistent", "{empty}", "{pictures}", "{run} --maps inventd", "{run} --tasks x",
             "{run} --methods x", "{run} --limit 0", "{run} --bound x",
             "{run} --bound -1 --maps lost",
             "{run} --bound nan --maps lost", "{run} --bound 1 --level 2 --maps lost",
             "{run} --bound 1 --level 0 --maps lost", "{run} --bound 1 --score x --maps lost",
             "{run} --weights /nonexistent"),
    "report": ("", "/nonexistent", "{empty}", "{file}", "/dev/null", "{run} --embd"),
    "compare": ("", "{run} /nonexistent", "/nonexistent {run}", "{run} {empty}",
                "{run} {run} --out /dev/full", "{run} {run} --out {run}",
                "{run} {run} --out {run}/run.json", "{run} {run} --out {run}/per_image.jsonl",
                "{run} {run} --out {file}"),
    "study": ("", "seed", "seeds /nonexistent", "steps {empty}", "pairs --pairs 0",
              "pairs --pairs ,", "pairs --margin 0 --out {out}", "pairs --margin -1 --out {out}",
              "pairs --margin nan --out {out}", "prompts --tasks x --out {out}",
              "prompts --metrics x --out {out}", "prompts --limit 0", "pairs --training-seeds ,",
              "prompts --backbone /nonexistent --out {out}"),
    "claims": ("/nonexistent", "{empty}", "{file}", "/dev/null", "--only C99 --table-only",
               "--only ,", "--permutations 1", "--tasks x --out {out}", "--epochs 0",
               "--backbone /nonexistent --out {out}", "--unit pixel", "--metrics x --out {out}"),
    "weights": ("fetch", "fetch nothing-of-that-name", "--weights /nonexistent", "list"),
    "drift": ("--write-goldens", "--reason why", "--write"),
    "methods": ("--jso", "extra"),
    "": ("rnu", "--versio", "run score"),
}  # fmt: skip


def _flagged(line: str, folder: Path) -> Words:
    pictures_folder = _folder(folder / "pictures", 0)
    (folder / "empty").mkdir()
    (folder / "file").write_text("mine\n")
    places = {"pictures": pictures_folder, "empty": folder / "empty", "file": folder / "file",
              "out": folder / "out"}  # fmt: skip
    if "{run}" in line:
        # What `compare` may write is one page, and never a run.
        where = folder / ("run" if line.startswith("compare") else "out")
        shutil.copytree(_finished() / "out", where)
        places["run"] = where
    words = line.split()
    if words[:1] == ["run"]:
        given = set(words)
        usual = {"--methods": "degraded", "--tasks": "derain", "--metrics": "psnr",
                 "--out": str(folder / "out"), "--data": str(pictures_folder)}  # fmt: skip
        words += [word for key, value in usual.items() if key not in given for word in (key, value)]
    return [word.format(**places) for word in words]


def flags() -> Iterator[Case]:
    """Flags and arguments that cannot be meant."""
    for command, lines in FLAGS.items():
        for line in lines:
            codes = FAILS if "pictures} {empty" in line or "weights" in command else TWO
            yield Case(
                command.split(" {")[0] or "e2r-bench", line or "nothing",
                partial(_flagged, f"{command} {line}"), codes, patience=20,
            )  # fmt: skip


# Files of settings, adapters, checkpoints


def _toml(command: Sequence[str], content: bytes, folder: Path) -> Words:
    (folder / "settings.toml").write_bytes(content)
    return [*command, str(folder / "settings.toml"), "--out", str(folder / "out")]


def _adapter(damage: bad_files.Damage, folder: Path) -> Words:
    damage(folder / "adapter.safetensors")
    return ["adapter", "inspect", str(folder / "adapter.safetensors")]


def _pickle(index: int, door: str, folder: Path) -> Words:
    damages = bad_files.pickles(folder / "witness")
    file = folder / ("model.safetensors" if door.endswith("safetensors") else "model.pth")
    list(damages.values())[index](file)
    if door.startswith("adapter"):
        return ["adapter", "inspect", str(file)]
    pictures_folder = str(_folder(folder / "pictures", 0))
    out = ["--data", pictures_folder, *QUICK, "--out", str(folder / "out")]
    if door == "weights":
        shutil.copy(file, folder / "pictures" / "promptir.ckpt")
        return ["run", "--methods", "promptir", "--weights", pictures_folder, *out]
    if door.startswith("kontext"):
        chosen = ["--set", f"adapter={file}", "--set", "backbone=kontext-nano"]
        return ["run", "--methods", "kontext_lora", *chosen, *out]
    return ["run", "--methods", f"spandrel:{file}", *out]


def files() -> Iterator[Case]:
    """Settings, adapters and checkpoints that are damaged or hostile."""
    for kind, content in bad_files.TOML.items():
        for door in ("run", "claims", "train"):
            if door == "train" and kind == "empty":
                continue  # every setting of a training has a default
            words = [door, "--table-only"] if door == "claims" else [door]
            yield Case(f"{door}, toml", kind, partial(_toml, words, content), TWO)
    for kind, damage in bad_files.ADAPTERS.items():
        yield Case("adapter inspect", kind, partial(_adapter, damage), FAILS, patience=30)
    doors = ("adapter pth", "adapter safetensors", "spandrel", "weights", "kontext safetensors")
    for index, kind in enumerate(bad_files.pickles(Path("witness"))):
        for door in doors:
            yield Case(
                f"pickle through {door}", kind, partial(_pickle, index, door),
                frozenset({0, 1, 2}) if door == "weights" else FAILS, patience=30,
            )  # fmt: skip


# Outputs and environments


def _special_out(kind: str, folder: Path) -> Path:
    target = folder / "target"
    if kind == "a device":
        return Path("/dev/full")
    if kind == "a pipe":
        os.mkfifo(target)
    elif kind == "a folder":
        target.mkdir()
    elif kind == "a link to a device":
        target.symlink_to("/dev/full")
    elif kind == "below a file":
        target.write_text("mine\n")
        return target / "below"
    elif kind == "a foreign file":
        target.write_text("mine\n")
    elif kind == "a name too long":
        return folder / ("x" * 300)
    elif kind == "below proc":
        return Path("/proc/nothing/here")
    return target


def _written(command: str, kind: str, folder: Path) -> Words:
    _inputs(folder)
    out, results, clean = _special_out(kind, folder), folder / "results", folder / "data" / "gt"
    if command == "score":
        return ["score", str(results), str(clean), "--metrics", "psnr", "--out", str(out)]
    if command == "leakage":
        return ["leakage", str(results), str(clean), "--out", str(out)]
    if command == "compare":
        run = str(_finished() / "out")
        return ["compare", run, run, "--out", str(out)]
    if command == "run":
        methods = ["--methods", f"m=folder:{results}", "--data", str(folder / "data")]
        return ["run", *methods, *QUICK, "--out", str(out)]
    return ["train", "--pairs", "16", "--epochs", "1", "--tasks", "denoise25", "--out", str(out)]


OUTPUTS = ("a device", "a pipe", "a folder", "a link to a device", "below a file",
           "a foreign file", "a name too long", "below proc")  # fmt: skip


def _environment(change: Mapping[str, str | None]) -> Callable[[], None]:
    def before() -> None:
        for name, value in change.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    return before


def _few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def _small_files() -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


ENVIRONMENTS: Mapping[str, tuple[Callable[[], None], frozenset[int]]] = {
    "no home": (_environment({"HOME": None, "XDG_CACHE_HOME": None}), frozenset({0})),
    "a home that is not": (_environment({"HOME": "/nonexistent"}), frozenset({0})),
    "a cache that is a file": (_environment({"E2R_CACHE": "/etc/passwd"}), frozenset({0})),
    "a cache below a device": (_environment({"E2R_CACHE": "/dev/null/x"}), frozenset({0})),
    "weights nowhere": (_environment({"E2R_WEIGHTS": "/nonexistent"}), frozenset({0, 2})),
    "64 files": (_few_files, frozenset({0})),
    "a disk of 1000 bytes": (_small_files, frozenset({0, 2})),
}
NAMED = ("NFC \u00e9", "NFD e\u0301", "space  two", "line\nbreak", "-dash", "quote'\"", "%41",
         "[b]", "\udcff\udcfe", "\U0001f600", "comma,comma", "a=b", "<img src=x>",
         "|pipe|")  # fmt: skip


def _usual(command: str, folder: Path) -> Words:
    words = (
        _score(_unharmed, "results", folder)
        if command == "score"
        else _run(_unharmed, "results", folder)
    )
    return [*words, "--out", str(folder / "out" / "scores.csv")] if command == "score" else words


def _called(command: str, name: str, folder: Path) -> Words:
    def renamed(path: Path) -> None:
        for place in PLACES.values():
            file = folder / place / "b.png"
            if file.exists():
                file.rename(file.with_name(f"{name}.png"))

    return (_score if command == "score" else _run)(renamed, "results", folder)


def surroundings() -> Iterator[Case]:
    """Outputs that may not be written, environments, and names."""
    for command in ("score", "leakage", "compare", "run", "train"):
        for kind in OUTPUTS:
            folder_is_fine = kind == "a folder" and command in ("run", "train", "leakage")
            if folder_is_fine:
                continue
            yield Case(f"{command} --out", kind, partial(_written, command, kind), TWO, patience=20)
    for kind, (before, codes) in ENVIRONMENTS.items():
        for command in ("score", "run"):
            prepare = partial(_usual, command)
            yield Case(command, kind, prepare, codes, before=before, patience=20)
    for name in NAMED:
        shown = re.sub(r"[^ -~]", "?", name)
        zero = frozenset({0})
        yield Case("score, name", shown, partial(_called, "score", name), zero, partial(_mean, 3))
        # A sequence cannot have a name that no row can hold.
        codes = zero if "\udcff" not in name else ANY
        check = partial(_summary, 3) if codes == zero else _no_check
        yield Case("run, name", shown, partial(_called, "run", name), codes, check)


def all_cases() -> list[Case]:
    """Return the whole matrix."""
    return [*pictures(), *flags(), *files(), *surroundings(), *folders(), *hostile.cases()]
