"""Building namespaces of packages: order, errors, lines, and modules that changed."""

import inspect
import linecache
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import DecodingError, DefinitionError
from ipydurable.runtime.definitions import Chunk, CodePackage
from ipydurable.runtime.namespace import build_namespace, hash_of_file
from ipydurable.runtime.signing import Signer
from ipydurable.runtime.stubs import Stub

SIGNER = Signer(b"k" * 32)


@pytest.fixture(autouse=True)
def known_lines() -> Iterator[None]:
    """Forget the lines that a test made known."""
    lines = dict(linecache.cache)
    yield
    linecache.cache.clear()
    linecache.cache.update(lines)


@pytest.fixture(autouse=True)
def no_cell_was_run_before(monkeypatch):
    """File names belong to the whole process; here each test is its first."""
    for name in [name for name in linecache.cache if name.startswith("Cell In[")]:
        monkeypatch.delitem(linecache.cache, name)
    monkeypatch.setattr("ipydurable.runtime.namespace._registered", set())


def chunk(name: str, source: str, filename: str = "Cell In[3]", first_line: int = 1) -> Chunk:
    """A chunk of a cell."""
    return Chunk(name=name, source=source, filename=filename, first_line=first_line)


def build(package: CodePackage) -> dict:
    """The package's globals."""
    return build_namespace(package, Stub, SIGNER)


def trace_of(function) -> str:
    """The traceback of a call that must divide by zero."""
    with pytest.raises(ZeroDivisionError) as caught:
        function()
    return "".join(traceback.format_exception(caught.value))


def test_everything_is_bound():
    """Imports, stubs, values and chunks are all globals of the function."""
    namespace = build(
        CodePackage(
            entry="f",
            imports=("import math", "from math import pi as PI"),
            stubs={"fetch": ("activity", "fetch_it")},
            values={"LIMIT": "3"},
            chunks=(chunk("f", "def f(): return math.floor(PI), LIMIT, fetch"),),
        )
    )

    floor, limit, stub = namespace["f"]()

    assert (floor, limit) == (3, 3)
    assert (stub.__durable_kind__, stub.__durable_name__) == ("activity", "fetch_it")
    assert namespace["f"].__module__ == "__main__"


def test_namespaces_share_nothing():
    """Two namespaces of one package have classes, values and functions of their own."""
    package = CodePackage(
        entry="f",
        values={"seen": "[]"},
        chunks=(chunk("f", "def f(x): seen.append(x); return seen"),),
    )
    one, other = build(package), build(package)

    assert one["f"](1) == [1]
    assert other["f"](2) == [2]


def test_a_value_is_there_as_soon_as_its_class_is():
    """An instance of a captured class can be a default argument of a later chunk."""
    source = "class Config:\n    def __init__(self, n): self.n = n"
    cell: dict = {"__name__": "__main__"}
    exec(source, cell)
    payload = NamespaceConverter(cell, SIGNER).encode(cell["Config"](5), "value")

    namespace = build(
        CodePackage(
            entry="f",
            values={"DEFAULT": payload},
            chunks=(
                chunk("Config", source),
                chunk("f", "def f(config=DEFAULT): return config", first_line=5),
            ),
        )
    )

    assert type(namespace["f"]()) is namespace["Config"]
    assert namespace["f"]().n == 5


def test_a_value_whose_class_never_comes_is_an_error():
    """A package that lacks a class of its own values says which variable needs it."""
    payload = '{"$dataclass":"__main__:Lost","fields":{}}'

    with pytest.raises(DecodingError, match=r"variable 'DEFAULT' of f.*Lost is not known here"):
        build(CodePackage(entry="f", values={"DEFAULT": payload}, chunks=(chunk("f", "f = 1"),)))


def test_a_package_of_a_module_keeps_the_modules_name():
    """Classes of a module's package are named after the module, and found in the namespace."""
    namespace = build(
        CodePackage(
            entry="Point",
            values={"__name__": '"orders_that_nobody_can_import"'},
            chunks=(chunk("Point", "class Point: pass"),),
        )
    )
    converter = NamespaceConverter(namespace, SIGNER)

    payload = converter.encode(namespace["Point"](), "value")

    assert namespace["Point"].__module__ == "orders_that_nobody_can_import"
    assert type(converter.decode(payload)) is namespace["Point"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import no_such_module", "f needs the module no_such_module .* does not have"),
        ("from math import no_such_name", "f needs 'from math import no_such_name'.*ImportError"),
    ],
)
def test_a_failing_import_is_named(statement: str, message: str):
    """The error names the statement and the Python that runs it."""
    with pytest.raises(DefinitionError, match=message) as caught:
        build(CodePackage(entry="f", imports=(statement,)))

    assert sys.executable in str(caught.value)


