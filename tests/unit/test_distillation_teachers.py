"""Teachers: what each of them answers, on models small enough to work out."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from rich.console import Console
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from distillation.fitting import _groups, fit, load_best
from distillation.lists import TokenList
from distillation.losses import grade_shares, listnet, loss, relevance, star_margin_mse
from distillation.pipeline.fit import Fit
from distillation.pipeline.members import Lora
from distillation.ranking import UNREADABLE, measure_on
from distillation.teachers.bi_encoder import BiEncoderTeacher
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores, by_query
from distillation.teachers.cosine import CosineTeacher
from distillation.teachers.decoder import (
    DecoderHead,
    DecoderTeacher,
    GradeTeacher,
    grade_token,
    load_tokenizer,
    revision_of,
)
from distillation.teachers.file import FileTeacher
from distillation.teachers.mean import MeanTeacher, spread
from distillation.teachers.prompt import Prompt
from rerank_core.artifact import named_folder
from rerank_core.errors import ArtifactError, ConfigError, InputError
from rerank_core.text import ProductTextRecipe

TEXT = ProductTextRecipe(("title",), query_tokens=4, product_tokens=6)
PROMPT = "grade: query {query} product {product} is"
PAIRS = [Pair("oak shelf", "shelf of oak"), Pair("oak shelf", "a lamp"), Pair("lamp", "lamp")]


class _Fixed:
    """A teacher whose logits are given."""

    def __init__(self, logits, text=TEXT):
        self._logits, self.text = logits, text
        self.identity = TeacherIdentity("fixed", str(logits), "p")

    def score(self, _pairs):
        return TeacherScores(np.array(self._logits, np.float32))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A folder of a Llama of random weights, two layers, under MiniLM's tokenizer."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=30522, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(named_folder("minilm"))).save_pretrained(folder)
    return folder


def test_rows_of_a_prompt_begin_alike_and_cut_each_part_by_itself(llama):
    """A query of four tokens and a product of six at most, whatever their length."""
    tokenizer = load_tokenizer(str(llama))
    long = Pair("oak " * 50, "lamp " * 50)
    tokens = Prompt(PROMPT, TEXT).rows(tokenizer, [*PAIRS, long])
    rows = [tokenizer.decode(tokens.ids[a:b]) for a, b in pairwise(tokens.offsets)]
    assert rows[0] == "grade : query oak shelf product shelf of oak is"
    assert rows[3] == "grade : query oak oak oak oak product lamp lamp lamp lamp lamp lamp is"


@pytest.mark.parametrize("prompt", ["{product} {query}", "{query}", "{query} {product} {more}"])
def test_a_prompt_that_shares_no_beginning_is_refused(prompt):
    """The query must come before the product, each once, and nothing else in braces."""
    with pytest.raises(ConfigError, match=r"then \{product\}, once each"):
        Prompt(prompt, TEXT)


# peft asks transformers by a name that is about to go.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("lora", [None, Lora(rank=2)])
def test_a_decoder_with_a_head_learns_an_order_and_gives_it_again(llama, tmp_path, lora):
    """Full or with adapters: trained, saved, loaded into a fresh network, the same scores."""
    tokenizer, prompt = load_tokenizer(str(llama)), Prompt(PROMPT, TEXT)
    judged = {"q": {"a": 1.0, "b": 0.5, "c": 0.0}}
    pairs = [Pair("oak shelf", text) for text in ("oak shelf", "shelf", "red lamp")]
    lists = [TokenList(prompt.rows(tokenizer, pairs), np.array([1.0, 0.5, 0.0], np.float32))]
    settings = Fit(
        steps=12, loss="ranknet", pointwise=0.3, learning_rate=1e-2, head_learning_rate=1e-2,
        evaluations=2, precision="float32",
    )  # fmt: skip
    torch.manual_seed(1)
    network = DecoderHead(str(llama), classes=1, lora=lora)
    measure = measure_on(judged, lists, bfloat16=False)
    curve = fit(
        network, settings, lists, tmp_path, seed=1, identity="i", measure=measure, show=_quiet()
    )
    assert curve[-1]["nDCG@10"] == 1.0
    load_best(network, tmp_path)
    torch.manual_seed(1)
    fresh = DecoderHead(str(llama), classes=1, lora=lora)
    load_best(fresh, tmp_path)
    ours, theirs = (
        DecoderTeacher(one, tokenizer, prompt, "r").score(pairs).logits for one in (network, fresh)
    )
    assert ours[0] > ours[1] > ours[2]
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapters_learn_at_the_rate_of_the_layers_and_the_head_at_its_own(llama):
    """Two layers, decay .5: adapters of the upper at 1e-3, of the lower at 5e-4, the head at .1."""
    network = DecoderHead(str(llama), classes=1, lora=Lora(rank=2))
    settings = Fit(
        steps=1, loss="ranknet", learning_rate=1e-3, head_learning_rate=0.1, layer_decay=0.5,
        evaluations=1,
    )  # fmt: skip
    peaks = {id(p): group["peak"] for group in _groups(network, settings) for p in group["params"]}
    found = {name: peaks[id(p)] for name, p in network.named_parameters() if p.requires_grad}
    assert {peak for name, peak in found.items() if "layers.1." in name} == {1e-3}
    assert {peak for name, peak in found.items() if "layers.0." in name} == {5e-4}
    assert {peak for name, peak in found.items() if name.startswith("head")} == {0.1}
    assert all("lora_" in name or name.startswith("head") for name in found)


def test_a_head_of_several_classes_gives_probabilities(llama):
    """One row a pair, each sums to 1; the logit is that of the expected share."""
    torch.manual_seed(1)
    head = DecoderHead(str(llama), classes=3, layers=1)
    assert head.depth == 1
    teacher = DecoderTeacher(head, load_tokenizer(str(llama)), Prompt(PROMPT, TEXT), "r")
    found = teacher.score(PAIRS)
    assert found.probabilities.shape == (3, 3)
    assert found.probabilities.sum(1) == pytest.approx([1, 1, 1], abs=1e-5)
    share = found.probabilities @ [0, 0.5, 1]
    assert 1 / (1 + np.exp(-found.logits)) == pytest.approx(share, abs=1e-5)


def test_padding_and_company_do_not_change_a_decoders_score(llama):
    """A row alone and among longer ones: the same up to bfloat16's rounding."""
    head = DecoderHead(str(llama), classes=1)
    teacher = DecoderTeacher(head, load_tokenizer(str(llama)), Prompt(PROMPT, TEXT), "r")
    together = teacher.score([*PAIRS, Pair("a b c d", "e f g h i j")]).logits
    alone = [teacher.score([pair]).logits[0] for pair in PAIRS]
    assert together[:3] == pytest.approx(alone, abs=0.05)


