"""What every model of an answer is."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answered(BaseModel):
    """Base of every answer: camelCase outside, and keys may be added."""

    model_config = ConfigDict(alias_generator=to_camel, serialize_by_alias=True, extra="allow", defer_build=True)
