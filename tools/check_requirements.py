"""check_requirements.py CHECKOUT EXTRA,...: what this Python lacks to run trnet, on one line; "ready" if nothing.

trnet itself need not be installed: recipes and tests find it in the checkout by PYTHONPATH.
"""

import sys
from importlib import metadata
from pathlib import Path


def missing(checkout: Path, extras: list[str]) -> list[str]:
    """The requirements in pyproject.toml, those of the extras too, that are not installed in a version that fits."""
    import tomllib  # since Python 3.11

    from packaging.requirements import Requirement  # matplotlib brings it

    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [line for line in dict.fromkeys(wanted) if not _installed(Requirement(line))]


def _installed(requirement) -> bool:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


if __name__ == "__main__":
    try:
        lacking = missing(Path(sys.argv[1]), sys.argv[2].split(","))
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        print((", ".join(lacking[:3]) + more) or "ready")
    except ModuleNotFoundError as error:
        print("Python 3.11 or newer" if error.name == "tomllib" else error.name)
