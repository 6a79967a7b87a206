"""What README and the pages tell to type: options that exist, parsed by the real parsers; files that are there."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
SCRIPTS = {"trnet-predict": "predict", "trnet-demo": "demo"}
MADE = r"/(data|dump|exp|downloads)(_\w+)?(/|$)"  # by recipes
OWN = "ahoy"  # of the page on a corpus of one's own
FOLLOWED = "docs/new_corpus.md"  # its commands are run, in test_new_corpus.py


def typed() -> list[tuple[str, str, list[str]]]:
    """(page, the recipe it is typed in, words) of every command in a block of bash or in backquotes."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        lines = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
        for block in re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
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


def known_options(kind: str) -> set[str]:
    """The options of a template."""
    template = (ROOT / f"egs/TEMPLATE/{kind}" / {"ser1": "ser.sh", "enh1": "enh.sh"}[kind]).read_text()
    (names,) = re.findall(r'^options="(.*?)"', template, re.DOTALL | re.MULTILINE)
    return {f"--{name.replace('_', '-')}" for name in names.split()} | {"--help"}


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
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"(?<=[`( ])(?:egs|trnet|utils|docs|test|tools)/[\w./-]+\w", text)
    linked = [link for link in re.findall(r"\]\(([\w./-]+)\)", text) if not link.startswith("http")]
    absent = [name for name in named if not re.search(rf"{MADE}|{OWN}|venv", name) and not (ROOT / name).exists()]
    absent += [link for link in linked if not ((ROOT / page).parent / link).exists()]
    assert not absent
