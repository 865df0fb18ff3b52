"""Values as the detail of a row shows them."""

from __future__ import annotations

import pandas as pd

from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.payload import Blob
from ipydurable.widgets.values import view_value


def test_a_dataframe_is_its_first_rows_as_a_table() -> None:
    """With its names, its size, and cells as text; nothing of it but that travels."""
    frame = pd.DataFrame({"city": ["Basel", None], "t": [7.5, 1e-7]})
    large = pd.concat([frame] * 500, ignore_index=True)
    payload = NamespaceConverter({}).encode(large, "a value")
    assert isinstance(payload, Blob)
    view = view_value(payload)
    assert view.table is not None
    assert view.table.columns[:2] == ("city", "t")
    assert view.table.rows[0][:2] == ("Basel", "7.5")
    assert view.table.rows[1][:2] == ("", "1e-07")
    assert view.table.height == 1000
    assert len(view.table.rows) == 12
    assert "DataFrame" in view.text


def test_text_is_shown_whole_up_to_a_limit() -> None:
    """JSON as it stands; what is longer says so."""
    assert view_value('{"a": 1}').text == '{"a": 1}'
    long = view_value('"' + "x" * 30_000 + '"')
    assert long.cut
    assert len(long.text) == 20_000
    assert view_value(None).text == ""


def test_a_pickle_is_not_loaded() -> None:
    """What could run is only named."""
    payload = Blob(codec="pickle", data=b"\x80 anything", summary="Model")
    assert view_value(payload).text == "Model"
    assert view_value(Blob(codec="arrow", data=b"broken", summary="DataFrame")).table is None


def test_json_is_shown_as_people_write_it() -> None:
    """No tags of ours around the arguments of a call, or a number of numpy's."""
    assert view_value('{"$args":[1],"$kwargs":{"n":{"$numpy":["int64",2]}}}').text == '[1,{"n":2}]'
