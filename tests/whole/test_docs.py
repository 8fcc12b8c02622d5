"""The docs: every command in them is understood, both languages show the same ones, and the notebooks run."""

import ast
import inspect
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import kovocab
from kovocab.cli import main as cli
from kovocab.example.quickstart import FIT
from support.street import skip_training

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
KOREAN = sorted(path.relative_to(DOCS / "ko") for path in (DOCS / "ko").rglob("*.md"))
ENGLISH = sorted(path.relative_to(DOCS) for path in [DOCS / "start.md", *(DOCS / "howto").glob("*.md")])
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))

CHROMIUM = os.environ.get("KOVOCAB_CHROMIUM") or shutil.which("chromium")

Fence = tuple[str, str]


def fences(text: str) -> list[Fence]:
    """What stands in code blocks: language and content."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> dict[str, str]:
    """Each `kovocab` command in a block of a page or a cell of a notebook, and the first place where it stands."""
    found: dict[str, str] = {}
    pages = [path for path in sorted(DOCS.rglob("*.md")) if "ko" not in path.relative_to(DOCS).parts]
    for path in [ROOT / "README.md", *pages]:
        for language, block in fences(path.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                prompt = r"\$ " if language == "console" else r"(?:srun )?"
                if command := re.match(rf"{prompt}(kovocab .*)", line):
                    found.setdefault(command[1], str(path.relative_to(ROOT)))
    for path in NOTEBOOKS:
        for kind, source in cells(path):
            if kind == "code" and not source.startswith("%%"):
                for call in ast.walk(ast.parse(source)):
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "kovocab":
                        said = f"kovocab {ast.literal_eval(call.args[0])}"
                        found.setdefault(said, str(path.relative_to(ROOT)))
    return found


def cells(notebook: Path) -> Iterator[tuple[str, str]]:
    """Kind and content of each cell; and it has no output."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs"), f"{notebook}: outputs are not committed"
        yield cell["cell_type"], "".join(cell["source"])


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the configurations that commands name: the project's, and the one that the quickstart writes."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    places = {
        "run": "run",
        "expanded": "expanded",
        "tokens": "tokens",
        "korean": "korean.txt",
        "english": "english.txt",
    }
    for config in ("fit.yaml", "runs/quickstart/fit.yaml"):
        (tmp_path / config).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / config).write_text(FIT.format(config=config, steps=12, **places))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", commands())
@pytest.mark.usefixtures("beside")
def test_each_command_is_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command, comments=True)
    _, verb, *settings = words[: words.index(">")] if ">" in words else words
    skip_training(verb)
    assert cli.main([verb, *settings, "--print_config"]) == 0, f"{commands()[command]}: {capsys.readouterr().err}"
    assert capsys.readouterr().out.strip()


def test_there_are_commands_of_every_verb_of_the_street() -> None:
    shown = {command.split()[1] for command in commands()}
    assert set(cli.STREET) - shown == {"validate", "test", "predict"}  # README names them


def test_start_and_how_tos_are_there_in_both_languages() -> None:
    assert [path for path in KOREAN if path != Path("index.md")] == ENGLISH
    assert len(ENGLISH) >= 9


@pytest.mark.parametrize("page", ENGLISH, ids=str)
def test_both_languages_say_the_same(page: Path) -> None:
    """The same code blocks, headings of the same levels, and the same links and names in backticks of files."""
    english, korean = ((DOCS / root / page).read_text(encoding="utf-8") for root in ("", "ko"))
    assert fences(korean) == fences(english)
    assert re.findall(r"^#+(?= )", korean, re.MULTILINE) == re.findall(r"^#+(?= )", english, re.MULTILINE)
    for pattern in (r"\]\((?:\.\./)*([\w/.-]+)\)", r"`(docs/[\w/.-]+|configs/[\w/.-]+)`"):
        assert sorted(re.findall(pattern, korean)) == sorted(re.findall(pattern, english))
    prose = re.sub(r"^```.*?^```$", "", korean, flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall("[가-힣]", prose)) > len(re.findall("[a-z]", prose)) / 2


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own packages
def test_a_notebook_runs(notebook: Path) -> None:
    for package in ("nbclient", "ipykernel", "mistral_common", "altair", "vl_convert"):
        pytest.importorskip(package, reason="pip install kovocab[docs]")
    if not find_spec("torch"):
        pytest.skip("pip install kovocab[train]")
    import nbformat
    from nbclient import NotebookClient

    ran: Any = nbformat.read(notebook, as_version=4)
    NotebookClient(ran, timeout=600, kernel_name="python3").execute()
    outputs = [output for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/svg+xml" in output.get("data", {}) for output in outputs)
    assert not any(
        "text/html" in output.get("data", {}) and "<script" in output.data["text/html"] for output in outputs
    )


def test_the_reference_has_every_public_name() -> None:
    said = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\.\. auto\w+:: kovocab\.(?:[a-z_]+\.)*(\w+)$", said, re.MULTILINE))
    assert set(kovocab.__all__) <= named


@pytest.mark.parametrize("verb", cli.summaries())
def test_the_reference_has_every_setting_of_a_verb(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx", reason="pip install kovocab[docs]")
    skip_training(verb)
    monkeypatch.syspath_prepend(str(DOCS / "site"))
    from commands import help_of, settings_of  # type: ignore[import-not-found]

    groups = dict(settings_of(help_of(verb)))
    flags = {
        flag for settings in groups.values() for flags, text in settings for flag in re.findall(r"--[\w.]+", flags)
    }
    assert all(text for settings in groups.values() for _, text in settings)
    if verb in cli.VERBS:
        taken = inspect.signature(cli.VERBS[verb]).parameters
        assert {f"--{name}" for name, of in taken.items() if of.kind is not of.VAR_KEYWORD} <= flags
    else:
        assert {"--model.model", "--data.sources"} <= flags


TEXTS = [
    "토크나이저를 만듭니다",
    "한국어 어휘 확장: bits per byte",
    "min_count 값은 6,000",
    "가 ab가나다c, 日本語 ünï_2 3.5e-4",
    "",
]


def test_the_search_cuts_the_question_as_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the browser as in the index; and a part of a Korean word is found in the word with its ending."""
    pytest.importorskip("sphinx", reason="pip install kovocab[docs]")
    monkeypatch.syspath_prepend(str(DOCS / "site"))
    from languages import SearchEnglishKorean  # type: ignore[import-not-found]

    cut = SearchEnglishKorean({}).split
    for part, word in (("토큰", "토큰을"), ("토크나이저", "토크나이저를"), ("어휘", "어휘의"), ("확장", "어휘확장")):
        assert set(cut(part)) <= set(cut(word))
    assert not set(cut("토큰")) <= set(cut("토크나이저"))
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("there is no chromium; `make browser` installs it, or KOVOCAB_CHROMIUM names one")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        script = f"texts => {{ {SearchEnglishKorean.js_splitter_code}; return texts.map(splitQuery) }}"
        asked = browser.new_page().evaluate(script, TEXTS)
        browser.close()
    assert asked == [cut(text) for text in TEXTS]
