"""Which packages are missing, and wheels that bring them without a network."""

import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile

import pytest
from lines import assert_names

from trnet.bench import gpu_packages
from trnet.bench.gpu_packages import check_imports, check_packages, install_wheels, missing, required
from trnet.bench.gpu_session import ROOT
from trnet.utils.errors import TrnetError


def write_wheel(folder, name):
    """A wheel of a package with one empty module."""
    folder.mkdir(exist_ok=True)
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


@pytest.fixture
def pyproject(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\ndependencies = ["numpy>=1.26", "trnet_absent>=2,<3", "PyYAML"]\n')
    return path


def test_what_trnet_needs_is_read_from_pyproject_and_is_here():
    names = required(ROOT / "pyproject.toml")
    assert {"torch", "numpy", "pydantic", "pydantic-core", "cffi", "pytest"} <= set(names)
    assert missing(names) == []


def test_what_comes_with_a_package_is_what_its_metadata_names():
    for name, beside in gpu_packages.BESIDE.items():
        lines = importlib.metadata.requires(name) or []
        for each in beside:
            chain = lines + [line for more in beside for line in importlib.metadata.requires(more) or []]
            assert any(line.lower().replace("_", "-").startswith(each) for line in chain), (name, each)


@pytest.mark.slow
def test_wheels_bring_what_is_missing(pyproject, tmp_path):
    site = tmp_path / "site"
    with pytest.raises(TrnetError) as caught:
        check_packages(pyproject, site)
    assert_names(str(caught.value), "trnet_absent --wheels")
    assert "numpy" not in str(caught.value) and "PyYAML" not in str(caught.value)
    write_wheel(tmp_path / "wheels", "trnet_absent")
    for _ in range(2):  # the second call finds it done
        install_wheels(tmp_path / "wheels", site)
    check_packages(pyproject, site)
    check_imports(["trnet_absent"], {"PYTHONPATH": str(site)})
    with pytest.raises(TrnetError, match="trnet_nowhere"):
        check_imports(["trnet_nowhere"], {})


def test_a_folder_without_wheels_and_a_broken_wheel_are_named(tmp_path):
    with pytest.raises(TrnetError, match="--wheels"):
        install_wheels(tmp_path, tmp_path / "site")
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(TrnetError, match="broken"):
        install_wheels(tmp_path, tmp_path / "site")


def test_a_machine_without_a_gpu_is_told_at_once():
    code = "from trnet.bench.gpu_packages import check_gpu; check_gpu()"
    hidden = dict(os.environ) | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=hidden, capture_output=True, text=True)
    assert done.returncode == 1 and "no GPU" in done.stderr and "--ngpu 0" in done.stderr


def test_the_page_names_every_package():
    """Those that have to be brought, and those that such machines have."""
    page = (ROOT / "docs/bench_train.md").read_text(encoding="utf-8").lower()
    told = set(re.findall(r"[a-z0-9-]+", page[page.index("names a folder of wheels") :]))
    assert [name for name in required(ROOT / "pyproject.toml") if name.lower() not in told] == []
