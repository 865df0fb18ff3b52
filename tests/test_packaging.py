"""What a person gets who installs ipydurable from a wheel or a source archive."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.test_architecture import FOLDERS, ROOT

BUILD = "from setuptools import build_meta; print(build_meta.build_{kind}({target!r}))"


def build(kind: str, source: Path, target: Path) -> Path:
    """Build an "sdist" or "wheel" from the checkout at `source`, without any network."""
    target.mkdir()
    code = BUILD.format(kind=kind, target=str(target))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the source archive of this checkout."""
    folder = tmp_path_factory.mktemp("packaging")
    # Built elsewhere: what earlier builds left in the checkout would slip into the wheel.
    source = folder / "source"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    sdist = build("sdist", source, folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return build("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder / "wheel")


def test_a_wheel_holds_every_module_and_static_file(wheel: Path):
    """Nothing of the four folders is missing in the wheel, and nothing else is in it."""
    shipped = {
        str(Path(*package.split("."), path.relative_to(ROOT / folder)))
        for folder, package in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    names = set(zipfile.ZipFile(wheel).namelist())

    assert {name for name in names if ".dist-info/" not in name} == shipped
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_a_wheel_imports_where_there_is_no_checkout(wheel: Path, tmp_path: Path):
    """The package of the wheel is whole without the checkout it came from."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    # -S: without site-packages there is no editable install to fall back to; their folder is
    # added behind the wheel, for the dependencies.
    paths = [str(tmp_path), *(path for path in sys.path if path.endswith("-packages"))]
    code = f"import sys, importlib; sys.path += {paths!r}\n" + "\n".join(
        f"print(importlib.import_module({name!r}).__file__)" for name in FOLDERS.values()
    )

    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert all(Path(line).is_relative_to(tmp_path) for line in done.stdout.splitlines())
