"""Whose labels are whose: what tells two teachers apart is in the keys of their labels."""

import hashlib

import pytest

from distillation.labels.store import label_key
from distillation.pipeline.members import CosineTeacher, CrossEncoderTeacher
from distillation.pipeline.members import ServerTeacher as Settings
from distillation.pipeline.recipe import read_recipe
from distillation.pipeline.teacher import open_member
from distillation.teachers.contract import Pair, TeacherIdentity
from distillation.teachers.prompt import Prompt
from distillation.teachers.server import ServerTeacher
from rerank_core.artifact import named_folder
from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_file
from rerank_core.text import ProductTextRecipe
from tests.tiny_models import make_cross_encoder

TEXT = ProductTextRecipe(("title",), query_tokens=4, product_tokens=6)
PROMPT, GRADES = "query {query} product {product} is", (" No", " Yes")
PAIR = Pair("Oak  shelf", "shelf of oak")


def _server(model="small", revision="r1", grades=GRADES):
    return Settings("server", TEXT, "http://127.0.0.1:9/v1", model, PROMPT, grades, revision)


def _key(teacher):
    return label_key(teacher.identity, PAIR)


def test_a_key_is_the_hash_of_revision_prompt_query_and_text():
    """Written out here, since stores of labels outlive the code: each part after its length."""
    digest = hashlib.sha256()
    for part in (b"r", b"p", b"oak shelf", b"shelf of oak"):
        digest.update(len(part).to_bytes(8, "big") + part)
    assert label_key(TeacherIdentity("any", "r", "p"), PAIR) == digest.digest()


def test_labels_of_two_models_of_a_server_do_not_mix():
    """One prompt, one revision; nor with a model in this process of the same revision."""
    names = {_key(ServerTeacher(_server(model))) for model in ("small", "large")}
    inside = TeacherIdentity("grade-tokens", "r1", Prompt(PROMPT, TEXT, GRADES).hash)
    assert len(names | {label_key(inside, PAIR)}) == 3
    assert _key(ServerTeacher(_server())) != _key(ServerTeacher(_server(revision="r2")))


@pytest.mark.parametrize("revision", ["", 'revision = ""'])
def test_a_server_without_a_revision_is_refused(tmp_path, revision):
    """Behind its name there may be other weights tomorrow."""
    path = tmp_path / "recipe.toml"
    path.write_text(f"""
[[teacher.members]]
kind = "server"
text = {{fields = ["title"]}}
url = "http://127.0.0.1:9/v1"
model = "small"
prompt = "{{query}} {{product}}"
grades = ["0", "1"]
{revision}
""")
    with pytest.raises(ConfigError, match="revision"):
        read_recipe(path)


def test_grades_that_are_one_token_are_refused():
    """`A` and ` A` are one answer of a server."""
    with pytest.raises(ValueError, match="grades: two or more, each different"):
        _server(grades=("A", " A"))


def test_a_part_of_a_network_is_another_teacher(tmp_path):
    """Fewer layers of the same weights; the whole one is called by its weights, as ever."""
    base = str(make_cross_encoder(tmp_path / "base"))
    whole, part = (
        open_member(CrossEncoderTeacher("cross-encoder", TEXT, base, layers), tmp_path, tmp_path)
        for layers in (None, 1)
    )
    assert _key(whole) != _key(part)
    assert whole.identity.revision == hash_file(tmp_path / "base" / "model.safetensors")


def test_a_network_without_a_head_is_no_teacher_until_it_is_trained(tmp_path):
    """Its head would be drawn by chance, another one in each process."""
    with pytest.raises(ConfigError, match=r"minilm: has no head of a cross-encoder.*\[.*fit\]"):
        open_member(CrossEncoderTeacher("cross-encoder", TEXT, "minilm"), tmp_path, tmp_path)
    assert open_member(CosineTeacher("cosine", TEXT), tmp_path, tmp_path).identity.revision
    assert named_folder("minilm").is_dir()
