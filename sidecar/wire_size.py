"""How many parts a message would be decoded to, counted before it is."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor

from rerank_core.errors import InputError

# Fewer bytes cannot become more than a few megabytes of objects.
_WORTH_COUNTING_BYTES = 256 * 1024

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}


def worth_counting(content: bytes) -> bool:
    """Whether so many bytes could become much."""
    return len(content) > _WORTH_COUNTING_BYTES


def check_parts(content: bytes, kind: Descriptor, most: int) -> None:
    """Raises `InputError` where the bytes have more than `most` messages, texts and numbers.

    Two bytes are an empty document, which decoded takes fifty: the limit of bytes bounds nothing.
    Numbers count although they take little: the counting itself must end soon. Bytes that are no
    message pass, and are refused by the decoder. Wire format:
    https://protobuf.dev/programming-guides/encoding
    """
    if _left(content, 0, len(content), kind, most) < 0:
        raise InputError(
            "request",
            f"has more than {most} parts (documents, their fields and values); send fewer",
        )


def _left(content: bytes, at: int, end: int, kind: Descriptor, left: int) -> int:
    """How many more parts there may be behind this message and those in it; below 0: too many."""
    fields = kind.fields_by_number
    while at < end and left >= 0:
        left -= 1
        tag, at = _varint(content, at, end)
        wire_type = tag & 7
        if wire_type == _BYTES:
            size, at = _varint(content, at, end)
            field = fields.get(tag >> 3)
            inner = field.message_type if field is not None else None
            if inner is not None:
                left = _left(content, at, min(at + size, end), inner, left)
            at += size
        elif wire_type == _VARINT:
            _, at = _varint(content, at, end)
        elif wire_type in _WIDTHS:
            at += _WIDTHS[wire_type]
        else:
            break  # a group, or no wire type: not of ours
    return left


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """The number and what follows it; the end where it is cut off."""
    if at < end and content[at] < 0x80:  # nearly all; a message may have a quarter of a million
        return content[at], at + 1
    number = shift = 0
    while at < end and shift < 64:
        byte = content[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    return 0, end
