# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""YAML as a suite needs it: no name twice, numbers as everyone writes them, anchors that share nothing afterwards."""

import re
from typing import Any

import yaml

from anomalib_patchgan.errors import InputError, sentence


class _SuiteLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, of which YAML silently keeps the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping; what a merge key ``<<`` brings is not in it yet, so it may be given again."""
        node = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise InputError(
                    f"line {line} has the key {key.value!r} again, which line {lines[key.value]} has; "
                    "expected every name once."
                )
            lines[key.value] = line
        return node


class _SuiteDumper(yaml.SafeDumper):
    """A safe dumper that quotes what the loader would take for a number."""


# YAML 1.1 reads 1e-3 as text; here it is the number that everyone means.
_NUMBER = re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
for _side in (_SuiteLoader, _SuiteDumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))


def load_yaml(text: str) -> Any:
    """Read YAML.

    Raises:
        InputError: A key is given twice, an anchor holds itself, or it is no YAML.
    """
    try:
        return _unshared(yaml.load(text, Loader=_SuiteLoader))  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise InputError(f"it is not YAML: {sentence(error)}") from error
    except RecursionError as error:
        raise InputError("an anchor holds itself, or mappings lie too deep in each other.") from error


def dump_yaml(content: dict[str, Any]) -> str:
    """Write YAML that :func:`load_yaml` reads back as the same content."""
    return yaml.dump(content, Dumper=_SuiteDumper, sort_keys=False, allow_unicode=True)


def _unshared(value: Any) -> Any:
    """Copy a value so that no two places hold the same mapping: what overrides one of them must not change another."""
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, list) else value
