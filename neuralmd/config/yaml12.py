"""YAML as version 1.2 reads it: 1e-5 is a number, `on` is a word, and a key comes once.

PyYAML follows version 1.1, where 1e-5 is a text, `no` is false and 1:30 is 90.
"""

from __future__ import annotations

import re

import yaml

from neuralmd.errors import ConfigError

_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_MERGE = re.compile(r"^(?:<<)$")

_RESOLVERS = (  # the order decides: a whole number also looks like a number
    ("tag:yaml.org,2002:bool", _BOOL, "tTfF"),
    ("tag:yaml.org,2002:null", _NULL, ("~", "n", "N", "")),
    ("tag:yaml.org,2002:int", _INT, "-+0123456789"),
    ("tag:yaml.org,2002:float", _FLOAT, "-+.0123456789"),
    ("tag:yaml.org,2002:merge", _MERGE, "<"),
)


class _Loader(yaml.SafeLoader):
    """Reads plain values only, by the rules of YAML 1.2, and refuses a key that comes twice in a block."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML copies it when the first resolver is added

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:  # noqa: FBT001, FBT002 - PyYAML's
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key '{key.value}' comes twice in one block", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """A whole number; 010 is ten."""
        text = self.construct_scalar(node)
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads back equal."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - as above

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """A text; with escapes where it holds a line break of Unicode's own, which would be read back as a space."""
        breaks = any(character in "\x85\u2028\u2029" for character in text)
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if breaks else None)


for _tag, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(_tag, _pattern, list(_first))
    _Dumper.add_implicit_resolver(_tag, _pattern, list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)
_Dumper.add_representer(str, _Dumper.represent_text)


def parse(text: str) -> object:
    """The value that a YAML text stands for.

    Raises:
        ConfigError: If it is no YAML; with the line, where there are several.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ConfigError(f"{where}{error.problem or 'no valid YAML'}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"no valid YAML: {' '.join(str(error).split())}") from None


def write(value: object) -> str:
    """The YAML text of plain values, in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
