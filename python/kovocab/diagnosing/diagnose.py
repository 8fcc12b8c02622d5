"""Doctor: the machine, the engine and the packages, as a person reads them or as JSON."""

import ast
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kovocab
from kovocab.diagnosing.extras import USES, known, packages
from kovocab.machine.memory import available, bound, total
from kovocab.machine.threads import threads_of

Found = dict[str, Any]

_BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "firefox",
    "safari",
)
_FEATURES = ("sse4_2", "avx2", "bmi2", "avx512f", "avx512bw", "asimd", "sve")
_QUERY = ("name", "memory.total", "memory.free", "driver_version")
_SECONDS = 10
"""How long a driver has to answer."""


def diagnose(*, gpu: bool = False) -> Found:
    """Look at all of it; what cannot be found out is None, and nothing fails.

    Args:
        gpu: Load torch, and say what it sees.
    """
    return {
        "kovocab": version("kovocab"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "engine": _engine(),
        "processor": _processor(),
        "memory": {"total": total(), "available": available(), "used_by_default": bound(None)},
        "disk_free": shutil.disk_usage(".").free,
        "gpus": _gpus(),
        "torch": _torch() if gpu else None,
        "browser": next((name for name in _BROWSERS if shutil.which(name)), None),
        "hub": _hub(),
        "packages": [_package(each) for each in packages()],
        "extras": {
            extra: {"for": USES[extra], "packages": [_package(each) for each in packages(extra)]} for extra in known()
        },
    }


def told(found: Found) -> str:
    """What was found, as lines."""
    memory, processor, engine = found["memory"], found["processor"], found["engine"]
    lines = [
        f"kovocab {found['kovocab']}, Python {found['python']}, {found['system']}",
        f"engine      {_engine_told(engine)}",
        f"processor   {processor['name'] or 'unknown'}: {processor['threads']} of {processor['all']} threads"
        + (f"; {', '.join(processor['features'])}" if processor["features"] else ""),
        f"memory      {_size(memory['total'])}, {_size(memory['available'])} of it free; "
        f"a verb takes {_size(memory['used_by_default'])} without --memory",
        f"disk        {_size(found['disk_free'])} free here",
        f"GPU         {_gpus_told(found)}",
        f"browser     {found['browser'] or 'none found: curate tells its address, for a browser elsewhere'}",
        f"hub         {_hub_told(found['hub'])}",
        f"packages    {_packages_told(found['packages'])}",
        "",
    ]
    width = max(map(len, found["extras"]), default=0)
    for extra, said in found["extras"].items():
        wrong = [each["said"] for each in said["packages"] if not each["fits"]]
        there = "yes" if not wrong else "no "
        lines.append(f"{there}  {extra:<{width}}  {said['for']}")
        if wrong:
            lines.append(f"     {'':<{width}}  {'; '.join(wrong)}: pip install 'kovocab[{extra}]'")
    return "\n".join(lines)


def _engine() -> Found:
    """How the engine was built, and whether it has all that this version calls: one of before lacks something."""
    try:
        from kovocab import _core
    except ImportError as error:
        return {"build": None, "lacks": None, "error": str(error).splitlines()[0]}
    wanted = _names(Path(kovocab.__file__).with_name("_core.pyi"))
    return {"build": _core.build_profile, "lacks": sorted(wanted - set(dir(_core))), "error": None}


def _names(stub: Path) -> set[str]:
    """What a stub says that its module has."""
    try:
        body = ast.parse(stub.read_text(encoding="utf-8")).body
    except OSError:
        return set()
    lists = [node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    return set(ast.literal_eval(lists[0])) if lists else set()


def _engine_told(engine: Found) -> str:
    if engine["error"] is not None:
        return f"cannot be loaded ({engine['error']}): install kovocab again"
    if engine["lacks"]:
        return f"of another version: it lacks {', '.join(engine['lacks'])}; install kovocab again"
    slow = "" if engine["build"] == "release" else ", which is ten times as slow; `make build` makes a release"
    return f"of this version, built as {engine['build']}{slow}"


def _processor() -> Found:
    said = _read("/proc/cpuinfo")
    name = re.search(r"^(?:model name|Model)\s*: (.+)$", said, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", said, re.MULTILINE)
    there = set(flags[1].split()) if flags else set()
    return {
        "name": name[1].strip() if name else platform.processor() or None,
        "all": os.cpu_count(),
        "threads": threads_of(None),
        "features": [feature for feature in _FEATURES if feature in there],
    }


def _gpus() -> list[Found] | None:
    """What NVIDIA's driver says; None where there is none."""
    if (command := shutil.which("nvidia-smi")) is None:
        return None
    try:
        said = subprocess.run(
            [command, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=_SECONDS, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [[cell.strip() for cell in line.split(",")] for line in said.splitlines()]
    return [
        {"name": row[0], "memory": _mebibytes(row[1]), "free": _mebibytes(row[2]), "driver": row[3]}
        for row in rows
        if len(row) == len(_QUERY)
    ]


def _mebibytes(said: str) -> int | None:
    return int(said) << 20 if said.isdecimal() else None


def _gpus_told(found: Found) -> str:
    gpus, torch = found["gpus"], found["torch"]
    lines = [
        f"{gpu['name']}, {_size(gpu['memory'])}, {_size(gpu['free'])} of it free, driver {gpu['driver']}"
        for gpu in gpus or []
    ] or ["none that NVIDIA's driver tells of" if gpus is not None else "no NVIDIA driver"]
    if torch is not None:
        sees = ", ".join(torch["devices"]) or "no GPU"
        lines.append(torch["error"] or f"torch {torch['version']}, built for {torch['built_for']}, sees {sees}")
    elif gpus:
        lines.append("--gpu says what torch sees")
    return f"\n{'':<12}".join(lines)


def _torch() -> Found:
    try:
        import torch

        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "processors"
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        able = [".".join(map(str, torch.cuda.get_device_capability(index))) for index in range(count)]
        names = [f"{torch.cuda.get_device_name(index)} (capability {able[index]})" for index in range(count)]
    except Exception as error:  # a torch that is broken is what a doctor is asked about
        why = f"torch cannot be loaded: {' '.join(str(error).split()) or type(error).__name__}"
        return {"version": None, "built_for": None, "devices": [], "error": why}
    return {"version": torch.__version__, "built_for": built, "devices": names, "error": None}


def _hub() -> Found:
    """Whether there is a token, and never which."""
    from huggingface_hub import constants, get_token

    return {"token": get_token() is not None, "offline": bool(constants.HF_HUB_OFFLINE)}


def _hub_told(hub: Found) -> str:
    token = "a token is set" if hub["token"] else "no token: push and private models want one (`hf auth login`)"
    return token + ("; HF_HUB_OFFLINE is set, so that nothing is asked of it" if hub["offline"] else "")


def _package(package: Any) -> Found:
    return {
        "name": package.name,
        "wanted": package.wanted,
        "found": package.found,
        "fits": package.fits,
        "said": str(package),
    }


def _packages_told(found: list[Found]) -> str:
    wrong = [each["said"] for each in found if not each["fits"]]
    return "; ".join(wrong) + ": install kovocab again" if wrong else ", ".join(each["said"] for each in found)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:,.1f} GB"
