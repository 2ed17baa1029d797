"""From a request's bytes to values that a command can be made of.

A handler calls these in the documented order: shape (`read_body`), then key (`read_key`).
Who may is settled before, in api/auth.py; what only the ledger can know, after, by the writer.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails
from starlette.requests import ClientDisconnect, Request

from api import strict_json
from api.auth import still_let_in, unauthenticated
from api.problems import Problem, body_error, invalid, parameter_error

MAX_BODY_BYTES: Final = 256 * 1024
MAX_KEY_LENGTH: Final = 255
KEY: Final = r"^[!-~]{1,255}$"
SHAPE: Final = "\0"
"""What begins the tag of one shape of several: pydantic puts it into the path of an error, where
no member of the request stands."""

_canonical: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
"""How a request's meaning is written, for ever: stored fingerprints are of this form."""
_NULL: Final = {"type": "null"}
_CONTENT_LENGTH: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_QUOTED_KEY: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")


class RequestBody(BaseModel):
    """A request body: nothing is converted, nothing unknown is let through."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    NULL_SAYS: ClassVar[frozenset[str]] = frozenset()
    """Members in which null has a meaning of its own; elsewhere it is as if absent."""
    ITEMS: ClassVar[dict[str, type["RequestBody"]]] = {}
    """Of members that are lists of objects with optional members: what such an object is."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Its schema, in which every optional member may be null too, as `read_body` has it."""
        told = handler(schema)
        resolved = handler.resolve_ref_schema(told)
        for name, member in resolved["properties"].items():
            if name not in resolved.get("required", ()) and _NULL not in member.get("anyOf", ()):
                described = {key: member.pop(key) for key in ("title", "default") if key in member}
                resolved["properties"][name] = {"anyOf": [member, _NULL], **described}
        return told


Body = TypeVar("Body", bound=RequestBody)


async def read_body(request: Request, model: type[Body]) -> tuple[Body, bytes]:
    """The body as the model has it, and the fingerprint of what the request means.

    Raises Problem: body_too_large, unsupported_media_type, invalid_request.
    """
    needed = any(field.is_required() for field in model.model_fields.values())
    sent = await read_members(request, needed=needed)
    return understood(sent, model, request.method, request.scope["path"])


async def read_members(request: Request, *, needed: bool = True) -> dict[str, Any]:
    """What the body has; nothing, where there is none and none is needed. Raises Problem."""
    content = await read_content(request, MAX_BODY_BYTES)
    if content:
        require_media_type(request, "application/json")
        return parsed(content)
    if needed:
        raise invalid([], "This request needs a body: a JSON object.")
    return {}


def understood(
    sent: dict[str, Any], model: type[Body], method: str, path: str
) -> tuple[Body, bytes]:
    """The members sent as the model has them, and the fingerprint. Raises Problem."""
    members = _without_absent(sent, model)
    try:
        body = model.model_validate(members)
    except ValidationError as error:
        raise invalid([_told(one) for one in error.errors(include_input=False)]) from None
    return body, fingerprint(method, path, members)


def fingerprint(method: str, path: str, members: Mapping[str, Any]) -> bytes:
    """SHA-256 (32 bytes) of what a request means: method, path and the members sent.

    White space and the order of members don't matter; `members` come without the nulls that
    mean absent, and no default is added.
    """
    meaning = _canonical.encode([method, path, members])
    return hashlib.sha256(meaning.encode("ascii")).digest()


def has_key(request: Request) -> bool:
    """Whether one was sent at all, however malformed."""
    return "idempotency-key" in request.headers


def read_key(request: Request) -> str:
    """The idempotency key. Raises Problem: idempotency_key_missing, invalid_request."""
    sent = request.headers.getlist("idempotency-key")
    if not any(sent):
        raise Problem("idempotency_key_missing")
    key = unquoted(sent[0])
    if len(sent) > 1 or key is None:
        raise invalid([], f"Idempotency-Key must be {A_KEY}.")
    return key


A_KEY: Final = "one key of 1 to 255 visible ASCII characters"


def unquoted(key: str) -> str | None:
    """The key meant, None for what can be none: an RFC 8941 string, as the IETF draft has it, is
    the same key as what it quotes."""
    if key.startswith('"') and len(key) > 1:
        quoted = _QUOTED_KEY.fullmatch(key)
        key = re.sub(r'\\(["\\])', r"\1", quoted[1]) if quoted else key
    return key if len(key) <= MAX_KEY_LENGTH and _VISIBLE.fullmatch(key) else None


