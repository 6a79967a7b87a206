"""Print "yes" if this Python imports trnet from the checkout given and meets its requirements, extras included."""

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

EXTRAS = ("", "mini", "deepfilternet", "enh", "export", "docs", "test")


def ready(root: Path) -> bool:
    """Whether `trnet` is installed from `root`, and each of its requirements in a version that fits."""
    spec = find_spec("trnet")
    if spec is None or spec.origin is None or Path(spec.origin).resolve().parents[1] != root.resolve():
        return False
    for line in metadata.requires("trnet") or []:
        requirement = Requirement(line)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in EXTRAS):
            continue
        if not requirement.specifier.contains(metadata.version(requirement.name), prereleases=True):
            return False
    return True


if __name__ == "__main__":
    try:
        print("yes" if ready(Path(sys.argv[1])) else "no")
    except metadata.PackageNotFoundError:
        print("no")
