"""What this machine has: processor, memory, GPUs, disk.  Read from the system; torch is not needed.

Each function takes the root of the file system, so that tests can lay out a machine of their own.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
# x86: AVX-512 and AMX; ARM: the flag's own name.
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})


@dataclass(frozen=True, slots=True)
class Processor:
    """The cores that this process may use; ``has_bfloat16`` is None where the system does not say."""

    cores: int
    has_bfloat16: bool | None


def processor(root: Path = ROOT) -> Processor:
    """Return what the processor can do."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    described = re.search(r"^(?:flags|Features)\s*:(.*)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    if described is None:
        return Processor(usable, None)
    return Processor(usable, bool(_BFLOAT16_FLAGS & set(described[1].split())))


def available_memory_bytes(root: Path = ROOT) -> int | None:
    """Return how much memory can still be had, by the system and by the control group; None if unknown."""
    found = []
    if free := re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE):
        found.append(int(free[1]) * 1024)
    group = root / "sys/fs/cgroup"
    limit, used = _text(group / "memory.max").strip(), _text(group / "memory.current").strip()
    if limit.isdecimal() and used.isdecimal():
        found.append(max(0, int(limit) - int(used)))
    return min(found, default=None)


def gpus(root: Path = ROOT) -> list[str]:
    """Return the names of the NVIDIA GPUs that the driver knows."""
    described = [_text(path) for path in sorted(root.glob("proc/driver/nvidia/gpus/*/information"))]
    return [
        m[1].strip() if (m := re.search(r"^Model:(.*)$", one, re.MULTILINE)) else "GPU" for one in described
    ]


def free_disk_bytes(folder: Path) -> int:
    """Return the free space where *folder* is, or will be made; raises OSError."""
    return shutil.disk_usage(nearest_existing(folder)).free


def nearest_existing(path: Path) -> Path:
    """Return *path*, or the nearest folder above it that exists."""
    return next((one for one in (path, *path.parents) if one.exists()), Path(path.anchor))


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text("utf-8", "replace")
    return ""
