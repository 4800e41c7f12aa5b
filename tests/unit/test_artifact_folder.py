"""A model folder is what its manifest says, or it is refused by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from rerank_core.artifact import (
    MANIFEST_NAME,
    Licence,
    Metric,
    Output,
    ProbabilityCalibration,
    open_artifact,
    seal_artifact,
)
from rerank_core.errors import ArtifactError
from rerank_core.hashing import hash_file
from rerank_core.text import DEFAULT_RECIPE, ProductTextRecipe
from tests.tiny_models import make_bi_encoder, make_cross_encoder

RECIPE = ProductTextRecipe(fields=("title", "brand"), query_tokens=8, product_tokens=16)
FACTS = {
    "probability": ProbabilityCalibration(slope=1.5, intercept=-0.25, data="dev"),
    "metrics": (Metric("nDCG@10", "dev", "judged list", 0.75, 40),),
    "lineage": {"seed": 7, "base": ["minilm"]},
    "licence": Licence("research-use", "labels are research-use"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Finished folders without a manifest."""
    root = tmp_path_factory.mktemp("models")
    return {
        "cross-encoder": make_cross_encoder(root / "cross"),
        "bi-encoder": make_bi_encoder(root / "bi"),
    }


@pytest.fixture
def plain(made, tmp_path):
    """A fresh cross-encoder folder without a manifest."""
    return shutil.copytree(made["cross-encoder"], tmp_path / "cross")


def seal(folder, **changes):
    described = {"name": "tiny", "kind": "cross-encoder", "recipe": RECIPE, **changes}
    return seal_artifact(folder, **described)


@pytest.fixture
def sealed(plain):
    """The same with one."""
    seal(plain, **FACTS)
    return plain


def edit(folder, name=MANIFEST_NAME, **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_was_sealed_is_what_is_opened(plain):
    output = Output(label="exact", index=0, activation="identity")
    written = seal(plain, output=output, **FACTS)
    opened = open_artifact(plain)
    assert opened == written
    manifest = opened.manifest
    assert (manifest.format, manifest.name, manifest.kind) == (1, "tiny", "cross-encoder")
    assert (manifest.recipe, manifest.output) == (RECIPE, output)
    assert {name: getattr(manifest, name) for name in FACTS} == FACTS
    assert set(manifest.files) == {"config.json", "tokenizer.json", "model.safetensors"}
    assert manifest.files["config.json"] == hash_file(plain / "config.json")
    assert opened.max_tokens == 8 + 16 + 3


def test_a_bi_encoder_reads_products_alone(made, tmp_path):
    folder = shutil.copytree(made["bi-encoder"], tmp_path / "bi")
    artifact = seal(folder, kind="bi-encoder")
    assert artifact.max_tokens == 16 + 2
    assert {"modules.json", "1_Pooling/config.json"} < set(artifact.manifest.files)


def test_sealing_again_replaces_the_manifest(sealed):
    before = open_artifact(sealed).manifest.model_hash
    seal(sealed, recipe=replace(RECIPE, product_tokens=17))
    assert open_artifact(sealed).manifest.model_hash != before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("model.safetensors", "copy the folder anew"),
        ("tokenizer.json", "copy the folder anew"),
        ("config.json", "copy the folder anew"),
    ],
)
def test_one_changed_byte_is_named(sealed, name, told):
    path = sealed / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=told) as caught:
        open_artifact(sealed)
    assert str(path) in str(caught.value)


def test_a_file_cut_off_is_named(sealed):
    path = sealed / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"model\.safetensors: sha256"):
        open_artifact(sealed)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_needed_file_that_is_gone_is_named(sealed, name):
    (sealed / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name}: missing; a model folder needs it"):
        open_artifact(sealed)


def test_weights_that_are_gone_are_named(sealed):
    """Also where other weights, which the manifest does not know, stand in for them."""
    (sealed / "onnx").mkdir()
    (sealed / "model.safetensors").rename(sealed / "onnx/model.onnx")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: named in the manifest, not in"):
        open_artifact(sealed)


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx_data", "model.onnx.data"])
def test_weights_that_the_manifest_does_not_know_are_named(sealed, name):
    (sealed / "onnx").mkdir()
    (sealed / "onnx" / name).write_bytes(b"slipped in")
    with pytest.raises(ArtifactError, match="not in the manifest; seal the folder again") as caught:
        open_artifact(sealed)
    assert str(sealed / "onnx" / name) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"recipe": {"fields": ["title"]}}, "model_hash does not follow"),
        ({"output": {"index": 1}}, "model_hash does not follow"),
        ({"kind": "bi-encoder"}, "model_hash does not follow"),
        ({"model_hash": "0" * 64}, "model_hash does not follow"),
        ({"format": 2}, "format: Input should be 1"),
        ({"surplus": True}, "surplus: Unexpected"),
        ({"recipe": {"fields": []}}, "recipe.fields: name each field once"),
        ({"recipe": {"fields": ["title"], "query_tokens": "8"}}, "recipe.query_tokens: "),
        ({"recipe": {"fields": ["title"], "separatr": "|"}}, "recipe.separatr: "),
        ({"metrics": [{"measure": "x"}]}, "metrics.0.data: "),
        ({"licence": None}, "licence: "),
    ],
)
def test_an_edited_manifest_is_refused_by_what_was_edited(sealed, change, told):
    edit(sealed, **change)
    with pytest.raises(ArtifactError, match=told) as caught:
        open_artifact(sealed)
    assert str(sealed) in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 1}'])
