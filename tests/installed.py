"""The package installed into an environment of its own, as ``pip install .`` does it."""

import os
import site
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

__all__ = ["ROOT", "Environment", "install"]

ROOT = Path(__file__).resolve().parents[1]


class Environment(NamedTuple):
    folder: Path  # of the environment
    elsewhere: Path  # a folder with nothing in it

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.folder)}))

    def run(self, program: str, *arguments: str, **environment: str) -> str:
        """What a program of the environment prints, started from a folder with nothing in it."""
        scripts = Path(sysconfig.get_path("scripts", "venv", {"base": str(self.folder)}))
        hidden = ("PYTHON", "MTL_", "VIRTUAL_ENV")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        done = subprocess.run(
            [str(scripts / program), *arguments],
            capture_output=True,
            text=True,
            cwd=self.elsewhere,
            env={**kept, "MTL_DATA_DIR": str(self.elsewhere), **environment},
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def install(folder: Path, elsewhere: Path) -> Environment:
    """A new environment with the package, which borrows all else from the tests' own."""
    environment = Environment(folder, elsewhere)
    venv.create(folder, with_pip=False)
    borrowed = environment.packages / "borrowed.pth"
    borrowed.write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    quiet = ("--quiet", "--disable-pip-version-check")
    environment.run(
        "python", "-m", "pip", "install", *quiet, "--no-deps", "--no-build-isolation", str(ROOT)
    )
    return environment