def read_flag(request: Request, name: str) -> bool:
    """A query parameter that is `true`, `false` or absent. Raises Problem: invalid_request."""
    sent = request.query_params.get(name, "false")
    if sent not in ("true", "false"):
        raise invalid([parameter_error(name, "not_allowed", "Write true or false.")])
    return sent == "true"


async def read_content(request: Request, at_most: int) -> bytes:
    """The whole body, never more than so many bytes of it in memory.

    Raises Problem: body_too_large, invalid_request, and unauthenticated where the key was revoked
    before the body's end: else its holder would keep some requests open for later.
    """
    announced = request.headers.get("content-length", "0")
    if not _CONTENT_LENGTH.fullmatch(announced) or int(announced) > at_most:
        raise too_large(at_most)
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > at_most:
                raise too_large(at_most)
    except ClientDisconnect:
        raise invalid([], "The body ended before it was whole.") from None
    if not await still_let_in(request):
        raise unauthenticated()
    return bytes(content)


def too_large(at_most: int) -> Problem:
    return Problem("body_too_large", f"Send at most {at_most} bytes.")


def media_type(request: Request) -> str:
    """Of the body, without parameters; empty where it isn't said."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_media_type(request: Request, wanted: str) -> None:
    """Raises Problem: unsupported_media_type."""
    parameters = request.headers.get("content-type", "").partition(";")[2]
    charset = parameters.partition("charset=")[2].strip(' "').lower()
    if media_type(request) != wanted or charset not in ("", "utf-8"):
        raise Problem(
            "unsupported_media_type", f"Send the body as UTF-8, with `Content-Type: {wanted}`."
        )


def parsed(content: bytes) -> dict[str, Any]:
    """A JSON object. Raises Problem: invalid_request."""
    try:
        sent = strict_json.parse(content)
    except strict_json.DuplicateMember as error:
        raise invalid([body_error(_shown(error.path), "duplicate_member", str(error))]) from None
    except strict_json.NotJson as error:
        raise invalid([body_error((), "not_json", str(error))]) from None
    if not isinstance(sent, dict):
        raise invalid([body_error((), "wrong_type", "The body must be a JSON object.")])
    return sent


def _without_absent(sent: dict[str, Any], model: type[RequestBody]) -> dict[str, Any]:
    """The members sent, but for a null in an optional member, which means absent."""
    fields = model.model_fields
    members = {
        name: value
        for name, value in sent.items()
        if value is not None
        or name not in fields
        or fields[name].is_required()
        or name in model.NULL_SAYS
    }
    for name, item in model.ITEMS.items():
        if isinstance(members.get(name), list):
            members[name] = [
                _without_absent(one, item) if isinstance(one, dict) else one
                for one in members[name]
            ]
    return members


_CODES: Final[dict[str, str]] = {
    "extra_forbidden": "unknown_member",
    "missing": "missing",
    "greater_than": "too_small",
    "greater_than_equal": "too_small",
    "less_than": "too_large",
    "less_than_equal": "too_large",
    "too_short": "too_short",
    "too_long": "too_long",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "literal_error": "not_allowed",
    "string_pattern_mismatch": "wrong_format",
    "string_unicode": "wrong_format",
    "value_error": "wrong_format",
}
"""Our stable codes of pydantic's kinds of errors; what is not here is a wrong type."""

_DETAILS: Final[dict[str, str]] = {
    "unknown_member": "This member is not known here; leave it out.",
    "missing": "This member is required.",
}


def _told(error: ErrorDetails) -> dict[str, str]:
    """A validation error in our words: pydantic's texts name bounds and types, never the input."""
    code = _CODES.get(error["type"], "wrong_type")
    path = _shown([step for step in error["loc"] if not str(step).startswith(SHAPE)])
    if error["type"] == "value_error":
        detail = str(error["ctx"]["error"])
    else:
        detail = _DETAILS.get(code, f"{error['msg']}.")
    return body_error(path, code, detail)


def _shown(path: Sequence[str | int]) -> Sequence[str | int]:
    """What may be told of where an error is: names in metadata are values sent, not repeated."""
    return path[: path.index("metadata") + 1] if "metadata" in path else path
