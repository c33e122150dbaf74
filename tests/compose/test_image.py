"""The image has all that its containers run, as far as can be told without building it."""

from __future__ import annotations

import ast
import fnmatch
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from benchmarks._cluster.compose_file import ROOT, Service, instructions, services

OURS = [s for s in services({"POSTGRES_PASSWORD": "x", "RAY_AUTH_TOKEN": "x"}).values() if s.is_ours]
PACKAGES = {"fusegpt": ROOT / "src/fusegpt", "experiments": ROOT / "experiments", "service": ROOT / "service"}
# Libraries of the system in python:3.11-slim-bookworm: of Debian's libc6, libstdc++6, libgcc-s1 and zlib1g.
IN_THE_BASE = (
    r"ld-linux-x86-64\.so\.2|lib(c|m|dl|rt|util|pthread|resolv)\.so\.\d+|libstdc\+\+\.so\.6|libgcc_s\.so\.1|libz\.so\.1"
)
# Imported where it is there: a devkit that its user installs, or what only developers have.
OPTIONAL = {"navsim", "nuplan", "nuscenes", "pyquaternion", "laspy"}


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def project() -> dict[str, Any]:
    read: dict[str, Any] = pyproject()["project"]
    return read


def asked() -> list[Requirement]:
    """What the image installs by name."""
    extras = project()["optional-dependencies"]
    return [Requirement(one) for one in [*project()["dependencies"], *extras["openvino"], *extras["grpc"]]]


def runs() -> list[str]:
    return [rest for name, rest in instructions() if name == "RUN"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imports() -> Iterator[tuple[Path, str]]:
    """Every top-level module that our packages import, wherever in a file."""
    for folder in PACKAGES.values():
        for file in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    yield from ((file, alias.name.partition(".")[0]) for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield file, node.module.partition(".")[0]


def installed() -> set[str]:
    """The distributions in the image: those asked for, and those that they cannot be without."""
    known, waiting = (
        set[tuple[str, str]](),
        [(normal(one.name), extra) for one in asked() for extra in ("", *one.extras)],
    )
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in known:
            continue
        known.add((name, extra))
        try:
            needs = [Requirement(need) for need in importlib.metadata.requires(name) or []]
        except importlib.metadata.PackageNotFoundError:  # an extra that developers may leave out
            continue
        needed = [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
        waiting += [(normal(need.name), extra) for need in needed for extra in ("", *need.extras)]
    return {name for name, _ in known}


@pytest.mark.parametrize("service", OURS, ids=[service.name for service in OURS])
def test_every_program_that_a_service_names_is_one_that_the_image_installs(service: Service) -> None:
    named = {normal(one.name) for one in asked()}
    entries = [
        entry for one in importlib.metadata.distributions() if normal(one.name) in named for entry in one.entry_points
    ]
    scripts = {entry.name for entry in entries if entry.group == "console_scripts"} | set(project()["scripts"])
    for command in (service.command, service.check):
        assert command[0] in scripts | {"python"}, command[0]
        assert shutil.which(command[0], path=str(Path(sys.executable).parent))


def test_every_import_is_of_what_the_image_installs() -> None:
    of, has = importlib.metadata.packages_distributions(), installed()
    ours = {*PACKAGES, *sys.stdlib_module_names, *OPTIONAL}
    missing = {
        f"{file.relative_to(ROOT)}: {name}"
        for file, name in imports()
        if name not in ours and not {normal(one) for one in of.get(name, [name])} & has
    }
    assert not missing


def test_the_image_brings_every_file_that_a_package_reads() -> None:
    data = pyproject()["tool"]["setuptools"]["package-data"]
    kept = [f"{package.replace('.', '/')}/{pattern}" for package, patterns in data.items() for pattern in patterns]
    for name, folder in PACKAGES.items():
        for file in folder.rglob("*"):
            path = f"{name}/{file.relative_to(folder)}"
            if file.is_dir() or file.suffix in (".py", ".pyc", ".md"):
                continue
            assert any(fnmatch.fnmatch(path, pattern) for pattern in kept), f"{path} is not in package-data"


def test_what_the_dockerfile_copies_is_there_and_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for name, rest in instructions() if name == "COPY" for source in rest.split()[:-1]}
    assert copied == sent
    assert all((ROOT / source).exists() for source in copied)


def test_every_version_is_pinned_and_nothing_runs_as_root() -> None:
    pips = [part for line in runs() for part in re.split(r"&&|;", line) if "pip install" in part]
    assert pips
    assert all("-c constraints.txt" in part for part in pips)
    assert all(f"extras['{extra}']" in runs()[0] for extra in ("openvino", "grpc"))
    names = [name for name, _ in instructions()]
    assert dict(instructions())["USER"] == "fusegpt"
    assert "RUN" not in names[names.index("USER") :]
    assert dict(instructions())["FROM"].startswith("python:3.11-slim")


def test_a_volume_s_folder_belongs_to_the_user_of_the_image() -> None:
    owned = next(line for line in runs() if "install -d -o fusegpt" in line)
    for service in OURS:
        assert all(volume.target in owned for volume in service.volumes if not volume.read_only)


def test_the_wheels_need_no_library_of_the_system_that_the_base_has_not() -> None:
    """But what a GPU's driver brings, and what NVIDIA's libraries open only where there is such hardware."""
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed (Debian: apt-get install binutils)")
    assert not any("apt-get" in line for line in runs())
    site = Path(str(importlib.metadata.distribution("ray").locate_file(""))).resolve()
    files = [path for path in site.rglob("*.so*") if path.is_file()]
    files += [path for path in (site / "ray").rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]
    own = {path.name for path in files}
    missing = {
        library
        for file, library in needed(files)
        if library not in own and not re.fullmatch(IN_THE_BASE, library) and "/nvidia/" not in file
    }
    assert missing <= {"libcuda.so.1", "libOpenCL.so.1"}  # the latter of OpenVINO's plugin for Intel's GPUs


def needed(files: list[Path]) -> Iterator[tuple[str, str]]:
    """(file, a library that it is linked with)."""
    for start in range(0, len(files), 500):
        command = ["readelf", "-dW", *map(str, files[start : start + 500])]
        for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
            if line.startswith("File: "):
                file = line.removeprefix("File: ")
            elif found := re.search(r"\(NEEDED\).*\[(.*)\]", line):
                yield file, found[1]
