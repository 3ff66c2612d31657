"""Tables in text as data sets."""

import numpy as np
import pytest
import torch

from metarl.fewshot.data import tables
from metarl.fewshot.data.tables import load_csv
from metarl.files import FileError

SPLITS = ("train", "validation", "test")


def sources(dataset):
    return [dataset.split(split) for split in SPLITS]


def features(dataset):
    """Of all splits, by class."""
    return {
        name: source.examples[index * 2 : index * 2 + 2]
        for source in sources(dataset)
        for index, name in enumerate(source.class_names)
    }


TABLE = "width;height;species\n" + "".join(
    f"{row};{row * row};{name}\n" for row in range(6) for name in ("rose", "iris")
)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("signature", ["", "\ufeff"])
def test_csv(tmp_path, separator, signature):
    path = tmp_path / "flowers.csv"
    path.write_text(signature + TABLE.replace(";", separator), encoding="utf-8")
    dataset, notes = load_csv(path, split="examples")
    assert notes == ()
    assert (dataset.name, dataset.train.shape) == ("flowers", (2,))
    assert dataset.train.class_names == ("iris", "rose")
    every = torch.cat([source.examples[:, 0] for source in sources(dataset)])
    assert len(every.unique()) == 6
    torch.testing.assert_close(dataset.train.examples.mean(0), torch.zeros(2), atol=1e-6, rtol=0)


def test_csv_with_the_class_in_another_column(tmp_path):
    path = tmp_path / "flowers.csv"
    rows = "".join(f"{row % 6},{row},{row * 2}\n" for row in range(12))
    path.write_text("\ufeffkind,id,size\n" + rows, encoding="utf-8")
    dataset, _ = load_csv(path, label="kind")
    assert sorted(sum((source.class_names for source in sources(dataset)), ())) == list("012345")
    for source in sources(dataset):
        # id and size are one feature at two scales
        torch.testing.assert_close(source.examples[:, 0], source.examples[:, 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "t.csv: No such file"),
        ("", "needs a line of column names and lines of examples"),
        ("a,b\n", "needs a line of column names and lines of examples"),
        ("1,2\n3,4\n", "its first line must name the columns, but holds the number 1: --header no"),
        ("a\n1\n", "needs a column for the class and one for a feature"),
        ("a,b\n1,2\n\n1\n", "line 4 has 1 cells for 2 columns"),
        ("a,b\n1,x\nlong,y\n", "line 3, column a: 'long' is not a number"),
        ("a,b\n1,x\n,y\n", "line 3, column a: '' is not a number"),
        ("a,b\n1,2.5\n", "column b holds 2.5; labels must be integers or names"),
        ("a,b\n1,\n", "line 2 has no b"),
        ("a,b\n1,x\nnan,y\n", "features? .*not finite|too few"),
        (b"a,b\n\xff\xfe,1\n", "t.csv: not a table of text in UTF-8"),
        ("a,b\xff\n1,x\n".encode("latin-1"), "t.csv: not a table of text in UTF-8"),
        ("a,b\n1_000,x\n", "line 2, column a: '1_000' is not a number"),
        ('a,b\n"1"0,x\n', "not a table of text"),
        ('a,b\n"1,x\n2,y\n', "not a table of text"),
        ("a,b,\n1,x,\n", "column 3 has no name"),
    ],
)
def test_a_bad_csv(tmp_path, content, message):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileError, match=message):
        load_csv(path)


def test_csv_without_the_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n")
    with pytest.raises(FileError, match="has no column 'c'; it has: a, b"):
        load_csv(path, label="c")


EXAMPLES = [f"{row % 6}.5,{row},{'abcdef'[row % 6]}" for row in range(12)]


@pytest.mark.parametrize("label", [None, "3"])
def test_a_table_without_names_loses_no_line(tmp_path, label):
    """Whether the first line is an example, nobody but the user knows."""
    path = tmp_path / "t.csv"
    path.write_text("\n".join(EXAMPLES))
    with pytest.raises(
        FileError, match=r"t.csv: its first line must name .* the number 0\.5: --hea"
    ):
        load_csv(path, label=label)
    dataset, _ = load_csv(path, label=label, header="no")
    assert sum(int(source.counts.sum()) for source in sources(dataset)) == 12
    path.write_text("\n".join(["0.5,b,c", *EXAMPLES]))
    named, _ = load_csv(path, header="yes")
    assert features(named).keys() == features(dataset).keys()
    for name, values in features(named).items():
        assert torch.equal(values, features(dataset)[name])


def test_names_that_are_all_text_need_no_option(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a,b,c", *EXAMPLES]))
    assert int(load_csv(path).dataset.train.counts.sum()) == 4


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_row_numbers_of_pandas_are_no_feature(tmp_path, name):
    """Rows sorted by class would give it away by their numbers."""
    path, plain = tmp_path / "t.csv", tmp_path / "plain.csv"
    rows = sorted(EXAMPLES, key=lambda row: row[-1])
    plain.write_text("\n".join(["a,b,c", *rows]))
    path.write_text("\n".join([f"{name},a,b,c", *(f"{i},{row}" for i, row in enumerate(rows))]))
    dataset, notes = load_csv(path)
    assert notes == (f"{path}: left out its first column, which has no name (row numbers?)",)
    assert dataset.train.shape == (2,)
    for source, expected in zip(sources(dataset), sources(load_csv(plain).dataset), strict=True):
        assert torch.equal(source.examples, expected.examples)
    path.write_text(f"{name},c\n1,x\n")
    with pytest.raises(FileError, match="needs a column for the class and one for a feature"):
        load_csv(path)


def test_a_column_that_is_there_twice(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,c,c\n1,x,y\n")
    with pytest.raises(FileError, match="has several columns 'c'; it has: a, c, c"):
        load_csv(path, label="c")


@pytest.mark.parametrize("place", [0, 1])
def test_one_giant_line_is_no_table(tmp_path, monkeypatch, place):
    monkeypatch.setattr(tables, "LONGEST_LINE", 1000)
    path = tmp_path / "t.csv"
    lines = ["a,b", "1,x"]
    lines[place] = ",".join("1" * 501)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FileError, match=f"line {place + 1} has over 1000 characters: not a table"):
        load_csv(path)


def test_numbers_are_those_of_the_file(tmp_path):
    """Against NumPy, up to the scaling of the train split."""
    path = tmp_path / "t.csv"
    x = np.random.default_rng(0).normal(size=(12, 3))
    rows = [",".join(map(repr, row.tolist())) + f",{i % 6}" for i, row in enumerate(x)]
    path.write_text("\n".join(["a,b,c,d", *rows]))
    dataset = load_csv(path).dataset
    train = [int(name) for name in dataset.train.class_names]
    every = x[[row for name in train for row in (name, name + 6)]]
    expected = (every - every.mean(0)) / every.std(0)
    torch.testing.assert_close(dataset.train.examples, torch.from_numpy(expected).float())