def test_code_that_fails_while_it_is_defined_is_located():
    """The error says which name, file and line failed, and how."""
    package = CodePackage(entry="f", chunks=(chunk("f", "@missing\ndef f(): pass", first_line=7),))

    with pytest.raises(DefinitionError, match=r"f \(Cell In\[3\], line 7\).*NameError"):
        build(package)


def test_names_that_are_missing_matter_only_when_they_are_used():
    """A function that mentions an unknown name is built, and runs as far as it can."""
    namespace = build(CodePackage(entry="f", chunks=(chunk("f", "def f(x): return x or later"),)))

    assert namespace["f"](1) == 1


def test_future_features_apply():
    """Chunks are compiled with the features of the cells they come from, not with ours."""
    source = "def f(x: Missing): pass"

    assert build(CodePackage(entry="f", future=("annotations",), chunks=(chunk("f", source),)))
    with pytest.raises(DefinitionError, match="Missing"):
        build(CodePackage(entry="f", chunks=(chunk("f", source),)))


def test_lines_are_those_of_the_cell():
    """Chunks of one cell share its lines; sources and tracebacks are right for each."""
    namespace = build(
        CodePackage(
            entry="f",
            chunks=(
                chunk("f", "def f():\n    return g()", first_line=5),
                chunk("g", "def g():\n    return 1 / 0", first_line=2),
            ),
        )
    )

    trace = trace_of(namespace["f"])

    assert 'File "Cell In[3]", line 6, in f\n    return g()' in trace
    assert 'File "Cell In[3]", line 3, in g\n    return 1 / 0' in trace
    assert inspect.getsource(namespace["f"]) == "def f():\n    return g()\n"
    assert inspect.getsource(namespace["g"]) == "def g():\n    return 1 / 0\n"


def test_other_lines_of_the_same_file_name_get_a_number():
    """A second notebook's `Cell In[3]` does not change what the first one's tracebacks show."""
    packages = [
        CodePackage(entry="f", chunks=(chunk("f", f"def f():\n    return {n} / 0"),))
        for n in (1, 2, 1)
    ]
    first, second, again = map(build, packages)

    assert 'File "Cell In[3]", line 2, in f\n    return 1 / 0' in trace_of(first["f"])
    assert 'File "Cell In[3] (2)", line 2, in f\n    return 2 / 0' in trace_of(second["f"])
    assert 'File "Cell In[3]", line 2, in f\n    return 1 / 0' in trace_of(again["f"])


def test_a_file_that_is_here_is_not_written_over(tmp_path: Path):
    """Lines of a real file are taken from it where they agree, and kept apart where they do not."""
    path = tmp_path / "orders.py"
    path.write_text("# orders\ndef f():\n    return 1 / 0\n")
    same = chunk("f", "def f():\n    return 1 / 0", str(path), 2)
    changed = chunk("f", "def f():\n    return 5 / 0", str(path), 2)

    one, other = (build(CodePackage(entry="f", chunks=(each,))) for each in (same, changed))

    assert f'File "{path}", line 3, in f\n    return 1 / 0' in trace_of(one["f"])
    assert f'File "{path} (2)", line 3, in f\n    return 5 / 0' in trace_of(other["f"])


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    """The file of a local module."""
    before = list(sys.path)
    yield tmp_path / "local_rates.py"
    sys.path[:] = before
    sys.modules.pop("local_rates", None)


def package_using(module: Path) -> CodePackage:
    """A package that uses the module as it is now."""
    return CodePackage(
        entry="f",
        imports=("import local_rates",),
        chunks=(chunk("f", "def f(): return local_rates.RATE"),),
        paths=(str(module.parent),),
        module_hashes={"local_rates": hash_of_file(str(module))},
    )


def test_a_local_module_that_changed_is_imported_anew(module: Path):
    """The newer version sees the newer module; the older one keeps what it has."""
    module.write_text("RATE = 1\n")
    older = build(package_using(module))
    module.write_text("RATE = 200\n")
    newer = build(package_using(module))

    assert (older["f"](), newer["f"]()) == (1, 200)


def test_an_older_version_of_a_local_module_is_reported(module: Path, caplog):
    """Where the file is no longer what a version was defined with, the log says so."""
    module.write_text("RATE = 1\n")
    older = package_using(module)
    module.write_text("RATE = 200\n")

    assert build(older)["f"]() == 200
    assert "local_rates has changed since this version of f was defined" in caplog.text


def test_local_folders_are_searched_last_later(module: Path):
    """A local module cannot hide an installed one from what is imported afterwards."""
    module.write_text("RATE = 1\n")
    build(package_using(module))

    assert sys.path[-1] == str(module.parent)
    assert sys.path[0] != str(module.parent)