def test_grade_tokens_are_renormalised_over_the_grades(llama):
    """Softmax over the grades' own logits, and no other word's."""
    prompt = Prompt(PROMPT, TEXT, ("bad", "good"))
    teacher = GradeTeacher(str(llama), prompt, ("bad", "good"), "r")
    found = teacher.score(PAIRS)
    assert found.probabilities.sum(1) == pytest.approx([1, 1, 1], abs=1e-5)
    logit = np.log(found.probabilities[:, 1] / found.probabilities[:, 0])
    assert found.logits == pytest.approx(logit, abs=1e-3)


def test_a_grade_of_two_tokens_is_named(llama):
    """It has no probability in one step."""
    with pytest.raises(ConfigError, match="grade 'exact match': is 2 tokens"):
        grade_token(load_tokenizer(str(llama)), "exact match")


def test_a_base_that_is_not_there_is_named(tmp_path):
    """And so is a model with fewer layers than were asked for."""
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        DecoderHead(str(tmp_path), classes=1)


def test_a_bi_encoder_in_torch_says_what_the_served_one_does():
    """all-MiniLM-L6-v2 by sentence-transformers and by the engine: alike to a tenth of a logit.

    Ten times a cosine; the served one computes in int8, and texts are short enough for both.
    """
    pairs = [
        Pair("oak shelf", "solid oak wall shelf"),
        Pair("oak shelf", "garden hose, green"),
        Pair("drill", "cordless drill, 18 V"),
    ]
    text = ProductTextRecipe(("title",))
    revision = revision_of(str(named_folder("minilm")))
    teacher = BiEncoderTeacher(str(named_folder("minilm")), text, revision)
    ours = CosineTeacher("minilm", text).score(pairs).logits
    assert teacher.score(pairs).logits == pytest.approx(ours, abs=0.1)
    assert teacher.identity.revision == revision
    with pytest.raises(ArtifactError, match="none: cannot be loaded"):
        BiEncoderTeacher("/nowhere/none", text, "r")


def test_a_bi_encoder_reads_a_text_once_however_often_it_is_paired(monkeypatch):
    """Of the second chunk its new product alone is encoded, and answers do not change."""
    folder = str(named_folder("minilm"))
    teacher = BiEncoderTeacher(folder, ProductTextRecipe(("title",)), "r")
    read: list[str] = []
    encode = teacher._model.encode

    def listening(texts, **settings):
        read.extend(texts)
        return encode(texts, **settings)

    monkeypatch.setattr(teacher._model, "encode", listening)
    first = [Pair("drill", "cordless drill"), Pair("drill", "drill bits")]
    before = teacher.score(first).logits
    again = teacher.score(
        [*first, Pair("drill", "garden hose"), Pair("drill", "drill bits")]
    ).logits
    assert read == ["drill", "cordless drill", "drill bits", "garden hose"]
    assert (again[:2] == before).all()
    assert again[3] == before[1]


