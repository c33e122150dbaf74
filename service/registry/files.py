"""What a registered model consists of: safetensors and JSON by name. Nothing else is sent, fetched or opened."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from service.errors import Refused

REQUIRED = ("experiment.json", "model.safetensors")
ALLOWED = (*REQUIRED, "metrics.json", "signature.json")


def checked(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 of a model's folder. Raises Refused naming the file that must not, or must, be there."""
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for name in found:
        if name not in ALLOWED:
            raise Refused(f"{folder / name}: a model is safetensors and JSON only: {', '.join(ALLOWED)}")
    for name in REQUIRED:
        if name not in found:
            raise Refused(f"{folder / name}: is missing")
    for name in found:
        _check_content(folder / name)
    return {name: sha256(folder / name) for name in found}


def _check_content(file: Path) -> None:
    """A name says nothing about a file: a pickle called .safetensors is refused here."""
    from safetensors import SafetensorError, safe_open

    try:
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        else:
            with safe_open(file, framework="numpy") as weights:
                weights.keys()
    except (SafetensorError, OSError, ValueError) as error:
        raise Refused(f"{file}: is no {file.suffix.removeprefix('.')} file ({error})") from None


def sha256(file: Path) -> str:
    """The hash of a file's content, in hexadecimal."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def intact(folder: Path, hashes: Mapping[str, str]) -> bool:
    """Whether the folder holds exactly these files with exactly this content."""
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != set(hashes):
        return False
    return all(sha256(folder / name) == expected for name, expected in hashes.items())


def fetched(target: Path, hashes: Mapping[str, str], fetch: Callable[[str, Path], Path]) -> Path:
    """`target`, holding exactly the files of `hashes`; `fetch(name, into)` brings one and says where it is.

    Whole or not at all. Raises Refused where a file may not be part of a model, or is not what was registered.
    """
    if not set(REQUIRED) <= set(hashes) <= set(ALLOWED):
        strange = sorted(set(hashes).symmetric_difference(REQUIRED) - set(ALLOWED[2:]))
        raise Refused(f"{target.name}: was not registered by fusegpt as safetensors and JSON ({', '.join(strange)})")
    if intact(target, hashes):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as own:
        writing, arrived = Path(own) / "model", Path(own) / "arrived"
        writing.mkdir()
        arrived.mkdir()
        for name in hashes:
            fetch(name, arrived).rename(writing / name)
        if not intact(writing, hashes):
            raise Refused(f"{target.name}: the files in the registry are not those that were registered (SHA-256)")
        return _placed(writing, target, hashes)


def _placed(writing: Path, target: Path, hashes: Mapping[str, str]) -> Path:
    """Move the finished folder to its place; another process may do the same at this moment."""
    if target.exists() and not intact(target, hashes):
        shutil.rmtree(target, ignore_errors=True)
    try:
        writing.rename(target)
    except OSError:
        if not intact(target, hashes):
            raise
    return target
