"""What is built is what users need: complete, typed, with nothing to install beside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pages
import pytest
import servers
from pages import ROOT
from servers import workshop

import ProxyPatternPool as ppp

PROGRAMS = ROOT / "tests" / "typing"
METADATA = f"proxypatternpool-{ppp.__version__}.dist-info"
ENVIRON = {name: value for name, value in servers.environ().items() if name != "PYTHONPATH"}


def run(*command: object, folder: Path, expect: int = 0) -> str:
    """Run a program to its end, out of reach of the tree; give what it says, errors included."""
    done = servers.run(*command, cwd=folder, env=ENVIRON, expect=expect)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The names of the project's files, the new ones too."""
    if not (ROOT / ".git").exists():
        pytest.skip("no repository: these tests run from a sdist")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=ROOT)
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, in which `make build` has built the sdist, and from that the wheel."""
    folder = tmp_path_factory.mktemp("built") / "tree"
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    workshop(folder / ".venv", "build")
    (folder / "said").write_text(run("make", "--no-print-directory", "build", folder=folder))
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("dist/*.whl")
    return path


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, bytes]:
    """The wheel's files."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pythons() -> list[tuple[int, str]]:
    """Find the interpreters of this machine that the library supports, one for each version."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin")
    found = {sys.version_info.minor: sys.executable}
    for path in [path for folder in folders for path in folder.glob("python3.1[0-9]")]:
        ask = [str(path), "-c", "import ensurepip, sys, venv; print(sys.version_info.minor)"]
        asked = subprocess.run(ask, capture_output=True, text=True, env=ENVIRON)
        if asked.returncode == 0:
            found.setdefault(int(asked.stdout), str(path))
    return sorted(found.items())


def environment(python: str, folder: Path) -> Path:
    """Make an empty environment of some interpreter in a folder, and give its own interpreter."""
    run(python, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
    return folder / "venv" / "bin" / "python"


def install(interpreter: Path, wheel: Path) -> None:
    """Install or upgrade to a wheel, and nothing else, in an environment."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", interpreter)
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", "--upgrade", wheel, folder=wheel.parent)


def test_wheel_holds_the_module_once(files: dict[str, bytes]) -> None:
    """The wheel holds the module, once, as a package that is marked as typed, and its metadata."""
    about = [f"{METADATA}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")]
    assert sorted(files) == ["ProxyPatternPool/__init__.py", "ProxyPatternPool/py.typed", *about]
    assert files["ProxyPatternPool/__init__.py"] == (ROOT / "ProxyPatternPool.py").read_bytes()
    assert files["ProxyPatternPool/py.typed"] == b""


