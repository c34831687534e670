"""Frozen dataclasses that are read from, and written to, YAML.

Each stage keeps its own configuration beside the code that reads it:

>>> from patchcxr.config import config, from_dict
>>> @config
... class VoteConfig:
...     patches: int = 100
>>> from_dict(VoteConfig, {"patches": 25})
VoteConfig(patches=25)

Unknown keys and values of the wrong type are refused with a
:class:`~patchcxr.errors.ConfigError` that names the key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Final, TypeVar, dataclass_transform

from patchcxr.errors import ConfigError

T = TypeVar("T")

YAML_FAULTS: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What PyYAML raises, beside its own errors, on values that are not of the kind they claim, and on deep nesting."""

_LONGEST_SHOWN: Final = 300
_MOST_FAULTS: Final = 20
_LARGEST_FILE: Final = 1_000_000
"""Bytes of a configuration file."""
_MOST_VALUES: Final = 20_000
"""Values in a configuration file with its aliases written in full."""
_WHOLE_NUMBERS: Final = range(-(2**63), 2**64)
_LONGEST_NUMBER: Final = 100
"""Characters of a whole number in a YAML file, in any notation."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen, keyword-only dataclass that refuses unknown keys."""
    made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    made.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return made


def from_dict(cls: type[T], values: dict[str, Any], where: str = "configuration") -> T:
    """Build a configuration from plain values.

    Raises
    ------
    ConfigError
        If a key is unknown or missing, or a value has the wrong type. The
        message lists up to 20 faults, each with the key, what was got and what
        was expected.
    """
    import pydantic

    try:
        return pydantic.TypeAdapter(cls).validate_python(values)
    except pydantic.ValidationError as error:
        faults = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"]) or "(top level)"
            if fault["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
                faults.append(f"{key}: unknown key; remove it or check its spelling{_known(cls, fault['loc'])}")
            elif fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
                faults.append(f"{key}: missing; add it")
            else:
                faults.append(f"{key}: got {_short(fault['input'])}; {fault['msg']}")
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise ConfigError(f"{where}: " + "; ".join(faults[:_MOST_FAULTS]) + more) from None


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # a number of more digits than Python writes, or a value that holds itself
        return f"a {type(value).__name__} that cannot be written out"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _known(cls: type, where: tuple[int | str, ...]) -> str:
    """The keys that a configuration has where an unknown one was found."""
    if len(where) != 1 or not dataclasses.is_dataclass(cls):
        return ""
    return f" (it has {', '.join(field.name for field in dataclasses.fields(cls))})"


def to_dict(value: Any) -> Any:
    """Plain values (dicts, lists, strings, numbers) of a configuration."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_dict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it, group by group.

    >>> merge({"vote": {"patches": 100, "seed": 0}}, {"vote": {"patches": 25}})
    {'vote': {'patches': 25, 'seed': 0}}
    """
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def load_yaml(cls: type[T], path: str | Path) -> T:
    """Read a configuration file.

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, or does not fit ``cls``.
    """
    import yaml

    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{path}: has {path.stat().st_size} bytes; expected a YAML file of up to {_LARGEST_FILE}")
        loader = _loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        _check_unfolded(node, path)
        values = None if node is None else loader.construct_document(node)
    except ConfigError:
        raise
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file; give the path of a YAML file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; give the path of a YAML file") from None
    except (OSError, yaml.YAMLError, *YAML_FAULTS) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: not readable as YAML ({reason}); correct the file") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: got a {type(values).__name__} at the top level; expected keys and values")
    return from_dict(cls, values, where=str(path))


def _loader(text: str) -> Any:
    """A loader that stops at more values than anybody writes, and at numbers of more than 64 bits."""
    import yaml

    class Loader(yaml.SafeLoader):
        values = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.values += 1
            if self.values > _MOST_VALUES:
                raise ValueError(f"it has more than {_MOST_VALUES} values")
            return super().compose_node(parent, index)

    Loader.add_constructor("tag:yaml.org,2002:int", whole_number)
    return Loader(text)


def whole_number(loader: Any, node: Any) -> int:
    """Value of a whole number in a YAML file.

    Raises
    ------
    ValueError
        If it needs more than 64 bits, which no setting does and not every reader of YAML or JSON can hold.
    """
    if len(node.value) <= _LONGEST_NUMBER:
        number = int(loader.construct_yaml_int(node))
        if number in _WHOLE_NUMBERS:
            return number
    raise ValueError(f"line {node.start_mark.line + 1} has a whole number of more than 64 bits")


def _check_unfolded(document: Any, path: Path) -> None:
    """Refuse aliases (``*name``) that stand for more than anybody writes, or for themselves, before they are used."""
    waiting, seen = [document], 0
    while waiting:
        held = getattr(waiting.pop(), "value", None)
        seen += 1
        if seen + len(waiting) > _MOST_VALUES:
            raise ConfigError(
                f"{path}: has more than {_MOST_VALUES} values, or aliases (*name) that stand for as many; "
                "write the values in full"
            )
        for part in held if isinstance(held, list) else ():
            waiting += part if isinstance(part, tuple) else (part,)


def save_yaml(value: Any, path: str | Path) -> None:
    """Write a configuration to a YAML file, keys in the order of the fields."""
    import yaml

    Path(path).write_text(yaml.safe_dump(to_dict(value), sort_keys=False, allow_unicode=True), encoding="utf-8")


def fingerprint(*values: Any) -> str:
    """Sixteen hexadecimal digits that change when any of the values changes."""
    text = json.dumps([to_dict(value) for value in values], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