def test_a_mean_divides_each_member_by_its_spread():
    """(2 / 2 + 3 / 1) / 2 = 2, times a scale of 10; NaN of one is NaN of all."""
    mean = MeanTeacher([_Fixed([2.0, 2.0]), _Fixed([3.0, float("nan")])], [2.0, 1.0], 10.0)
    found = mean.score(PAIRS[:2]).logits
    assert found[0] == 20.0
    assert np.isnan(found[1])


def test_a_mean_of_members_that_read_different_texts_is_refused():
    """One text is composed for all of them."""
    other = ProductTextRecipe(("title", "brand"))
    with pytest.raises(ConfigError, match="read the same text"):
        MeanTeacher([_Fixed([1.0]), _Fixed([1.0], other)], [1.0, 1.0])
    with pytest.raises(ConfigError, match="scores all products of a query alike"):
        MeanTeacher([_Fixed([1.0])], [0.0])


def test_a_spread_is_within_queries():
    """Variances 1 and 0 within queries: root of their mean; what is between queries is nothing."""
    run = {"q": {"a": 0.0, "b": 2.0}, "r": {"a": 50.0, "b": 50.0}}
    assert spread(run) == pytest.approx(np.sqrt(0.5))


def test_a_spread_is_of_answers_that_could_be_read():
    """0 and 2 beside one that could not be: 1. None left, or no order, is an error."""
    assert spread({"q": {"a": 0.0, "b": 2.0, "c": UNREADABLE}}) == 1.0
    with pytest.raises(ConfigError, match="no query with two products that it answers for"):
        spread({"q": {"a": 1.0, "b": UNREADABLE}})
    with pytest.raises(ConfigError, match="scores all products of a query alike"):
        spread({"q": {"a": 1.0, "b": 1.0}})


def test_a_file_of_labels_answers_what_it_holds(tmp_path):
    """In any case and spacing; what it lacks is NaN; its hash is its revision."""
    path = tmp_path / "labels.csv"
    path.write_text("query,product,logit\nOak  shelf,shelf of oak,1.5\n")
    teacher = FileTeacher(path, TEXT)
    found = teacher.score(PAIRS[:2]).logits
    assert found[0] == 1.5
    assert np.isnan(found[1])
    assert len(teacher.identity.revision) == 64
    path.write_text("query,product\na,b\n")
    with pytest.raises(ConfigError, match="lacks the columns"):
        FileTeacher(path, TEXT)


def test_pairs_of_a_query_stand_together():
    """Neighbours are grouped; places are kept."""
    assert by_query(PAIRS) == [("oak shelf", [0, 1]), ("lamp", [2])]


def test_probabilities_are_one_row_a_pair():
    """Two logits and one row are no answer."""
    with pytest.raises(InputError):
        TeacherScores(np.zeros(2, np.float32), np.zeros((1, 3), np.float32))


def test_losses_for_ablation_by_hand():
    """Star: the teacher's best against each other; ListNet: cross-entropy of softmax."""
    teacher, logits = torch.tensor([2.0, 0.0, 1.0]), torch.tensor([0.0, 0.0, 0.0])
    lists = torch.zeros(3, dtype=torch.long)
    # Margins of the teacher 2 and 1, of the student 0: (4 + 1) / 2.
    assert star_margin_mse(logits, teacher, lists).item() == pytest.approx(2.5)
    assert listnet(logits, teacher, lists).item() == pytest.approx(np.log(3), abs=1e-6)


def test_a_k_class_output_is_the_logit_of_its_expected_share():
    """Probabilities .25, .5, .25 over grades 0, .5, 1 are a share of .5: logit 0."""
    outputs = torch.log(torch.tensor([[0.25, 0.5, 0.25]]))
    assert relevance(outputs).item() == pytest.approx(0.0, abs=1e-5)
    # A share of .75 lies half way between the upper two grades.
    assert grade_shares(torch.tensor([0.75]), 3).tolist() == [[0.0, 0.5, 0.5]]
    found = loss("cross-entropy", 0.0, outputs, torch.tensor([0.75]), torch.tensor([0]))
    assert found.item() == pytest.approx(-0.5 * np.log(0.5) - 0.5 * np.log(0.25))


def _quiet():
    return Console(file=io.StringIO())
