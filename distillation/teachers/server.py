"""An OpenAI-compatible server as teacher: the log-probabilities of one token."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
_HARMLESS = Pair("lamp", "a lamp")
"""What no filter bars and no context is too short for."""
_ROUNDING = 1e-6
"""Of a sum of probabilities."""


@dataclass(frozen=True)
class _Answer:
    told: Mapping[str, float]
    """Token to log-probability, of the most likely."""
    tokens: int = 0
    refused: str = ""
    """In the server's words, where it has no answer to this very pair."""


class ServerTeacher:
    """Asks for one token after the prompt and reads how likely each grade was.

    A server tells its most likely tokens only. A grade that is not among them is counted in
    `missed` and taken to be as likely as it can be at most; where no grade is, the answer is NaN.
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
        # One name of a revision may be that of several models, in this process, too.
        revision = f"{settings.model}@{settings.revision}"
        self.identity = TeacherIdentity(f"server {settings.model}", revision, self._prompt.hash)

    @property
    def text(self) -> ProductTextRecipe:
        """What it reads of a product."""
        return self._settings.text

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """NaN for a pair that the server refuses, as filters and contexts that are too short do.

        Raises `ScoringError` where the server cannot be reached, or refuses whatever it is asked.
        """
        answers: list[_Answer] = []
        stopped = ""
        with ThreadPoolExecutor(self._settings.concurrency) as pool:
            try:
                answers.extend(pool.map(self._ask, pairs))
            except ScoringError as error:
                if not answers:
                    raise
                stopped = str(error)
        if not stopped and all(answer.refused for answer in answers):
            self._check_the_request()
        outputs = np.full((len(pairs), len(self._settings.grades)), np.nan, np.float32)
        missed = np.zeros(len(pairs), np.int16)
        for row, answer in enumerate(answers):
            outputs[row], missed[row] = self._grades(answer.told)
        kept = torch.from_numpy(outputs[: len(answers)])
        return TeacherScores(
            relevance(kept).numpy(),
            kept.softmax(1).numpy(),
            missed[: len(answers)],
            sum(answer.tokens for answer in answers),
            stopped,
        )

    def _ask(self, pair: Pair) -> _Answer:
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
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            return _Answer({}, refused=str(error))
        except openai.OpenAIError as error:
            raise ScoringError(f"{settings.url}: {error}") from error
        told = answer.choices[0].logprobs if answer.choices else None
        top = told.top_logprobs if told is not None else None
        return _Answer(top[0] if top else {}, answer.usage.total_tokens if answer.usage else 0)

    def _check_the_request(self) -> None:
        """Raises `ScoringError` where a pair that has no fault is refused, too."""
        if refused := self._ask(_HARMLESS).refused:
            raise ScoringError(f"{self._settings.url}: refuses every pair: {refused}")

    def _grades(self, told: Mapping[str, float]) -> tuple[list[float], int]:
        """Log-probability of each grade, NaN where none is told, and how many are not told."""
        # "A" and " A" are two tokens of one answer.
        found = dict.fromkeys((grade.strip() for grade in self._settings.grades), -math.inf)
        for token, logprob in told.items():
            if token.strip() in found:
                found[token.strip()] = float(np.logaddexp(found[token.strip()], logprob))
        untold = [grade for grade, logprob in found.items() if logprob == -math.inf]
        if len(untold) == len(found):
            return [math.nan] * len(found), len(found) if told else 0
        if untold:
            # No likelier than the last that was told, nor than what is left of the whole.
            left = math.log(max(1 - sum(map(math.exp, told.values())), _ROUNDING))
            found |= dict.fromkeys(untold, min(left, *told.values()))
        return list(found.values()), len(untold)
