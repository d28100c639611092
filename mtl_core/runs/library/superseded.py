"""Artifacts of coarser experiments make way for those that measure the same runs more finely.

    python -m mtl_core.runs.library.superseded FOLDER

removes every artifact below a folder whose place another one there takes (``Kind.coarser``), with
all its seeds; the other's manifest keeps its ids, so that old links lead on.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mtl_core.runs.library import artifacts
from mtl_core.runs.library.artifacts import Artifact

__all__ = ["main", "supersede"]


def supersede(root: Path) -> dict[str, str]:
    """Remove what is superseded below a folder; the ids that were, to those in their place."""
    found, _ = artifacts.scan(root)
    ids: dict[str, str] = {}
    for run, artifact in found.items():
        for coarser in artifact.kind.coarser(artifact.config):
            old = found.get(coarser.id)
            if old is not None and {*old.config.seeds} <= {*artifact.config.seeds}:
                _take_place(artifact, old)
                ids |= dict.fromkeys([coarser.id, *old.former], run)
    return ids


def _take_place(artifact: Artifact, old: Artifact) -> None:
    content = artifacts.content(artifacts.read(artifact.folder))
    former = {**content.former, **old.former, old.config.id: old.config.seeds}
    artifacts.write(artifact.folder, replace(content, former=former))
    artifacts.read(artifact.folder)  # before the old one goes
    shutil.rmtree(old.folder)


def main(arguments: Sequence[str]) -> int:
    """Remove what is superseded below a folder and say how much that was."""
    ids = supersede(Path(arguments[0]))
    print(f"{len(ids)} ids lead to {len(set(ids.values()))} finer artifacts now")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
