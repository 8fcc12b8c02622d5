"""What a release is made of says one version, and its workflow tries what it publishes."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github/workflows"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_there_is_one_version():
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert tomllib.loads(text("Cargo.toml"))["package"]["version"] == version
    locked = {package["name"]: package["version"] for package in tomllib.loads(text("Cargo.lock"))["package"]}
    assert locked["kovocab"] == version
    assert yaml.safe_load(text("CITATION.cff"))["version"] == version
    assert re.findall(r"^## (\S+?),? ", text("CHANGELOG.md"), re.MULTILINE)[0].rstrip(",") == version


def test_the_citation_is_one():
    cited = yaml.safe_load(text("CITATION.cff"))
    assert cited["cff-version"] == "1.2.0"
    assert cited.keys() >= {"message", "title", "authors"}
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert (cited["title"], cited["license"]) == (project["name"], project["license"])
    for reference in cited["references"]:
        assert reference.keys() >= {"type", "title", "authors"}


def test_each_wheel_and_the_source_are_tried_before_they_are_published():
    jobs = yaml.safe_load(text(".github/workflows/release.yml"))["jobs"]
    targets = [one["target"] for one in jobs["wheels"]["strategy"]["matrix"]["include"]]
    for wanted in ("x86_64", "aarch64", "apple-darwin", "windows"):
        assert any(wanted in target for target in targets), wanted
    for job in ("wheels", "source"):
        runs = [step.get("run", "") for step in jobs[job]["steps"]]
        assert any("pip install dist/" in run and "tests/installed.py" in run for run in runs), job
        assert job in jobs["publish"]["needs"]
    assert jobs["publish"]["if"].startswith("startsWith(github.ref, 'refs/tags/')")
    oldest = tomllib.loads(text("pyproject.toml"))["project"]["requires-python"].removeprefix(">=")
    pythons = [step["with"]["python-version"] for step in jobs["wheels"]["steps"] if "setup-python" in str(step)]
    assert pythons == [oldest]


def test_the_first_step_of_a_release_has_what_its_pytest_is_told():
    """Of the options in pyproject.toml one is a plugin's, and an unknown option is an error."""
    (run,) = [
        step["run"]
        for step in yaml.safe_load(text(".github/workflows/release.yml"))["jobs"]["version"]["steps"]
        if "pytest" in step.get("run", "")
    ]
    installed = run.partition("&&")[0].removeprefix("pip install").split()
    options = tomllib.loads(text("pyproject.toml"))["tool"]["pytest"]["ini_options"]
    assert "--strict-config" in options["addopts"]
    assert "timeout" in options
    assert {*installed} >= {"pytest", "pytest-timeout", "pyyaml"}


def test_what_is_imported_is_asked_for():
    """Not only what others happen to bring: `pip install kovocab` names all that the text half imports."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    extras = [part for name, parts in project["optional-dependencies"].items() if name not in ("dev", "test", "docs")
              for part in parts]  # fmt: skip
    asked = {re.split(r"[^\w.-]", part)[0].lower().replace("-", "_") for part in [*project["dependencies"], *extras]}
    called = {"yaml": "pyyaml", "google": "protobuf", "backports": "backports.zstd", "zlib_ng": "zlib_ng",
              "lm_eval": "lm_eval", "vl_convert": "vl_convert_python", "mistral_common": "mistral_common"}  # fmt: skip
    found = {
        (name, path)
        for path in (ROOT / "python/kovocab").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _roots(node)
        if name not in {*sys.stdlib_module_names, "kovocab", "compression"}  # the last is in it from 3.14 on
    }
    assert [(name, path) for name, path in found if called.get(name, name).lower() not in asked] == []


def _roots(node):
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [(node.module or "").partition(".")[0]] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_workflows_may_read_and_no_more_but_where_they_publish():
    for path in WORKFLOWS.glob("*.yml"):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path
        assert [name for name, job in workflow["jobs"].items() if "permissions" in job] in ([], ["publish"])


def test_continuous_integration_is_what_people_run():
    (job,) = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    named = re.findall(r"^make (?:-\S+ )*((?:[a-z-]+ ?)+)", text(".ci/run"), re.MULTILINE)
    makefile = text("Makefile")
    for target in (name for line in named for name in line.split()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
