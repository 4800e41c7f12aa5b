"""Where a template uses its parameters, and whether that is within a JSON string."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_COMMENT = re.compile(r"{{!.*?}}", re.DOTALL)
_TOKEN = re.compile(
    # The cluster's own functions stand as sections around a parameter's name.
    r"{{#(?P<function>toJson|join)(?: delimiter='[^'{}]*')?}}(?P<of>.*?)"
    r"{{/(?P=function)(?: delimiter='[^'{}]*')?}}"
    r"|{{(?P<tag>.*?)}}"
    r"|(?P<open>\\(?={{))"
    r"|\\."
    r'|(?P<quote>")',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Use:
    """One tag."""

    how: str
    """toJson, join, #, ^, what else mustache has, or empty: the text itself."""
    name: str
    quoted: bool
    """It stands within a JSON string."""
    fault: str = ""
    """Why nobody can say what it does to the text around it."""


def uses(source: str) -> Iterator[Use]:
    """Each use of a parameter, in their order."""
    quoted, escaped = False, False
    opened: list[bool] = []
    for token in _TOKEN.finditer(_COMMENT.sub("", source)):
        if token["quote"]:
            quoted = not quoted
        elif token["open"]:
            escaped = True
            continue
        elif token["function"]:
            yield Use(token["function"], token["of"], quoted)
        elif (tag := token["tag"]) is not None:
            name = tag[1:] if tag[:1] in ("#", "^", "{", "&", ">", "=", "/") else tag
            how = tag[: len(tag) - len(name)]
            fault = "a backslash before it takes its first character" if escaped else ""
            if how in ("#", "^"):
                opened.append(quoted)
            elif how == "/" and opened and opened.pop() != quoted:
                fault = "its section begins within a text and ends outside of it, or the reverse"
            if how != "/" or fault:
                yield Use(how, name, quoted, fault)
        escaped = False
