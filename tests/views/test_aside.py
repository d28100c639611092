"""The process beside the server's: it has PyTorch, the server has not; its death is survived."""

import math
import os
import signal
import subprocess
import sys

import pytest

from mtl_core import InputError
from mtl_core.optimizers.tools.plane import updates
from mtl_core.views.aside import aside

ASIDE = """
import os, sys
from mtl_core.optimizers.tools.plane import updates
from mtl_core.views.aside import aside
(found,) = aside(updates, [(1.0, 0.0), (0.0, 1.0)], (1.0, 1.0), ["mgda"], 0)
print(found.weights, "torch" in sys.modules, aside(os.getpid) == os.getpid())
"""


def test_what_needs_pytorch_is_computed_without_it_here() -> None:
    done = subprocess.run([sys.executable, "-c", ASIDE], capture_output=True, text=True, check=True)
    assert done.stdout == "(0.5, 0.5) False False\n"


def test_a_process_that_died_is_replaced_and_errors_come_through() -> None:
    first = aside(os.getpid)
    assert aside(os.getpid) == first != os.getpid()
    os.kill(first, signal.SIGKILL)
    second = aside(os.getpid)
    assert second not in (first, os.getpid())

    with pytest.raises(InputError, match="pcgard"):
        aside(updates, [(1.0, 0.0), (0.0, 1.0)], (1.0, 1.0), ["pcgard"], 0)
    assert aside(math.sqrt, 4.0) == 2.0
    assert aside(os.getpid) == second, "an error ends no process"
