"""check_requirements.py CHECKOUT EXTRA,...: "yes" if this Python imports trnet from there and has what it requires."""

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement


def ready(root: Path, extras: list[str]) -> bool:
    """Whether `trnet` is installed from `root`, and each requirement, of the extras too, in a version that fits."""
    spec = find_spec("trnet")
    if spec is None or spec.origin is None or Path(spec.origin).resolve().parents[1] != root.resolve():
        return False
    for line in metadata.requires("trnet") or []:
        requirement = Requirement(line)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            continue
        if not requirement.specifier.contains(metadata.version(requirement.name), prereleases=True):
            return False
    return True


if __name__ == "__main__":
    try:
        print("yes" if ready(Path(sys.argv[1]), sys.argv[2].split(",")) else "no")
    except metadata.PackageNotFoundError:
        print("no")
