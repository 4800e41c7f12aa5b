"""Ranking quality: measures, runs and judgments, paired tests."""

from rerank_core.measures.agreement import Equivalence, equivalence_test, kendall_tau
from rerank_core.measures.beir import BeirFolder, Judgments
from rerank_core.measures.evaluation import (
    Evaluation,
    Protocol,
    evaluate_funnel,
    evaluate_judged_list,
)
from rerank_core.measures.mixed import mixed
from rerank_core.measures.ndcg import ndcg
from rerank_core.measures.pairwise import pairwise_accuracy
from rerank_core.measures.ranking import Run, ranked
from rerank_core.measures.runs import read_qrels, read_run, write_qrels, write_run
from rerank_core.measures.scale import Scale
from rerank_core.measures.significance import (
    Interval,
    PairedTest,
    bootstrap,
    paired_differences,
    paired_test,
)
from rerank_core.measures.spearman import spearman

__all__ = [
    "BeirFolder",
    "Equivalence",
    "Evaluation",
    "Interval",
    "Judgments",
    "PairedTest",
    "Protocol",
    "Run",
    "Scale",
    "bootstrap",
    "equivalence_test",
    "evaluate_funnel",
    "evaluate_judged_list",
    "kendall_tau",
    "mixed",
    "ndcg",
    "paired_differences",
    "paired_test",
    "pairwise_accuracy",
    "ranked",
    "read_qrels",
    "read_run",
    "spearman",
    "write_qrels",
    "write_run",
]
