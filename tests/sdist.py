"""How the sdist is made: whole, where setuptools alone leaves out docs, examples and half of the tests."""

from pathlib import Path

from setuptools.command.sdist import sdist

PARTS = (".ci", ".github", ".gitignore", ".pre-commit-config.yaml", "Makefile", "docs", "tests")
GENERATED = {"__pycache__", "site"}


class CompleteSdist(sdist):
    """Add the parts of the project that building a wheel does not need."""

    def make_distribution(self) -> None:
        parts = [path for part in PARTS for path in (Path(part), *Path(part).rglob("*"))]
        self.filelist.extend(
            str(path) for path in parts if path.is_file() and GENERATED.isdisjoint(path.parts)
        )
        self.filelist.sort()
        self.filelist.remove_duplicates()
        super().make_distribution()
