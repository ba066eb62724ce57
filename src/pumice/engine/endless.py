"""JSON schemas that no finite text can satisfy, since what must be there holds itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias
from urllib.parse import unquote

_Node: TypeAlias = dict[str, object]
_NESTING = ("object", "array")


def is_endless(schema: _Node) -> bool:
    """Whether every text that is valid under ``schema`` would have to contain another one without end.

    False is no proof that there is a text: only keywords that can lead a schema back to itself are looked at.
    """
    nodes = list(_nodes(schema))
    ending: set[int] = set()  # of those that have been seen to come to an end
    before = -1
    while before < len(ending):
        before = len(ending)
        nodes.reverse()  # a chain is followed in one pass, whichever way it leads
        for node in nodes:
            if id(node) not in ending and _ends(node, schema, ending):
                ending.add(id(node))
    return id(schema) not in ending


def _nodes(value: object) -> Iterator[_Node]:
    """All objects, those that are no schemas, too: nothing refers to them."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            yield here
        if isinstance(here, dict | list):
            waiting += here.values() if isinstance(here, dict) else here


def _ends(node: _Node, root: _Node, ending: set[int]) -> bool:
    def known(other: object) -> bool:
        return not isinstance(other, dict) or id(other) in ending

    if "$ref" in node and not known(_referred(node["$ref"], root)):
        return False
    branches = node.get("allOf")
    if isinstance(branches, list) and not all(map(known, branches)):
        return False
    for choice in (node.get("anyOf"), node.get("oneOf")):
        if isinstance(choice, list) and choice and not any(map(known, choice)):
            return False
    if "const" in node or "enum" in node:
        return True
    named = node.get("type")
    types = [named] if isinstance(named, str) else named
    if not isinstance(types, list) or not types or any(each not in _NESTING for each in types):
        return True
    inner = {"object": _required(node), "array": _least_items(node)}
    return any(all(map(known, inner[each])) for each in types)


def _referred(reference: object, root: _Node) -> object:
    """What ``#/a/b`` points to. None for what is named in another way, or not there: that is for others to judge."""
    if not isinstance(reference, str) or (reference != "#" and not reference.startswith("#/")):
        return None
    here: object = root
    for part in reference.split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict):
            here = here.get(name)
        elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
            here = here[int(name)]
        else:
            return None
    return here


def _required(node: _Node) -> list[object]:
    """The schemas of the properties that must be there."""
    properties, names = node.get("properties"), node.get("required")
    if not isinstance(properties, dict) or not isinstance(names, list):
        return []
    return [properties[name] for name in names if isinstance(name, str) and name in properties]


def _least_items(node: _Node) -> list[object]:
    """The schemas of the items that must be there, each once."""
    least, first = node.get("minItems"), node.get("prefixItems")
    if not isinstance(least, int) or least <= 0:
        return []
    leading = first if isinstance(first, list) else []
    return [*leading[:least], *([node.get("items")] if least > len(leading) else [])]
