"""What README and the pages tell to type or to read: options that exist, modules and files that are there."""

import importlib
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md")))]
SCRIPTS = {"trnet-predict": "predict", "trnet-demo": "demo"}
MADE = r"/(data|dump|exp|downloads)(_\w+)?(/|$)"  # by recipes
OWN = "ahoy"  # of the page on a corpus of one's own
FOLLOWED = "docs/new_corpus.md"  # its commands are run, in test_new_corpus.py
RECIPES = {"ser1": "iemocap/ser1", "enh1": "voicebank_demand/enh1"}


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def typed() -> list[tuple[str, str, list[str]]]:
    """(page, the recipe it is typed in, words) of every command in a block of bash or in backquotes."""
    found = []
    for page in PAGES:
        lines = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", read(page))
        for block in re.findall(r"^```bash\n(.*?)^```$", read(page), re.DOTALL | re.MULTILINE):
            lines += [line for line in block.replace("\\\n", " ").splitlines() if not line.startswith("#!")]
        recipe = "ser1"
        for line in lines:
            for command in re.split(r"&&|\|(?= )|;", line):
                try:
                    words = shlex.split(command, comments=True)
                except ValueError:  # half a sentence
                    continue
                if words[:1] == ["cd"]:
                    recipe = words[1]
                elif words and not any("..." in word for word in words):
                    found.append((page, recipe, words))
    return found


def of_parsers() -> list[tuple[str, str, list[str]]]:
    """(page, entry point, arguments) of every call of one that has arguments."""
    calls = []
    for page, _, words in typed():
        if words[0] in SCRIPTS and len(words) > 1:
            calls.append((page, SCRIPTS[words[0]], words[1:]))
        module = next((i for i, word in enumerate(words) if word.startswith("trnet.bin.")), 0)
        if module and words[module - 1] == "-m" and len(words) > module + 1:
            calls.append((page, words[module].removeprefix("trnet.bin."), words[module + 1 :]))
    return [call for call in calls if call[2] != ["--help"] and call[0] != FOLLOWED]


def of_recipes() -> list[tuple[str, str, list[str]]]:
    """(page, kind of recipe, options) of every call of a run.sh."""
    calls = []
    for page, recipe, words in typed():
        if words[0].endswith("run.sh"):
            kind = "enh1" if "enh1" in recipe + words[0] else "ser1"
            calls.append((page, kind, [word for word in words if word.startswith("--")]))
    return calls


@cache
def known_options(kind: str) -> set[str]:
    """The options that ``run.sh --help`` of a recipe lists."""
    script = ROOT / "egs" / RECIPES[kind] / "run.sh"
    done = subprocess.run(["bash", script, "--help"], capture_output=True, text=True, check=True)
    return {*re.findall(r"^ +(--[a-z][a-z-]*)", done.stdout, re.MULTILINE), "--help"}


@pytest.mark.parametrize(("page", "command", "words"), of_parsers())
def test_an_entry_point_takes_what_a_page_gives_it(page, command, words, capsys):
    parser = importlib.import_module(f"trnet.bin.{command}").get_parser()
    known = {option for action in parser._actions for option in action.option_strings}
    assert {word for word in words if word.startswith("--")} <= known, page
    if words[-1].startswith("--"):  # the option alone, in a sentence
        return
    for action in parser._actions:
        action.required = False  # what the sentence around it says
    try:
        parser.parse_args(words)
    except SystemExit:
        pytest.fail(f"{page}: {command} {words}: {capsys.readouterr().err}")


@pytest.mark.parametrize(("page", "kind", "options"), of_recipes())
def test_a_recipe_has_the_options_that_a_page_names(page, kind, options):
    assert set(options) <= known_options(kind), page


def test_commands_are_found():
    assert len(of_parsers()) > 12 and len(of_recipes()) > 15


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page):
    named = re.findall(r"(?<=[`( ])(?:egs|trnet|utils|docs|test|tools)/[\w./-]+\w", read(page))
    linked = re.findall(r"\]\(((?!https?:)[\w./-]+)", read(page))
    named = [name for name in named if not re.search(rf"{MADE}|{OWN}|venv", name)]
    absent = [name for name in named if not (ROOT / name).exists() and not (ROOT / "trnet" / name).exists()]
    absent += [link for link in linked if not ((ROOT / page).parent / link).exists()]
    assert not absent


@pytest.mark.parametrize("page", PAGES)
def test_python_names_that_a_page_has_are_there(page):
    for name in {*re.findall(r"\btrnet(?:\.[A-Za-z_]\w*)+(?!\.?\w)", read(page))}:
        if OWN in name or name == "trnet.zip":
            continue
        *parts, last = name.split(".")
        module = next(filter(None, (imported(".".join(parts[:end])) for end in range(len(parts), 0, -1))))
        for part in [*parts[module.__name__.count(".") + 1 :], last]:
            module = getattr(module, part, None) or imported(f"{module.__name__}.{part}")
            assert module is not None, f"{page}: {name}"


def imported(name: str):
    """A module; None if there is no such module."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("trnet"):
            return None
        raise


def test_sections_that_the_readme_links_to_are_there():
    headings = re.findall(r"^#+ (.*)$", read("README.md"), re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", read("README.md"))) <= slugs


def test_the_readme_has_the_numbers_of_the_recipe():
    """First those of log-mels, then those of Whisper: clean speech, matched and unmatched noise."""
    rows = re.findall(r"^\| ((?:Baseline-.|TRNet)) \| (.*) \|$", read("README.md"), re.MULTILINE)
    assert len(rows) == 4
    for system, line in rows:
        cells = line.split(" | ")
        assert len(cells) == 6
        for name, shown in (("steady", cells[:3]), ("whisper", cells[3:])):
            row = re.search(rf"^\| \**{system}\** \|(.*)$", read(f"egs/nemo/ser1/RESULTS_{name}.md"), re.MULTILINE)
            measured = {f"{float(number):.1f}" for number in re.findall(r"\d+\.\d+", row[1])}
            assert set(shown) <= measured, (system, name)


def test_the_readme_is_short():
    assert len(read("README.md").splitlines()) <= 130
