"""What is built is what users need: complete, typed, with nothing to install beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from functools import cache
from pathlib import Path

import pages
import pytest

import ProxyPatternPool as ppp

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "ProxyPatternPool.py"
PROGRAMS = ROOT / "tests" / "typing"
BUILD = (sys.executable, "-m", "build", "--no-isolation")
METADATA = f"proxypatternpool-{ppp.__version__}.dist-info"
ENVIRON = {
    key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL")
}
Checker = Callable[[Path, Path, str, int], list[int]]


def run(*command: str | Path, folder: Path, expect: int = 0) -> str:
    """Run a command in a folder, and return its output, errors included, if it ends as expected."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the wheel's files."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project's files to where nothing else lies around and building leaves nothing behind."""
    if not (ROOT / ".git").exists():
        pytest.skip("no repository: these tests run from a sdist")
    folder = tmp_path_factory.mktemp("tree")
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")  # the new ones too
    for name in run(*command, folder=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def dist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist from the tree, and from that the wheel, as `make build` does."""
    folder = tmp_path_factory.mktemp("dist")
    run(*BUILD, "--outdir", folder, tree, folder=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    return message_from_bytes(contents(wheel)[f"{METADATA}/METADATA"])


@cache
def pythons() -> list[tuple[tuple[int, int], str]]:
    """Find the interpreters of this machine that the library supports, one for each version."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin")
    found = {sys.version_info[:2]: sys.executable}
    for path in (path for folder in folders for path in folder.glob("python3.[0-9]*")):
        if re.fullmatch(r"python3\.\d+", path.name):
            ask = [str(path), "-c", "import ensurepip, sys, venv; print(*sys.version_info[:2])"]
            asked = subprocess.run(ask, capture_output=True, text=True, env=ENVIRON)
            if asked.returncode == 0:
                major, minor = map(int, asked.stdout.split())
                found.setdefault((major, minor), str(path))
    return sorted(item for item in found.items() if item[0] >= (3, 10))


def empty(python: str | Path, folder: Path) -> Path:
    """Make an empty environment of some interpreter, and return its own."""
    run(python, "-m", "venv", "--without-pip", folder, folder=folder.parent)
    return folder / "bin" / "python"


def install(python: Path, wheel: Path, *options: str) -> None:
    """Install a wheel, and nothing else, into an environment which has no pip of its own."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", *options, wheel, folder=wheel.parent)


def test_wheel_holds_the_module_once(wheel: Path) -> None:
    """The wheel holds the module, once, as a package that is marked as typed, and its metadata."""
    files = contents(wheel)
    assert sorted(files) == [
        "ProxyPatternPool/__init__.py",
        "ProxyPatternPool/py.typed",
        f"{METADATA}/METADATA",
        f"{METADATA}/RECORD",
        f"{METADATA}/WHEEL",
        f"{METADATA}/licenses/LICENSE",
    ]
    assert files["ProxyPatternPool/__init__.py"] == MODULE.read_bytes()
    assert files["ProxyPatternPool/py.typed"] == b""


def test_sdist_holds_the_whole_project(dist: Path, tree: Path) -> None:
    """Whoever has the sdist has all of the project: tests, docs and examples too."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert names == files | {"PKG-INFO"}


def test_sdist_builds_the_wheel_that_the_tree_builds(wheel: Path, tree: Path, tmp_path: Path) -> None:
    """The wheel built from the sdist and the one built straight from the tree are the same file."""
    run(*BUILD, "--wheel", "--outdir", tmp_path, tree, folder=tmp_path)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_metadata(metadata: Message) -> None:
    """Name, version, licence, authors and links are told; every requirement belongs to an extra."""
    assert (metadata["Name"], metadata["Version"]) == ("ProxyPatternPool", ppp.__version__)
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("CC0-1.0", ">=3.10")
    assert metadata["Author"] == "ProxyPatternPool contributors"
    assert set(metadata.get_all("Provides-Extra", [])) == {"local", "demo"}
    requirements = metadata.get_all("Requires-Dist", [])
    assert [line for line in requirements if "extra ==" not in line] == []
    local = {re.split(r"\W", line)[0] for line in requirements if re.search(r"extra == .local.", line)}
    assert local == {"werkzeug", "gevent", "eventlet"}
    links = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert set(links) == {"Documentation", "Source", "Issues", "Changelog"}


