"""What a release stands on: version, changelog, wheels, and what GitHub and pre-commit read."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from e2r_bench.cli import COMMANDS

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STARTER = ROOT / "e2r_bench" / "commands" / "starters" / "drift.yml"


def changelog() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "changelog", Path(__file__).with_name("changelog.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_changelog_is_well_formed_and_knows_every_tag() -> None:
    module = changelog()
    text = module.CHANGELOG.read_text(encoding="utf-8")
    assert list(module.faults(text)) == []
    known = module.releases(text)
    assert known
    if (ROOT / ".git").exists() and shutil.which("git"):
        tags = re.findall(r"^v(\d+\.\d+\.\d+)$", git(ROOT, "tag"), re.MULTILINE)
        assert [tag for tag in tags if known.get(tag, "unreleased") == "unreleased"] == []


GOOD = "## [1.1.0] - unreleased\n### Added\n- a\n## [1.0.0] - 2026-01-02\n### Fixed\n- b\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- unreleased", ""),
        ("1.1.0", "0.9.0"),
        ("1.1.0", "1.0.0"),
        ("2026-01-02", "unreleased"),
        ("### Fixed", "### Repaired"),
        ("### Added", "Added"),
    ],
)
def test_what_is_wrong_with_a_changelog_is_found(old: str, new: str) -> None:
    faults = changelog().faults
    assert list(faults(GOOD)) == []
    assert list(faults(GOOD.replace(old, new))) != []


def test_a_tag_needs_a_dated_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = changelog()
    monkeypatch.setattr(module, "CHANGELOG", tmp_path / "CHANGELOG.md")
    module.CHANGELOG.write_text(GOOD)
    assert [module.main(tag) for tag in ("v1.0.0", "v1.1.0", "v2.0.0")] == [0, 1, 1]


@pytest.mark.parametrize("path", [*WORKFLOWS, STARTER], ids=lambda path: path.name)
def test_workflows_follow_the_schema_and_give_few_rights(path: Path) -> None:
    _follows("vendor.github-workflows", path)
    content = load(path)
    # Nothing that a job was not given: neither a default of the repository, nor a stored secret.
    assert content["permissions"] in ({}, {"contents": "read"})
    assert "secrets." not in path.read_text(encoding="utf-8")
    for job in content["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "an input that is read as shell"
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[\w./-]+", step.get("uses", "a/b@v1"))


def _follows(schema: str, path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--default-filetype", "yaml",
         "--builtin-schema", schema, str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_workflow_with_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    text = STARTER.read_text(encoding="utf-8").replace("runs-on", "run-on")
    (tmp_path / "x.yml").write_text(text)
    with pytest.raises(AssertionError):
        _follows("vendor.github-workflows", tmp_path / "x.yml")


def test_publishing_is_by_trusted_publishing_alone() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "publish.yml")["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"] == "pypi"
    assert jobs["publish"]["needs"] == "build"
    assert "id-token" not in jobs["build"]["permissions"]
    last = jobs["publish"]["steps"][-1]
    assert last["uses"].startswith("pypa/gh-action-pypi-publish@")
    assert not {"password", "user"} & last.get("with", {}).keys()
    # The job that may publish runs nothing of the repository.
    assert all("run" not in step for step in jobs["publish"]["steps"])


def test_the_action_follows_the_schema_and_its_shell_runs(tmp_path: Path) -> None:
    path = ROOT / "action.yml"
    _follows("vendor.github-actions", path)
    steps = load(path)["runs"]["steps"]
    assert all("${{" not in step.get("run", "") for step in steps)
    # The last step, as a runner gives it to bash; a stand-in says what it was called with.
    stand_in = tmp_path / "bin" / "e2r-bench"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    for goldens, called in (("", ["drift"]), ("a b.json", ["drift", "--goldens", "a b.json"])):
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[-1]["run"]],
            env={"PATH": f"{stand_in.parent}:{os.environ['PATH']}", "E2R_GOLDENS": goldens},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines() == called


def test_the_citation_file_follows_the_schema(tmp_path: Path) -> None:
    _follows("vendor.citation-file-format", ROOT / "CITATION.cff")
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    (tmp_path / "x.cff").write_text(text.replace("authors:", "writers:"), encoding="utf-8")
    with pytest.raises(AssertionError):
        _follows("vendor.citation-file-format", tmp_path / "x.cff")


def test_hooks_are_those_that_pre_commit_reads() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    for hook in hooks:
        # `id`, `name`, `entry` and `language` are what pre-commit needs of a hook.
        assert hook.keys() >= {"id", "name", "entry", "language", "files"}
        program, command, *_ = hook["entry"].split()
        assert (program, hook["language"]) == ("e2r-bench", "python")
        assert command in COMMANDS
        re.compile(hook["files"])
    assert [bool(re.search(hooks[0]["files"], name))
            for name in ("pyproject.toml", "requirements-dev.txt", "uv.lock", "src/x.py")
            ] == [True, True, True, False]  # fmt: skip


def test_the_version_comes_from_the_tag_and_nowhere_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert "version" not in project["project"]
    assert "describe-name: $Format:" in (ROOT / ".git_archival.txt").read_text(encoding="utf-8")
    assert ".git_archival.txt export-subst" in (ROOT / ".gitattributes").read_text(encoding="utf-8")


def test_the_security_policy_says_where_to_report() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "Report a vulnerability" in text
    assert "--allow-commands" in text


def _tree(place: Path, tag: str) -> Path:
    """A repository with these sources, whose commit has a tag."""
    names = git(ROOT, "ls-files", "-co", "--exclude-standard").splitlines()
    for name in names:
        if not name.startswith(("results/", "tests/")) and (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / name)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"], ["tag", tag]):
        git(place, *words)
    return place


def _build(source: Path, out: Path, *flags: str) -> list[Path]:
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), *flags, str(source)], check=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return sorted(out.iterdir())


@pytest.mark.slow
def test_two_builds_are_the_same_bytes_and_need_no_git(tmp_path: Path) -> None:
    """Sdist and wheel twice; then a wheel from the sdist alone, and one from the plain archive."""
    pytest.importorskip("build", reason="pip install build")
    tree = _tree(tmp_path / "tree", "v1.2.3")
    first, second = (_build(tree, tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in first] == [
        "e2r_bench-1.2.3-py3-none-any.whl", "e2r_bench-1.2.3.tar.gz",
    ]  # fmt: skip
    digests = [[hashlib.sha256(p.read_bytes()).hexdigest() for p in made]
               for made in (first, second)]  # fmt: skip
    assert digests[0] == digests[1]
    shutil.unpack_archive(first[1], tmp_path / "unpacked", filter="data")
    again = _build(tmp_path / "unpacked" / "e2r_bench-1.2.3", tmp_path / "three", "--wheel")
    assert hashlib.sha256(again[0].read_bytes()).hexdigest() == digests[0][0]
    git(tree, "archive", "-o", str(tmp_path / "a.tar"), "HEAD")
    shutil.unpack_archive(tmp_path / "a.tar", tmp_path / "archive", filter="data")
    assert _build(tmp_path / "archive", tmp_path / "four", "--wheel")[0].name == again[0].name
    with zipfile.ZipFile(again[0]) as wheel:
        names = set(wheel.namelist())
    assert {"e2r_bench/report/citations.toml", "e2r_bench/commands/starters/drift.yml"} <= names
    git(tree, "commit", "-q", "--allow-empty", "-m", "y")
    later = _build(tree, tmp_path / "five", "--wheel")[0].name
    assert re.match(r"e2r_bench-1\.2\.4\.dev1\+g[0-9a-f]+-", later)
