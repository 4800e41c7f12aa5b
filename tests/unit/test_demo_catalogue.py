"""The made-up catalogue is a BEIR folder that says what it is and harms no other."""

import subprocess
import sys
from pathlib import Path

import pytest

from demo.catalogue import write_catalogue
from rerank_core.errors import ConfigError
from rerank_core.measures import BeirFolder

_REPOSITORY = Path(__file__).parents[2]


def _write(folder, seed=5):
    write_catalogue(folder, products=300, queries=10, seed=seed)
    return folder


def _bytes(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path):
    """Every file, compressed ones too."""
    first, again, other = (
        _bytes(_write(tmp_path / name, seed))
        for name, seed in [("first", 5), ("again", 5), ("other", 6)]
    )

    assert set(first) == {"README.md", "corpus.jsonl.gz", "queries.jsonl", "qrels/dev.tsv"}
    assert first == again
    assert all(first[name] != other[name] for name in first)


def test_the_folder_reads_as_beir(tmp_path):
    """Products with the fields of the default recipe, queries, and a judgment for each."""
    folder = BeirFolder(_write(tmp_path / "made"))

    products, queries, judgments = folder.products(), folder.queries(), folder.judgments("dev")
    assert len(products) == 300
    for fields in products.values():
        assert set(fields) == {"title", "text", "brand", "color", "category", "price_cents"}
        assert fields["title"]
        assert fields["text"]
        assert len(fields["category"]) == 2
        assert fields["price_cents"] % 100 == 99
    assert len(queries) == 10
    assert set(judgments) == set(queries)
    assert all(set(grades) <= set(products) for grades in judgments.values())


def test_what_is_made_up_says_so(tmp_path):
    """In the folder's README and in every id."""
    folder = _write(tmp_path / "made")

    assert (folder / "README.md").read_text().startswith("# A made-up shop\n")
    assert all(name.startswith("made-up-") for name in BeirFolder(folder).products())
    assert all(name.startswith("made-up-") for name in BeirFolder(folder).queries())


def test_a_made_up_catalogue_is_replaced(tmp_path):
    """Also one that was cut off after its first file."""
    folder = tmp_path / "made"
    fresh = _bytes(_write(folder, seed=5))
    _write(folder, seed=6)
    (folder / "corpus.jsonl.gz").unlink()

    assert _bytes(_write(folder, seed=5)) == fresh


def test_anybody_elses_folder_is_left_alone(tmp_path):
    """An error that names it, and not a byte changed."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "corpus.jsonl.gz").write_bytes(b"dear data")
    (folder / "README.md").write_text("# My shop\n")
    before = _bytes(folder)

    with pytest.raises(ConfigError, match=r"theirs: holds something else .* name a new folder"):
        _write(folder)
    assert _bytes(folder) == before


def test_a_path_that_cannot_be_a_folder_is_named(tmp_path):
    """Such as one below a file."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="name another folder"):
        _write(tmp_path / "file" / "made")


def test_the_command_writes_and_its_errors_are_one_line(tmp_path):
    """Exit code 0 and a folder; exit code 1 and a message with no traceback."""
    command = [sys.executable, "-m", "demo", "make-catalogue", str(tmp_path / "made")]

    good = subprocess.run(
        [*command, "--products", "200", "--queries", "5", "--seed", "3"],
        cwd=_REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    bad = subprocess.run(
        [*command, "--products", "0"],
        cwd=_REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (good.returncode, good.stderr) == (0, "")
    assert "200 made-up products, 5 graded queries" in good.stdout
    assert len(BeirFolder(tmp_path / "made").products()) == 200
    assert bad.returncode == 1
    assert bad.stderr == "demo: products: 0 is not 1 to 1000000\n"
