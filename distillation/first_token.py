"""BERT for a head on the first token: no padding is computed, nor what the head never reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from distillation.batches import Batch


def first_token_states(bert: Any, batch: Batch) -> Tensor:
    """The last layer's state of each row's first token, shape ``(pairs, width)``.

    Equals ``bert(...).last_hidden_state[:, 0]`` of a Hugging Face BertModel. Tokens of all rows
    stand one after the other but in attention, whose rows are padded; the last layer has one
    query a row, and its feed-forward one row. In bfloat16 the padding is kept: its compiled
    products want few shapes.
    """
    present = batch.mask.bool()
    rows, length = present.shape
    shown = torch.ones_like(present) if torch.is_autocast_enabled("cpu") else present
    places = shown.flatten().nonzero().squeeze(1)
    firsts = shown.sum(1).cumsum(0) - shown.sum(1)
    states = bert.embeddings(
        input_ids=batch.ids.flatten()[places][None],
        token_type_ids=batch.type_ids.flatten()[places][None],
        position_ids=(places % length)[None],
    )[0]
    hidden = torch.zeros(rows, 1, 1, length).masked_fill(
        ~present[:, None, None, :], torch.finfo(torch.float32).min
    )
    layers = list(bert.encoder.layer)
    for layer in layers[:-1]:
        states = _layer(layer, states, None, places, hidden)
    return _layer(layers[-1], states, firsts, places, hidden)


def _layer(
    layer: Any, states: Tensor, firsts: Tensor | None, places: Tensor, hidden: Tensor
) -> Tensor:
    """States of all tokens, or of `firsts` alone, after a layer; `hidden` is added to scores."""
    attention = layer.attention.self
    rows, length = hidden.shape[0], hidden.shape[3]
    heads, size = attention.num_attention_heads, attention.attention_head_size

    def padded(values: Tensor) -> Tensor:
        """``(tokens, width)`` as ``(rows, heads, length, size)``."""
        full = values.new_zeros(rows * length, heads * size).index_copy(0, places, values)
        return full.view(rows, length, heads, size).transpose(1, 2)

    keys, values = padded(attention.key(states)), padded(attention.value(states))
    if firsts is None:
        queries = padded(attention.query(states))
    else:
        states = states[firsts]
        queries = attention.query(states).view(rows, 1, heads, size).transpose(1, 2)
    scores = queries @ keys.transpose(2, 3) * attention.scaling + hidden
    weights = attention.dropout(scores.softmax(-1)).to(values.dtype)
    context = (weights @ values).transpose(1, 2).reshape(-1, heads * size)
    if firsts is None:
        context = context[places]
    after: Tensor = layer.feed_forward_chunk(layer.attention.output(context, states))
    return after
