"""Whether this CPU multiplies bfloat16: a network is faster in it then, and slower where not."""

from __future__ import annotations

from pathlib import Path

INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")
"""As Linux calls them, on x86 and on Arm."""


def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether the CPU has one of ``INSTRUCTIONS``; False where that is not told."""
    try:
        words = set(cpuinfo.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return False
    return not words.isdisjoint(INSTRUCTIONS)


MULTIPLIES_BFLOAT16 = multiplies_bfloat16()
