"""What is installed is whole, and importing it is cheap."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import coinfer

ROOT = Path(__file__).parents[1]
HEAVY = "torch transformers scipy ortools highspy pulp httpx rich matplotlib openai xllamacpp pynvml psutil pandas ray"


def loaded_by(code: str) -> list[str]:
    """Run ``code`` in a fresh interpreter and return which heavy packages it loaded."""
    probe = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('loaded', *sorted(set({HEAVY!r}.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "code",
    [
        "import coinfer",
        "import coinfer.cli",
        "from coinfer.cli import main; main(['--help'])",
        "from coinfer.cli import main; main(['plan', '--help'])",
        "from coinfer.cli import main; main(['--version'])",
    ],
)
def test_import_and_help_load_nothing_heavy(code: str) -> None:
    """Engines, frameworks and clients are loaded where they are used, so that help comes at once."""
    assert loaded_by(code) == []


def test_the_probe_sees_what_is_loaded() -> None:
    """The test above can fail: a heavy package that is imported is found."""
    assert loaded_by("import psutil") == ["psutil"]


def test_every_public_name_is_there() -> None:
    """Each name of ``coinfer.__all__`` can be had, and an unknown one is refused."""
    for name in coinfer.__all__:
        assert getattr(coinfer, name) is not None
    assert len(set(coinfer.__all__)) == len(coinfer.__all__)
    assert dir(coinfer) == sorted(coinfer.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = coinfer.no_such_name  # type: ignore[attr-defined]


def test_the_version_is_told_once() -> None:
    """Package and metadata agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert coinfer.__version__ == project["version"]


def test_tested_versions_satisfy_the_requirements() -> None:
    """Every version in constraints.txt is one that pyproject.toml allows, and is written as NAME==VERSION."""
    requirements = pytest.importorskip("packaging.requirements")
    utils = pytest.importorskip("packaging.utils")
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *data["project"]["dependencies"],
        *(item for extra in data["project"]["optional-dependencies"].values() for item in extra),
        *(item for group in data["dependency-groups"].values() for item in group if isinstance(item, str)),
    ]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    tested = {utils.canonicalize_name(name): version for name, version in pins.items()}
    for text in wanted:
        requirement = requirements.Requirement(text)
        version = tested.get(utils.canonicalize_name(requirement.name))
        assert version is None or requirement.specifier.contains(version), text
    core = {utils.canonicalize_name(requirements.Requirement(text).name) for text in data["project"]["dependencies"]}
    assert core <= tested.keys()


@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed to build with")
def test_the_wheel_is_whole(tmp_path: Path) -> None:
    """A wheel built from this tree holds every file of the package, and nothing else."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--quiet", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = {Path(name).name for name in archive.namelist() if ".dist-info/" in name}
    source = ROOT / "src"
    there = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == there
    assert {"METADATA", "entry_points.txt", "LICENSE"} <= metadata
    for name in ("py.typed", "zoo/manifest.json", "profiler/data/published_devices.csv"):
        assert f"coinfer/{name}" in packed
    models = {name.split("/")[3] for name in packed if name.endswith("model.safetensors")}
    assert models >= {"generalist-tiny", "generalist-small", "moe-small"}
