"""No import goes up through the layers of docs/architecture.md; no modules of trnet import each other in a circle."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "trnet").rglob("*.py"))
}
ROOT_PACKAGE = "trnet"  # __version__, which all layers may read, and Predictor, which is imported when it is used


def imported(name: str, source: str) -> set[str]:
    """The modules of trnet that a module's source imports, in functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: relative import"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {sub if sub in MODULES else node.module for sub in submodules}
    return (found & MODULES.keys()) - {name, ROOT_PACKAGE}


def read_layers(page: str) -> list[list[str]]:
    """The lines of the block ``layers``, top layer first, each a list of packages and modules directly below trnet."""
    block = re.search(r"^```layers\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert block, "docs/architecture.md has no block named layers"
    return [line.split() for line in block[1].splitlines()]


def upward(graph: dict[str, set[str]], layers: list[list[str]]) -> list[str]:
    """Imports ``importer -> imported`` of a module in a higher layer."""
    height = {package: -number for number, line in enumerate(layers) for package in line}
    layer = {module: height[module.split(".")[1]] for module in graph.keys() - {ROOT_PACKAGE}}
    return [f"{a} -> {b}" for a in sorted(layer) for b in sorted(graph[a]) if layer[b] > layer[a]]


@pytest.fixture(scope="module")
def layers() -> list[list[str]]:
    return read_layers((ROOT / "docs/architecture.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return {name: imported(name, path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def test_the_page_names_each_package_once(layers):
    named = [package for line in layers for package in line]
    assert sorted(named) == sorted({name.split(".")[1] for name in MODULES if name != ROOT_PACKAGE})


def test_no_import_goes_up(graph, layers):
    assert upward(graph, layers) == []


def test_no_modules_import_each_other_in_a_circle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_an_import_that_goes_up_is_found_wherever_it_stands():
    later = "def f():\n    from trnet.bin import train\n"
    typing = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import trnet.bin.train\n"
    for source in (later, typing):
        graph = {"trnet.utils.files": imported("trnet.utils.files", source)}
        assert graph == {"trnet.utils.files": {"trnet.bin.train"}}
        found = upward({**graph, "trnet.bin.train": set()}, [["bin"], ["utils"]])
        assert found == ["trnet.utils.files -> trnet.bin.train"]


def imported_at_once(source: str) -> set[str]:
    """What a module imports as it is imported itself: not in functions, nor for type checkers."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return found


def loaded_with(command: str) -> set[str]:
    """The packages that are imported before a command's `main` is called."""
    seen: set[str] = set()
    todo = [command]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += [name.rpartition(".")[0]] if name.startswith("trnet.") else []
            todo += imported_at_once(MODULES[name].read_text(encoding="utf-8")) if name in MODULES else ()
    return {name.partition(".")[0] for name in seen}


@pytest.mark.parametrize("command", sorted(name for name in MODULES if name.startswith("trnet.bin.")))
def test_a_command_loads_what_takes_seconds_only_where_it_is_used(command):
    """Each stage is a process of its own, and so is each of its workers."""
    assert not loaded_with(command) & {"matplotlib", "scipy", "sklearn", "tensorboard", "torchaudio", "transformers"}


@pytest.mark.parametrize("verb", ["prepare_corpus", "prepare_noise", "simulate", "list_sets", "validate_data_dir"])
def test_stages_1_and_2_do_without_pytorch(verb):
    assert "torch" not in loaded_with(f"trnet.bin.{verb}") and "torch" in loaded_with("trnet.bin.train")
