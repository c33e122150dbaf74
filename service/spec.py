"""`JobSpec`: a job as a person writes it, in YAML or JSON, and how it becomes an `Experiment`.

    experiment: fusion_waypoints
    data: {source: kitti, root: /data/kitti}
    set: {training.epochs: 12, model.n_head: 8}
    search: {space: {model.n_embd: {low: 64, high: 512, step: 64}}, algorithm: asha, trials: 32, budget: {hours: 4}}
    resources: {workers_per_trial: 2, gpus_per_worker: 1}

Values follow YAML 1.2, not 1.1: `1e-4` is a number, `no` is a word, and `2011_09_26` and `0001` are names, not numbers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import Field, ValidationError

import experiments
from fusegpt.config import Config, SettingError, closest, explain, flatten
from fusegpt.experiment import Experiment, Resources, SearchConfig

SIZE_LIMIT_BYTES = 256 * 1024

# Groups that a spec writes under their own name, and the fields that each may have (data's depend on its source).
_SECTIONS: dict[str, Iterable[str]] = {"search": SearchConfig.model_fields, "resources": Resources.model_fields}


class SpecError(SettingError):
    """A spec cannot be read; the message names the file, and the line or the key."""


class JobSpec(Config):
    """What a person asks for. Every part but `experiment` changes what the experiment's own file says."""

    experiment: str = Field(min_length=1, description="The experiment's name.")
    name: str = Field(default="", description="Name of the run; made from the time when left out.")
    data: dict[str, Any] = Field(default={}, description="Where driving comes from: source and its settings.")
    set: dict[str, Any] = Field(default={}, description="Any setting, by dotted key.")
    search: dict[str, Any] = Field(default={}, description="What is searched, how, and for how long.")
    resources: dict[str, Any] = Field(default={}, description="What a trial takes of the cluster.")

    def settings(self) -> dict[str, Any]:
        """Everything that the spec changes, by dotted key. Raises SpecError for a key that is written twice."""
        written: dict[str, Any] = {}
        for section in ("data", "search", "resources"):
            written.update(_dotted(section, getattr(self, section)))
        for key, value in self.set.items():
            for dotted, inner in (flatten({key: value}) if not _is_space(key) else {key: value}).items():
                if dotted in written:
                    raise SpecError(f"{dotted}: is written twice, under {dotted.split('.')[0]} and under set; keep one")
                written[dotted] = inner
        return written


def _dotted(section: str, group: Mapping[str, Any]) -> dict[str, Any]:
    space = {"search.space": group["space"]} if section == "search" and "space" in group else {}
    rest = {key: value for key, value in group.items() if f"{section}.{key}" not in space}
    return {**flatten(rest, f"{section}."), **space}


def _is_space(key: str) -> bool:
    """A search domain is one value, though it is written as a mapping."""
    return key == "search.space" or key.startswith("search.space.")


def read_spec(path: Path) -> JobSpec:
    """The spec in a .yaml, .yml or .json file. Raises SpecError naming the file and the line or the key."""
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise SpecError(f"{path}: a spec is a .yaml or a .json file")
    try:
        size, text = path.stat().st_size, ""
        if size <= SIZE_LIMIT_BYTES:
            text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SpecError(f"{path}: is no text in UTF-8") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror})") from None
    if size > SIZE_LIMIT_BYTES:
        raise SpecError(f"{path}: has {size} bytes; a spec has {SIZE_LIMIT_BYTES} at most")
    return parse_spec(text, origin=str(path))


def parse_spec(text: str, origin: str = "spec") -> JobSpec:
    """The spec in a text. `origin` is what errors call it.

    JSON is read as the YAML that it is: signs beyond U+FFFF must stand as themselves, not as a pair of escapes,
    and a key has 1,024 signs at most as it is written.
    """
    written = _load(text, origin)
    if not isinstance(written, dict):
        raise SpecError(f"{origin}: must be a mapping that names an experiment, e.g. experiment: fusion_waypoints")
    _refuse_unknown(written, JobSpec.model_fields, "", origin)
    for section, fields in _SECTIONS.items():
        if isinstance(written.get(section), dict):
            _refuse_unknown(written[section], fields, f"{section}.", origin)
    try:
        return JobSpec.model_validate(written)
    except ValidationError as error:
        lines = explain(error).replace("valid dictionary", "mapping of settings").splitlines()
        raise SpecError("\n".join(f"{origin}: {line}" for line in lines)) from None


def resolve(spec: JobSpec, extra_set: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment that the spec describes, with `extra_set` (by dotted key) on top.

    Raises SettingError naming the dotted key, or the experiment where there is none of that name.
    """
    return experiments.load(spec.experiment).override({**spec.settings(), **(extra_set or {})})


def parse_assignment(text: str) -> tuple[str, Any]:
    """Read training.epochs=3 as ("training.epochs", 3). The value is read as in a spec; nothing is an empty text."""
    key, sign, value = text.partition("=")
    key = key.strip()
    if not sign or not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", key):
        raise SpecError(f"{text!r}: write KEY=VALUE with a dotted key, e.g. training.epochs=3")
    return key, _load(value, key) if value.strip() else ""


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Several assignments; of two for one key, the later wins, as on any command line."""
    return dict(parse_assignment(text) for text in texts)


def _refuse_unknown(written: Mapping[Any, Any], known: Iterable[str], prefix: str, origin: str) -> None:
    known = list(known)
    for key in written:
        if key not in known:
            hint = closest(str(key), known) or f"; there are {', '.join(known)}"
            raise SpecError(f"{origin}: {prefix}{key}: is no key of a spec{hint}")


def _load(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}" if mark else ""
        raise SpecError(f"{origin}{where}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{origin}: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise SpecError(f"{origin}: is nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """YAML 1.2's reading of plain values; no key twice; no aliases, which let a small file unfold into a huge one."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own attribute)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            _stop("aliases (*name) are not read here; write the value out", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                _stop("a key must be a word", key_node.start_mark)
            if key_node.value in seen:
                _stop(f"{key_node.value} is written twice", key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _stop(problem: str, mark: yaml.Mark) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


# Leading zeros and underscores make a name (KITTI's 0001 and 2011_09_26), where YAML 1.1 would read a number or a date.
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