def test_sdist_holds_the_whole_project(built: Path, tracked: list[str]) -> None:
    """Whoever has the sdist has all of the project: tests, docs and examples too."""
    (sdist,) = built.glob("dist/*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == {*tracked, "PKG-INFO"}


def test_sdist_builds_the_wheel_that_the_tree_builds(wheel: Path, built: Path, tmp_path: Path) -> None:
    """The wheel built from the sdist and the one built straight from the tree are the same file."""
    build = (sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path)
    run(*build, built, folder=tmp_path)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_make_build_is_quiet(built: Path, tmp_path: Path) -> None:
    """`make build` leaves two distributions that the index accepts, and says nothing if all is well."""
    assert (built / "said").read_text() == ""
    assert sorted(path.suffix for path in (built / "dist").iterdir()) == [".gz", ".whl"]
    shutil.copytree(built, tmp_path / "tree")
    (tmp_path / "tree" / "tests" / "typing" / "py.typed").unlink()
    assert "py.typed" in run("make", "build", folder=tmp_path / "tree", expect=2)


def test_metadata(files: dict[str, bytes]) -> None:
    """Name, version, licence, authors and links are told; every requirement belongs to an extra."""
    metadata = message_from_bytes(files[f"{METADATA}/METADATA"])
    assert (metadata["Name"], metadata["Version"]) == ("ProxyPatternPool", ppp.__version__)
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("CC0-1.0", ">=3.10")
    assert metadata["Author"] == "ProxyPatternPool contributors"
    assert set(metadata.get_all("Provides-Extra", [])) == {"local", "demo"}
    requirements = metadata.get_all("Requires-Dist", [])
    assert [line for line in requirements if "extra ==" not in line] == []
    local = {re.split(r"\W", line)[0] for line in requirements if re.search(r"extra == .local.", line)}
    assert local == {"werkzeug", "gevent", "eventlet"}
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert set(urls) == {"Documentation", "Source", "Issues", "Changelog"}
    # each link of the README as the index shows it is a whole address, of a file that exists
    links = re.findall(r"\]\(([^)]+)\)", str(metadata.get_payload()))
    assert [link for link in links if re.match(r"https://|#", link) is None] == []
    linked = [link.partition("/blob/main/")[2] for link in links if link.startswith(urls["Source"])]
    assert len(linked) > 5
    assert [name for name in linked if not (ROOT / name.partition("#")[0]).is_file()] == []


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_readme_runs_in_an_empty_environment(which: str, wheel: Path, tmp_path: Path) -> None:
    """The wheel installs on the oldest and the newest Python found, and each example of the README runs."""
    minor, python = pythons()[0 if which == "oldest" else -1]
    interpreter = environment(python, tmp_path)
    install(interpreter, wheel)
    program = """import importlib.metadata as metadata, sys, ProxyPatternPool as ppp
print(sys.version_info.minor, ppp.__version__, metadata.version("ProxyPatternPool"))"""
    shown = run(interpreter, "-I", "-c", program, folder=tmp_path).split()
    assert shown == [str(minor), ppp.__version__, ppp.__version__]
    codes = [block.code for block in pages.blocks(ROOT / "README.md") if block.language == "python"]
    alone = [code for code in codes if "flask" not in code]  # test_pages.py runs the others
    assert len(alone) >= 2
    for code in alone:
        assert run(interpreter, "-I", "-W", "error", "-c", code, folder=tmp_path) == ""


def test_upgrade_in_place(wheel: Path, tmp_path: Path) -> None:
    """Upgrading from version 11 replaces its module by the package; going back does the reverse."""
    about = "proxypatternpool-11.9.dist-info"
    files = {
        "ProxyPatternPool.py": "__version__ = '11.9'\n",
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: ProxyPatternPool\nVersion: 11.9\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    old = tmp_path / "proxypatternpool-11.9-py3-none-any.whl"
    with zipfile.ZipFile(old, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    interpreter = environment(sys.executable, tmp_path)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    module, package = site / "ProxyPatternPool.py", site / "ProxyPatternPool"
    program = "import ProxyPatternPool as ppp; print(ppp.__version__, ppp.__file__)"
    its = {old: ("11.9", module, package), wheel: (ppp.__version__, package / "__init__.py", module)}
    for which in (old, wheel, old):  # the bytecode of each is left lying about, too
        install(interpreter, which)
        version, file, gone = its[which]
        assert run(interpreter, "-I", "-c", program, folder=tmp_path).split() == [version, str(file)]
        assert not gone.exists()


@pytest.fixture(scope="module")
def user(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: programs, and an environment with the wheel; the tree cannot be found from there."""
    folder = tmp_path_factory.mktemp("user")
    install(environment(sys.executable, folder), wheel)
    for program in PROGRAMS.glob("*.py"):
        shutil.copy(program, folder)
    return folder


CHECKERS = {
    "mypy": ("--strict", "--config-file=", "--cache-dir=cache", "--python-executable=venv/bin/python"),
    "pyright": ("--pythonpath=venv/bin/python",),
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_users_program_is_typed(checker: str, user: Path) -> None:
    """A type checker passes a user's right program, and reports each mistake of a wrong one, nothing else."""
    lines = (PROGRAMS / "wrong.py").read_text(encoding="utf-8").splitlines()
    wrong = {("wrong.py", str(number)) for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert len(wrong) > 5
    command = (sys.executable, "-m", checker, *CHECKERS[checker])
    output = run(*command, *user.glob("*.py"), folder=user, expect=1)
    assert set(re.findall(r"(\w+\.py):(\d+):(?:\d+ -)? error:", output)) == wrong