def test_links_work_on_the_index(metadata: Message) -> None:
    """Each link of the README as the index shows it is a whole address, of a file that exists."""
    links = re.findall(r"\]\(([^)]+)\)", str(metadata.get_payload()))
    (source,) = (line[8:] for line in metadata.get_all("Project-URL", []) if line.startswith("Source, "))
    files = [link.removeprefix(f"{source}/blob/main/") for link in links if link.startswith(source)]
    assert len(files) > 5
    assert [name for name in files if not (ROOT / name.partition("#")[0]).is_file()] == []
    assert [link for link in links if re.match(r"https://|#", link) is None] == []


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_readme_runs_in_an_empty_environment(which: str, wheel: Path, tmp_path: Path) -> None:
    """The wheel installs on the oldest and the newest Python found, and each example of the README runs."""
    version, python = pythons()[0 if which == "oldest" else -1]
    interpreter = empty(python, tmp_path / "venv")
    install(interpreter, wheel)
    program = (
        "import importlib.metadata, sys, ProxyPatternPool as ppp;"
        "print(*sys.version_info[:2], ppp.__version__, importlib.metadata.version('ProxyPatternPool'))"
    )
    shown = run(interpreter, "-I", "-c", program, folder=tmp_path).split()
    assert shown == [*map(str, version), ppp.__version__, ppp.__version__]
    texts = [block.code for block in pages.blocks(ROOT / "README.md") if block.language == "python"]
    alone = [text for text in texts if "flask" not in text]  # test_readme.py runs the others
    assert len(alone) >= 2
    for number, text in enumerate(alone):
        path = tmp_path / f"program{number}.py"
        path.write_text(text, encoding="utf-8")
        assert run(interpreter, "-I", "-W", "error", path, folder=tmp_path) == ""


def old_wheel(folder: Path) -> Path:
    """Make a stand-in for a wheel of version 11: one top-level module."""
    name = "proxypatternpool-11.9"
    metadata = "Metadata-Version: 2.1\nName: ProxyPatternPool\nVersion: 11.9\n"
    about = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        "ProxyPatternPool.py": "__version__ = '11.9'\n",
        f"{name}.dist-info/METADATA": metadata,
        f"{name}.dist-info/WHEEL": about,
        f"{name}.dist-info/top_level.txt": "ProxyPatternPool\n",
    }
    record = f"{name}.dist-info/RECORD"
    files[record] = "".join(f"{path},,\n" for path in [*files, record])
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def test_upgrade_in_place(wheel: Path, tmp_path: Path) -> None:
    """Upgrading from version 11 replaces its module by the package; going back does the reverse."""
    interpreter = empty(sys.executable, tmp_path / "venv")
    program = "import ProxyPatternPool as ppp; print(ppp.__version__, ppp.__file__)"

    def imported() -> tuple[str, str]:
        version, path = run(interpreter, "-I", "-c", program, folder=tmp_path).split()
        return version, Path(path).relative_to(site).as_posix()

    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    old = old_wheel(tmp_path)
    install(interpreter, old)
    assert imported() == ("11.9", "ProxyPatternPool.py")  # its bytecode is left lying about, too
    install(interpreter, wheel, "--upgrade")
    assert imported() == (ppp.__version__, "ProxyPatternPool/__init__.py")
    assert not (site / "ProxyPatternPool.py").exists()
    install(interpreter, old)
    assert imported() == ("11.9", "ProxyPatternPool.py")
    assert not (site / "ProxyPatternPool").exists()


def mypy(python: Path, folder: Path, program: str, expect: int) -> list[int]:
    """Return the lines in which mypy finds an error in a user's program."""
    command = (sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", python)
    output = run(*command, "--cache-dir", folder / "cache", program, folder=folder, expect=expect)
    found = re.findall(r"^(\S+?):(\d+): error:", output, flags=re.MULTILINE)
    assert {name for name, _ in found} <= {program}, output
    return sorted({int(line) for _, line in found})


def pyright(python: Path, folder: Path, program: str, expect: int) -> list[int]:
    """Return the lines in which pyright finds an error in a user's program."""
    command = (sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", python)
    output = run(*command, program, folder=folder, expect=expect)
    found = json.loads(output[output.index("{") :])["generalDiagnostics"]
    assert {Path(error["file"]).name for error in found} <= {program}, output
    return sorted({error["range"]["start"]["line"] + 1 for error in found if error["severity"] == "error"})


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_users_program_is_typed(checker: Checker, wheel: Path, tmp_path: Path) -> None:
    """A type checker passes a user's right program, and reports each mistake of a wrong one, nothing else."""
    python = empty(sys.executable, tmp_path / "venv")
    install(python, wheel)
    for program in PROGRAMS.glob("*.py"):  # away from the tree, so that only the wheel can be found
        shutil.copy(program, tmp_path)
    assert checker(python, tmp_path, "right.py", 0) == []
    lines = (PROGRAMS / "wrong.py").read_text(encoding="utf-8").splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if line.endswith("# wrong")]
    assert checker(python, tmp_path, "wrong.py", 1) == wrong


def test_make_build_is_quiet(tree: Path, tmp_path: Path) -> None:
    """`make build` leaves two distributions that the index accepts, and says nothing if all is well."""
    folder = tmp_path / "workshop"
    shutil.copytree(tree, folder)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "check-wheel-contents"):
        program = Path(sys.executable).parent / name
        (programs / name).write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
        (programs / name).chmod(0o755)
    for group in ("pip", "build"):  # this environment's packages count as set up already
        (programs.parent / f".stamp-{group}").touch()
    make = ("make", "--no-print-directory", "build")
    assert run(*make, folder=folder) == ""
    assert sorted(path.suffix for path in (folder / "dist").iterdir()) == [".gz", ".whl"]
    (folder / "tests" / "typing" / "py.typed").unlink()
    assert "py.typed" in run(*make, folder=folder, expect=2)