def test_a_manifest_that_is_none_is_refused(sealed, content):
    (sealed / MANIFEST_NAME).write_text(content)
    with pytest.raises(ArtifactError, match=MANIFEST_NAME):
        open_artifact(sealed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": (Metric("nDCG@10", "dev", "judged list", float("nan"), 40),)},
        {"metrics": "good"},
        {"lineage": {"trainer": object()}},
        {"probability": ProbabilityCalibration("1", 0.0, "dev")},
    ],
)
def test_wrong_facts_leave_the_folder_as_it_was(sealed, wrong):
    """Sealing fails before it writes, so that the model goes on serving."""
    before = (sealed / MANIFEST_NAME).read_bytes()
    with pytest.raises(ArtifactError, match="not written"):
        seal(sealed, **wrong)
    assert (sealed / MANIFEST_NAME).read_bytes() == before
    assert sorted(path.name for path in sealed.glob("*.new")) == []
    assert open_artifact(sealed).manifest.lineage == FACTS["lineage"]


def test_the_model_hash_is_of_what_decides_a_score(sealed, made):
    """Recipe, output, weights, tokenizer and config; cards, names and metrics may change."""
    hashes = {"first": open_artifact(sealed).manifest.model_hash}
    (sealed / "README.md").write_text("a new card")
    (sealed / "training.log").write_text("loss fell")
    again = seal(sealed, name="renamed", metrics=(), lineage={})
    assert again.manifest.model_hash == hashes["first"]
    hashes["recipe"] = seal(sealed, recipe=replace(RECIPE, separator="\n")).manifest.model_hash
    hashes["output"] = seal(sealed, output=Output(activation="identity")).manifest.model_hash
    for name in ("config.json", "tokenizer.json"):
        kept = (sealed / name).read_bytes()
        (sealed / name).write_bytes(kept + b"\n")
        hashes[name] = seal(sealed).manifest.model_hash
        (sealed / name).write_bytes(kept)
    shutil.copy(made["bi-encoder"] / "model.safetensors", sealed)
    hashes["weights"] = seal(sealed).manifest.model_hash
    assert len(set(hashes.values())) == len(hashes)


def test_a_plain_folder_is_described_from_its_files(made):
    """No manifest: the default recipe, kind by architecture, hash as a sealed one would have."""
    cross = open_artifact(made["cross-encoder"]).manifest
    assert (cross.kind, cross.name, cross.recipe) == ("cross-encoder", "cross", DEFAULT_RECIPE)
    bi = open_artifact(made["bi-encoder"]).manifest
    assert (bi.kind, bi.recipe) == ("bi-encoder", DEFAULT_RECIPE)
    assert not (made["bi-encoder"] / MANIFEST_NAME).exists()


def test_a_sealed_plain_folder_keeps_its_hash(made, plain):
    described = open_artifact(plain).manifest
    assert seal(plain, recipe=DEFAULT_RECIPE).manifest.model_hash == described.model_hash


def test_a_plain_bi_encoder_reads_no_more_than_it_was_made_for(made, tmp_path):
    """`max_seq_length` counts [CLS] and [SEP], the recipe does not."""
    folder = shutil.copytree(made["bi-encoder"], tmp_path / "bi")
    edit(folder, "sentence_bert_config.json", max_seq_length=64)
    assert open_artifact(folder).manifest.recipe.product_tokens == 62


def test_pickled_weights_are_never_read(plain):
    (plain / "model.safetensors").rename(plain / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match=r"pytorch_model\.bin.* never read, save the model as"):
        open_artifact(plain)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="no such folder; give the path of a model folder"):
        open_artifact(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="file: no such folder"):
        open_artifact(tmp_path / "file")


@pytest.mark.parametrize(
    "architectures", ["BertForSequenceClassification", {"0": "Bert"}, 5, [5], [None]]
)
def test_architectures_of_another_type_are_named(plain, architectures):
    """A string would be read by its first letter, and the model taken for a bi-encoder."""
    edit(plain, "config.json", architectures=architectures)
    with pytest.raises(ArtifactError, match=r"config\.json: architectures must be a list of names"):
        open_artifact(plain)


def test_a_file_that_the_manifest_names_and_that_decides_nothing_is_told_apart(sealed):
    """It is there, so nothing is missing: the manifest is at fault."""
    (sealed / "README.md").write_text("a card")
    files = json.loads((sealed / MANIFEST_NAME).read_text())["files"]
    edit(sealed, files={**files, "README.md": hash_file(sealed / "README.md")})
    with pytest.raises(ArtifactError, match=r"README\.md: .* decides no score of a cross-encoder"):
        open_artifact(sealed)


def test_a_manifest_that_is_a_dangling_link_is_no_plain_folder(sealed):
    """Its recipe is lost, and the default one would give other scores."""
    (sealed / MANIFEST_NAME).unlink()
    (sealed / MANIFEST_NAME).symlink_to(sealed / "gone.json")
    with pytest.raises(ArtifactError, match=f"{MANIFEST_NAME}: No such file"):
        open_artifact(sealed)


def test_a_manifest_that_cannot_be_put_in_place_leaves_nothing_beside_it(plain):
    """A folder stands where it belongs."""
    (plain / MANIFEST_NAME / "inner").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="not written: Is a directory"):
        seal(plain)
    assert [path.name for path in plain.glob(".*")] == []


@pytest.mark.parametrize(
    ("content", "told"), [("{", "not JSON"), ("[]", "must hold one JSON dict")]
)
def test_a_plain_folder_with_a_broken_config_is_refused(plain, content, told):
    (plain / "config.json").write_text(content)
    with pytest.raises(ArtifactError, match=told) as caught:
        open_artifact(plain)
    assert str(plain / "config.json") in str(caught.value)
