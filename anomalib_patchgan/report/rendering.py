# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The templates' environments: each escapes every value that a template prints, in its own language."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from anomalib_patchgan import __version__
from anomalib_patchgan.report.cells import MISSING

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("vendor/sortable.min.js", "page.js")
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~$#])")
_NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def render_html(template: str, context: dict[str, Any]) -> bytes:
    """Render a page; text is escaped, and only our own scripts may run in it."""
    environment = _environment(autoescape=True)
    environment.filters |= {"data_uri": _data_uri, "sort_value": sort_value}
    scripts = [_asset(name) for name in _SCRIPTS]
    environment.globals |= {
        "style": _asset("style.css"),
        "scripts": scripts,
        "script_hashes": [_hash(script) for script in scripts],
    }
    return environment.get_template(template).render(context | {"version": __version__}).encode()


def render_markdown(template: str, context: dict[str, Any]) -> bytes:
    """Render a Markdown file."""
    environment = _environment(autoescape=False, finalize=_markdown_escape)
    return environment.get_template(template).render(context | {"version": __version__}).encode()


def _environment(**options: Any) -> jinja2.Environment:
    return jinja2.Environment(  # noqa: S701 - Markdown is escaped by its own finalizer
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        **options,
    )


@cache
def _asset(name: str) -> Markup:
    """A style sheet or a script, which is ours and holds nothing from a store."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def sort_value(text: str) -> str:
    """What a numeric column is sorted by: the first number in the text, or nothing, which is sorted last."""
    found = _NUMBER.search(text.replace("−", "-")) if text != MISSING else None
    return found.group().replace(",", "") if found else ""


def _markdown_escape(value: Any) -> Any:
    """Make text harmless in Markdown, in and out of tables; numbers and marked text pass."""
    if value is None or isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _MARKDOWN_SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", value)).replace("&", "&amp;")
