"""Checksums of what a store keeps: a flipped bit must not pass for a number that was measured.

Texts are taken as the bytes that the file has, since damaged ones may be no texts any more.
"""

import zlib

__all__ = ["piece_checksum", "state_checksum"]


def piece_checksum(run: object, name: bytes | None, step: object, rows: bytes | None) -> int:
    """CRC-32 of the rows of a table at a step, and of whose they are."""
    return zlib.crc32(
        rows or b"", zlib.crc32(b"%d %b %d " % (_whole(run), name or b"", _whole(step)))
    )


def state_checksum(run: object, step: object, state: bytes | None) -> int:
    """CRC-32 of what a run can go on from, and of whose it is."""
    return zlib.crc32(state or b"", zlib.crc32(b"%d %d " % (_whole(run), _whole(step))))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -2
