"""Additions: more seeds for an artifact that is there already."""

from dataclasses import replace

from mtl_core.errors import InputError
from mtl_core.runs.library.artifacts import Artifact, Content, content

__all__ = ["check_data", "kept"]


def kept(artifact: Artifact) -> Content | None:
    """What stays of an artifact when seeds are added to it: its runs that have reached their end.

    None where there are none.
    """
    if artifact.unfinished is None:
        return content(artifact)
    rows = artifact.table(artifact.kind.main)
    last = rows.groupby("seed")["step"].max()
    ended = last.index[last == artifact.kind.steps(artifact.config)]
    seeds = [int(seed) for seed in ended]
    return replace(content(artifact, seeds), error=None) if seeds else None


def check_data(artifact: Artifact, fingerprint: str) -> None:
    """Raises InputError when runs of an artifact were made on other data than this."""
    for group in artifact.made:
        before = group.get("data_fingerprint", "unknown")
        if before not in ("unknown", fingerprint):
            seeds = " ".join(map(str, group["seeds"]))
            raise InputError(
                f"its seeds {seeds} in {artifact.folder} were made on other data (fingerprint "
                f"{before}) than there is now ({fingerprint}); remove that folder, or choose "
                "another with --out"
            )
