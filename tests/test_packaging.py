"""What is built is what users need: complete, typed, with nothing to install beside it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

import ProxyPatternPool as ppp

ROOT = Path(__file__).parents[1]
MODULE = ROOT / "ProxyPatternPool.py"
PROGRAMS = ROOT / "tests" / "typing"
SOURCES = {
    "LICENSE",
    "ProxyPatternPool.py",
    "README.md",
    "pyproject.toml",
    "tests/sdist.py",
    "tests/stubs/__init__.pyi",
}
BUILD = (sys.executable, "-m", "build", "--no-isolation")
Checker = Callable[[Path, Path, str, int], list[int]]
METADATA = f"proxypatternpool-{ppp.__version__}.dist-info"


def run(*command: str | Path, folder: Path, expect: int = 0) -> str:
    """Run a command in a folder, and return its output, errors included, if it ends as expected."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the wheel's files but the list of them, which has no fixed order."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist from the tree, and from that the wheel, as `make build` does."""
    folder = tmp_path_factory.mktemp("dist")
    run(*BUILD, "--outdir", folder, ROOT, folder=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    (path,) = dist.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    return message_from_bytes(contents(wheel)[f"{METADATA}/METADATA"])


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, and nothing else, into an empty environment, and return its interpreter."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    interpreter = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", interpreter)
    run(*pip, "install", "--no-index", "--no-deps", wheel, folder=folder)
    return interpreter


def test_the_wheel_holds_the_module_its_stubs_and_metadata(wheel: Path) -> None:
    """The wheel holds the module, the same again as stubs, and what describes them: nothing else."""
    files = contents(wheel)
    assert sorted(files) == [
        "ProxyPatternPool-stubs/__init__.pyi",
        "ProxyPatternPool.py",
        f"{METADATA}/METADATA",
        f"{METADATA}/WHEEL",
        f"{METADATA}/licenses/LICENSE",
        f"{METADATA}/top_level.txt",
    ]
    assert files["ProxyPatternPool.py"] == files["ProxyPatternPool-stubs/__init__.pyi"] == MODULE.read_bytes()


def test_the_sdist_holds_what_is_under_version_control(sdist: Path) -> None:
    """Whoever has the sdist has all of the project: tests, docs and examples too."""
    listed = run("git", "ls-files", "-z", folder=ROOT).split("\0")
    tracked = {name for name in listed if name and (ROOT / name).exists()}
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= SOURCES
    assert tracked - names == set()


def test_the_sdist_builds_the_wheel_that_the_tree_builds(wheel: Path, tmp_path: Path) -> None:
    """The wheel built from the sdist and the one built straight from the tree are the same."""
    tree = tmp_path / "tree"
    (tree / "tests" / "stubs").mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(ROOT / name, tree / name, follow_symlinks=False)
    run(*BUILD, "--wheel", "--outdir", tmp_path, tree, folder=tmp_path)
    assert contents(tmp_path / wheel.name) == contents(wheel)


def test_the_distributions_pass_the_checks_of_the_index(wheel: Path, sdist: Path) -> None:
    """`twine check --strict` and `check-wheel-contents` find nothing."""
    checked = run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, folder=wheel.parent)
    assert checked.count("PASSED") == 2
    assert "OK" in run(Path(sys.executable).parent / "check-wheel-contents", wheel, folder=ROOT)


def test_the_metadata_says_what_the_project_promises(metadata: Message) -> None:
    """Name, version, licence and Python are as promised, and every requirement belongs to an extra."""
    assert metadata["Name"] == "ProxyPatternPool"
    assert metadata["Version"] == ppp.__version__
    assert metadata["License-Expression"] == "CC0-1.0"
    assert metadata["Requires-Python"] == ">=3.10"
    requirements = metadata.get_all("Requires-Dist", [])
    assert [line for line in requirements if "extra ==" not in line] == []
    local = {re.split(r"\W", line)[0] for line in requirements if re.search(r"extra == .local.", line)}
    assert local == {"werkzeug", "gevent", "eventlet"}


def test_the_installed_version_is_the_modules(python: Path, tmp_path: Path) -> None:
    """`__version__` is the version that the installed distribution has."""
    program = (
        "import importlib.metadata, ProxyPatternPool as ppp;"
        "print(ppp.__version__, importlib.metadata.version('ProxyPatternPool'))"
    )
    assert run(python, "-I", "-c", program, folder=tmp_path).split() == [ppp.__version__] * 2


def test_the_programs_of_the_readme_run_where_nothing_else_is_installed(python: Path, tmp_path: Path) -> None:
    """Each example of the README runs, silently, with the installed wheel alone."""
    readme = Document.parse(str(ROOT / "README.md"), PythonCodeBlockParser())
    programs = [str(block.parsed) for block in readme]
    assert len(programs) >= 2
    for number, program in enumerate(programs):
        path = tmp_path / f"program{number}.py"
        path.write_text(program, encoding="utf-8")
        assert run(python, "-I", "-W", "error", path, folder=tmp_path) == ""


def test_the_module_works_when_copied_alone(tmp_path: Path) -> None:
    """A copy of the one file, without metadata nor site packages, imports and works."""
    shutil.copy(MODULE, tmp_path)
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import ProxyPatternPool as ppp

pool = ppp.Pool(lambda number: [number], max_size=1)
with pool.obj() as held:
    assert held == [0]
pool.shutdown()
proxy = ppp.Proxy(fun=lambda number: [number], max_size=1)
assert proxy[0] == 0
proxy._ret_obj()
proxy._pool.shutdown()
print(ppp.__file__, ppp.__version__)
"""
    shown = run(sys.executable, "-I", "-S", "-B", "-c", program, tmp_path, folder=tmp_path)
    assert shown.split() == [str(tmp_path / MODULE.name), ppp.__version__]


def test_importing_starts_nothing(tmp_path: Path) -> None:
    """Importing starts no thread and imports none of the libraries that scopes need."""
    program = """
import sys, threading
sys.path.insert(0, sys.argv[1])
libraries = {"werkzeug", "gevent", "eventlet", "greenlet"}
import ProxyPatternPool
print(threading.active_count(), sorted(libraries & set(sys.modules)))
"""
    assert run(sys.executable, "-I", "-c", program, ROOT, folder=tmp_path).split() == ["1", "[]"]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Copy the user's programs away from the tree, so that only the installed wheel can be found."""
    for program in PROGRAMS.glob("*.py"):
        shutil.copy(program, tmp_path)
    return tmp_path


def wrong_lines() -> list[int]:
    """Return the numbers of the lines with mistakes."""
    lines = (PROGRAMS / "wrong.py").read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if line.endswith("# wrong")]


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
def test_a_users_program_is_typed(checker: Checker, python: Path, programs: Path) -> None:
    """A user's right program passes the type checker, which knows what `get` gives."""
    assert checker(python, programs, "right.py", 0) == []


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_users_mistakes_are_found(checker: Checker, python: Path, programs: Path) -> None:
    """The type checker reports each of a user's mistakes, a wrong hook first of all, and nothing else."""
    assert checker(python, programs, "wrong.py", 1) == wrong_lines()
