"""Page tokens: read back what was written, and nothing else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_core.errors import InputError
from sidecar.cursor import Cursor, CursorSigner, query_hash

SIGNER = CursorSigner(b"key of a test")
HASH = query_hash("products", "drill", [])


hits = st.lists(st.lists(st.one_of(st.text(), st.floats(allow_nan=False), st.none()), max_size=4))


@given(st.text(max_size=80), st.integers(0, 10**6), hits)
def test_a_token_reads_back_as_its_cursor(index: str, offset: int, rest: list[object]) -> None:
    """Any index name and offset, and every bit of the hits' scores, survive."""
    cursor = Cursor(index, HASH, offset, tuple(rest), {"total": 3})
    assert SIGNER.read(SIGNER.write(cursor), HASH) == cursor


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_token_with_one_changed_byte_is_refused(position: int, flip: int) -> None:
    """Signature and content are both guarded."""
    token = SIGNER.write(Cursor("products-1", HASH, 10))
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[position % len(raw)] ^= flip
    forged = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    with pytest.raises(InputError, match="page_token"):
        SIGNER.read(forged, HASH)


@given(st.text(max_size=200))
def test_whatever_a_caller_sends_is_refused_by_name(token: str) -> None:
    """Text that is no token at all ends in the same clear error."""
    with pytest.raises(InputError, match="page_token"):
        SIGNER.read(token, HASH)


def test_a_token_fits_one_query() -> None:
    """Another query's hash is refused, and so is another server's key."""
    token = SIGNER.write(Cursor("products-1", HASH, 10))
    with pytest.raises(InputError, match="another query"):
        SIGNER.read(token, query_hash("products", "sofa", []))
    with pytest.raises(InputError, match="not signed"):
        CursorSigner(b"another key").read(token, HASH)
