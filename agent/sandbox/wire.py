"""JSON in and out: numbers with a fraction are Decimal on both ways, never a binary float.

Malformed JSON is 400 MALFORMED_JSON; well-formed JSON of the wrong shape is 422 VALIDATION naming every
faulty field. Messages name fields and rules, never the values that were sent: those may be personal data.
"""

import codecs
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from agent.sandbox.refusals import Refusal, invalid

Model = TypeVar("Model", bound=BaseModel)


_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)


def dumps(document: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(document)


def loads(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.removeprefix(codecs.BOM_UTF8))
    except UnicodeDecodeError as error:
        raise Refusal(400, "MALFORMED_JSON", "the body is not UTF-8") from error
    except (msgspec.MsgspecError, ArithmeticError, RecursionError) as error:
        raise Refusal(400, "MALFORMED_JSON", "the body is not valid JSON") from error


def loads_object(body: bytes) -> dict[str, Any]:
    document = loads(body)
    if not isinstance(document, dict):
        raise invalid("body", "must be a JSON object")
    return document


def validate(model: type[Model], document: Any, *, inside: str = "") -> Model:
    """`document` as `model`; `inside` prefixes the field names of a document that is part of a larger one."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = [
            f"{_name(inside, fault['loc'])}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_context=False, include_url=False)
        ]
        raise Refusal(422, "VALIDATION", "; ".join(faults)) from None


def _name(inside: str, location: tuple[int | str, ...]) -> str:
    return ".".join(part for part in (inside, *map(str, location)) if part) or "body"
