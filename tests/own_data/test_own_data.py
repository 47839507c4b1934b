"""Tables and folders of the user's own become the file that launches read."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from bench.contract.errors import OwnModelError, UsageError
from bench.own_data.convert import convert
from bench.own_models.data_source import data_source, digest_of

ROWS = pd.DataFrame({"size": range(40), "rooms": [1.5, 2.5] * 20, "town": ["b", "a"] * 20, "price": range(40)})


@pytest.fixture
def arrays(tmp_path):
    """The arrays that launches read of a file or folder, as --dataset names it."""

    def read(text):
        convert(data_source(str(text)), tmp_path / "out.npz")
        with np.load(tmp_path / "out.npz", allow_pickle=False) as archive:
            return dict(archive)

    return read


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_of_other_countries_is_read_by_its_first_line(arrays, tmp_path, separator):
    ROWS.to_csv(tmp_path / "prices.csv", index=False, sep=separator)

    assert arrays(f"{tmp_path / 'prices.csv'}:price")["x_train/size"].shape == (36, 1)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_numbers_of_a_table_are_one_matrix(arrays, tmp_path, kind):
    path = tmp_path / f"prices.{kind}"
    numbers = ROWS.drop(columns="town")
    numbers.to_csv(path, index=False) if kind == "csv" else numbers.to_parquet(path)
    found = arrays(path)

    assert (found["x_train"].shape, found["x_test"].shape) == ((36, 2), (4, 2))
    assert found["x_train"].dtype == np.float32
    assert sorted([*found["y_train"], *found["y_test"]]) == list(range(40))
    assert (found["x_train"][:, 0] == found["y_train"]).all()
    assert "4 drawn at random, are the test set" in str(found["note"])


def test_a_table_with_words_has_an_input_for_each_column(arrays, tmp_path):
    ROWS.to_csv(tmp_path / "prices.csv", index=False)
    found = arrays(f"{tmp_path / 'prices.csv'}:price")

    assert {name for name in found if name.startswith("x_train")} == {"x_train/size", "x_train/rooms", "x_train/town"}
    assert set(found["x_train/town"].ravel()) == {0, 1}
    assert "town has 2 different words" in str(found["note"])


def test_labels_of_words_are_numbered(arrays, tmp_path):
    ROWS.to_csv(tmp_path / "prices.csv", index=False)

    assert set(arrays(f"{tmp_path / 'prices.csv'}:town")["y_train"]) == {0, 1}


def picture(path, shade, size=(8, 6), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, shade).save(path)


def test_a_word_that_some_take_for_nothing_is_a_word(arrays, tmp_path):
    (tmp_path / "a.csv").write_text("country,y\n" + "NA,1\nNone,2\nnull,3\nAT,4\n" * 5)
    found = arrays(f"{tmp_path / 'a.csv'}:y")

    assert "country has 4 different words" in str(found["note"])


def test_a_folder_of_images_keeps_its_bytes(arrays, tmp_path):
    for number in range(10):
        picture(tmp_path / "photos" / "cats" / f"{number}.png", (number, 0, 0))
        picture(tmp_path / "photos" / "dogs" / f"{number}.png", (100 + number, 0, 0))
    found = arrays(tmp_path / "photos")

    assert (found["x_train"].shape, found["x_train"].dtype) == ((18, 6, 8, 3), np.uint8)
    assert (found["y_train"] == (found["x_train"][:, 0, 0, 0] >= 100)).all()
    assert "2 classes in the order of the alphabet: cats, dogs" in str(found["note"])


def test_a_folder_with_a_test_part_keeps_it(arrays, tmp_path):
    for part, shade in (("train", 1), ("validation", 2)):
        for name in ("a", "b"):
            picture(tmp_path / "photos" / part / name / "one.png", shade, mode="L")
    found = arrays(tmp_path / "photos")

    assert found["x_train"].shape == (2, 6, 8, 1)
    assert (found["x_train"] == 1).all()
    assert (found["x_test"] == 2).all()


def test_images_of_different_sizes_are_scaled_where_asked(arrays, tmp_path):
    picture(tmp_path / "photos" / "a" / "one.png", (1, 2, 3))
    picture(tmp_path / "photos" / "b" / "two.jpg", (1, 2, 3), size=(30, 20))
    with pytest.raises(UsageError, match=r"one.png has shape \(6, 8, 3\) and two.jpg \(20, 30, 3\); say a size"):
        arrays(tmp_path / "photos")

    assert arrays(f"{tmp_path / 'photos'}:16")["x_train"].shape[1:] == (16, 16, 3)


def test_grey_images_among_coloured_ones_get_their_channels(arrays, tmp_path):
    picture(tmp_path / "photos" / "a" / "one.png", 7, mode="L")
    picture(tmp_path / "photos" / "b" / "two.png", (1, 2, 3))
    (tmp_path / "photos" / ".ipynb_checkpoints").mkdir()
    found = arrays(tmp_path / "photos")

    assert found["x_train"].shape[1:] == (6, 8, 3)
    assert "2 classes" in str(found["note"])


def test_lists_in_a_table_are_refused_in_one_line(arrays, tmp_path):
    pd.DataFrame({"x": [[1, 2], [3, 4]], "y": [0, 1]}).to_parquet(tmp_path / "lists.parquet")
    with pytest.raises(UsageError, match=r"lists.parquet: has lists in x; give a function"):
        arrays(tmp_path / "lists.parquet")


def saved(folder, table):
    """As `datasets.Dataset.save_to_disk` leaves it."""
    folder.mkdir(parents=True)
    with pa.OSFile(str(folder / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))


def test_tokens_that_datasets_saved_are_an_array(arrays, tmp_path):
    table = pa.table({"input_ids": [[1, 2, 3]] * 20, "text": ["x"] * 20, "label": [0, 1] * 10})
    for split in ("train", "test"):
        saved(tmp_path / "set" / split, table)
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found = arrays(tmp_path / "set")

    assert found["x_train"].shape == found["x_test"].shape == (20, 3)
    assert "text is left out" in str(found["note"])


def test_images_that_datasets_saved_are_decoded(arrays, tmp_path):
    picture(tmp_path / "one.png", (1, 2, 3))
    images = [{"bytes": (tmp_path / "one.png").read_bytes(), "path": None}] * 10
    saved(tmp_path / "set", pa.table({"image": images, "label": list(range(10))}))

    assert arrays(tmp_path / "set")["x_train"].shape == (9, 6, 8, 3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "x,y\n1,2\n", "has no column z, but x, y"),
        ("a.csv", "x,y\n1,\n", "has empty cells in y"),
        ("a.csv", "x,y\nNA,2\n,3\n", "has empty cells in x"),
        ("a.parquet", "none", "cannot be read"),
        ("a.csv", "z\n1\n", "has no column besides the label z"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_one_line(arrays, tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=said) as error:
        arrays(f"{tmp_path / name}:{'y' if 'empty' in said else 'z'}")

    assert "\n" not in str(error.value)


def test_a_file_that_is_no_image_is_named(arrays, tmp_path):
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "one.png").write_text("none")
    with pytest.raises(UsageError, match=r"one.png: is no image that can be read"):
        arrays(tmp_path / "photos")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data.h5", "expected a data set's name"),
        ("empty", "expected a data set's name"),
        ("gone.csv", "there is no data file"),
        ("data.py", "say which function gives the data"),
        ("data.npz:x", "has its arrays by name"),
    ],
)
def test_what_is_no_data_source_is_refused(tmp_path, text, said):
    for name in ("data.h5", "data.py", "data.npz"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(OwnModelError, match=said):
        data_source(str(tmp_path / text))


def test_the_digest_of_a_folder_changes_with_any_file(tmp_path):
    for number, shade in enumerate((1, 2)):
        picture(tmp_path / "photos" / "a" / f"{number}.png", shade, mode="L")
    before = digest_of(data_source(str(tmp_path / "photos")))
    picture(tmp_path / "photos" / "a" / "1.png", 3, mode="L")

    assert digest_of(data_source(str(tmp_path / "photos"))) != before
