"""What pydantic finds wrong with a setting, in our words: what it must be, within which bounds, and an example.

Its own words name classes of Python. Called where settings are refused: the configuration's and the adapters'.
"""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_WORDS = {
    "string_type": "must be text, in quotes",
    "string_unicode": "must be text, in quotes",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "path_type": "must be the path of a file or folder, in quotes",
    "bool_type": "must be true or false, without quotes",
    "bool_parsing": "must be true or false, without quotes",
    "literal_error": "must be one of {expected}, in quotes",
    "list_type": "must be a list, in brackets",
    "tuple_type": "must be a list, in brackets",
    "set_type": "must be a list, in brackets",
    "frozen_set_type": "must be a list, in brackets",
    "dict_type": "must be a table",
    "mapping_type": "must be a table",
    "model_type": "must be a section of its own",
    "missing": "is required",
    "extra_forbidden": "is no setting that there is",
}
_NUMBERS = ("int_", "float_", "decimal_", "finite_", "greater_", "less_")
_RULES = ("ge", "gt", "le", "lt")
_OTHER = "is not what it may be; the documentation of this setting says what that is"


def words(item: Mapping[str, Any], field: FieldInfo | None = None, example: str = "") -> str:
    """The fault of one item of `errors()`, to stand behind the setting's name; nothing of the value is repeated.

    `field` gives the bounds of a number and an example, `example` an example of what has none.
    """
    kind: str = item["type"]
    if kind in {"value_error", "assertion_error"}:  # by a check of our own
        return str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind.startswith(_NUMBERS):
        return _number(field, example)
    known = _WORDS.get(kind)
    if kind == "string_pattern_mismatch" and example:
        return f"must be spelled as in {example}"
    if known is None:
        return _OTHER
    said = known.format_map(item.get("ctx") or {}).replace("'", '"')
    return f"{said}, such as {example}" if example and not kind.startswith(("bool", "literal")) else said


def _number(field: FieldInfo | None, example: str) -> str:
    if field is None:
        return "must be a number, without quotes"
    kind = "whole number" if int in (field.annotation, *get_args(field.annotation)) else "number"
    default = field.default
    usual = example or ("" if default in (None, PydanticUndefined) else str(default))
    return f"must be a {kind}{_bounds(field)}, without quotes{usual and f', such as {usual}'}"


def _bounds(field: FieldInfo) -> str:
    found = {
        name: value for rule in field.metadata for name in _RULES if (value := getattr(rule, name, None)) is not None
    }
    match found:
        case {"ge": low, "le": high}:
            return f" from {low} to {high}"
        case {"gt": low, "le": high}:
            return f" above {low} and of {high} at most"
        case {"ge": low}:
            return f" of {low} or more"
    return ""
