"""What a release is made of says one version, and its workflow tries what it publishes."""

import re
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
