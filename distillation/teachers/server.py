"""An OpenAI-compatible server as teacher: the log-probabilities of one token."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openai
import torch

from distillation.losses import relevance
from distillation.pipeline.members import ServerTeacher as Settings
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores
from distillation.teachers.prompt import Prompt
from rerank_core.errors import ConfigError, ScoringError
from rerank_core.text import ProductTextRecipe

_RETRIES = 3
"""With the client's own growing pauses, on overload and broken connections."""


class ServerTeacher:
    """Asks for one token after the prompt and reads how likely each grade was.

    A server tells its most likely tokens only. A grade that is not among them counts as
    impossible and is counted in `missed`; where none is, the answer is NaN.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises `ConfigError` where the key's variable is not set."""
        key = "none"
        if settings.api_key_env:
            key = os.environ.get(settings.api_key_env, "")
            if not key:
                raise ConfigError(f"{settings.api_key_env}: is not set; it holds the server's key")
        self._settings = settings
        self._prompt = Prompt(settings.prompt, settings.text, settings.grades)
        self._client = openai.OpenAI(
            base_url=settings.url, api_key=key, timeout=settings.timeout_s, max_retries=_RETRIES
        )
        self.missed = 0
        self.identity = TeacherIdentity(
            f"server {settings.model}", settings.revision, self._prompt.hash
        )

    @property
    def text(self) -> ProductTextRecipe:
        """What it reads of a product."""
        return self._settings.text

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """Raises `ScoringError` where the server cannot be reached or refuses."""
        with ThreadPoolExecutor(self._settings.concurrency) as pool:
            answers = list(pool.map(self._ask, pairs))
        outputs = np.array([self._grades(answer) for answer in answers], np.float32)
        found = np.isfinite(outputs).any(1)
        self.missed += int((~np.isfinite(outputs)).sum())
        shares = np.full(outputs.shape, np.nan, np.float32)
        logits = np.full(len(pairs), np.nan, np.float32)
        if found.any():
            kept = torch.from_numpy(outputs[found])
            shares[found] = kept.softmax(1).numpy()
            logits[found] = relevance(kept).numpy()
        return TeacherScores(logits, shares)

    def _ask(self, pair: Pair) -> Mapping[str, float]:
        settings = self._settings
        words = settings.text.query_tokens, settings.text.product_tokens
        try:
            answer = self._client.completions.create(
                model=settings.model,
                prompt=self._prompt.text(pair, words),
                max_tokens=1,
                temperature=0.0,
                logprobs=settings.top_logprobs,
            )
        except openai.OpenAIError as error:
            raise ScoringError(f"{settings.url}: {error}") from error
        told = answer.choices[0].logprobs if answer.choices else None
        top = told.top_logprobs if told is not None else None
        return top[0] if top else {}

    def _grades(self, answer: Mapping[str, float]) -> list[float]:
        """Log-probability of each grade, -inf where the server did not tell it."""
        # "A" and " A" are two tokens of one answer.
        found = dict.fromkeys((grade.strip() for grade in self._settings.grades), -np.inf)
        for token, logprob in answer.items():
            if token.strip() in found:
                found[token.strip()] = float(np.logaddexp(found[token.strip()], logprob))
        return list(found.values())
