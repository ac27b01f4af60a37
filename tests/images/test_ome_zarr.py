"""OME-Zarr and plain Zarr: what is read, what comes back, and what is refused."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from kinds import values
from stores import documents, json_of, make_array, make_store, values_of, zarr

from evodenoise.errors import ImageError, OutputError
from evodenoise.images import Image, ReadOptions, check_output, read_image, write_image
from evodenoise.system import scratch

DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every array for one that is larger than the memory."""
    monkeypatch.setattr(scratch, "MAPPED_FROM", 1)
    monkeypatch.setattr(scratch, "PIECE", 1000)


def copy(
    source: Path, target: Path, change: Callable[[Image], Image] = lambda image: image
) -> Image:
    """Read an image and write it as the command does."""
    image = read_image(source)
    changed = change(image)
    check_output(target, changed.blank(), source=source, overwrite=False)
    write_image(target, changed)
    return image


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.usefixtures("large")
def test_the_same_comes_back_of_large_stores(tmp_path: Path, dtype: str) -> None:
    """Larger than the memory: region by region."""
    test_the_same_comes_back(tmp_path, dtype, 3)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_comes_back(tmp_path: Path, dtype: str, zarr_format: int) -> None:
    array = values(dtype, 2, 3, 1, 16, 18)
    levels = [array, np.zeros((2, 3, 1, 8, 9), dtype)]
    # 4 x 4 chunks in 8 x 8 shards, where there are shards.
    chunks = {"shards": (1, 3, 1, 8, 8), "chunks": (1, 3, 1, 4, 4)} if zarr_format == 3 else {}
    source = make_store(tmp_path / "in.zarr", levels, "tczyx", zarr_format=zarr_format, **chunks)
    image = copy(source, tmp_path / "out.zarr")
    assert (image.axes, image.pixels.shape) == ("TYXC", (2, 16, 18, 3))
    np.testing.assert_array_equal(image.pixels, array[:, :, 0].transpose(0, 2, 3, 1))
    assert documents(tmp_path / "out.zarr") == documents(source)
    np.testing.assert_array_equal(values_of(tmp_path / "out.zarr"), array)
    small = values_of(tmp_path / "out.zarr", "1")
    blocks = array.astype(float).reshape(2, 3, 1, 8, 2, 9, 2).mean(axis=(4, 6))
    np.testing.assert_allclose(small, blocks, atol=0.51 if array.dtype.kind != "f" else 0.1)


SETTINGS: dict[str, tuple[int, dict[str, Any]]] = {
    "big-endian": (2, {"dtype": ">u2"}),
    "columns first": (2, {"order": "F"}),
    "uncompressed": (2, {"compressors": None}),
    "nested chunks": (2, {"chunk_key_encoding": {"name": "v2", "separator": "/"}}),
    "gzip": (3, {"compressors": zarr.codecs.GzipCodec(level=2)}),
    "blosc": (3, {"compressors": zarr.codecs.BloscCodec(typesize=2, cname="lz4")}),
    "filled": (3, {"fill_value": 7}),
    "named": (3, {"dimension_names": ("y", "x")}),
    "consolidated 2": (2, {"consolidated": True}),
    "consolidated 3": (3, {"consolidated": True}),
}


@pytest.mark.filterwarnings("ignore:Consolidated")
@pytest.mark.parametrize("name", SETTINGS)
def test_how_values_are_stored_is_kept(tmp_path: Path, name: str) -> None:
    zarr_format, settings = SETTINGS[name]
    array = values("uint16").astype(settings.pop("dtype", "uint16"))
    levels = [array, array[::2, ::2]]
    source = make_store(tmp_path / "in.zarr", levels, "yx", zarr_format=zarr_format, **settings)
    copy(source, tmp_path / "out.zarr")
    assert documents(tmp_path / "out.zarr") == documents(source)
    np.testing.assert_array_equal(values_of(tmp_path / "out.zarr"), array)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(("old", "new"), [("uint8", "float32"), ("float32", "uint8")])
def test_another_type_of_values(tmp_path: Path, zarr_format: int, old: str, new: str) -> None:
    array = (values("uint8") // 2).astype(old)
    chunks = {"shards": (8, 8), "chunks": (4, 4)} if zarr_format == 3 else {}
    source = make_store(
        tmp_path / "in.zarr", [array, array[::2, ::2]], "yx", zarr_format=zarr_format, **chunks
    )
    copy(
        source,
        tmp_path / "out.zarr",
        lambda image: image.with_pixels(image.pixels.astype(new)),
    )
    for path in ("0", "1"):
        assert values_of(tmp_path / "out.zarr", path).dtype == new
    np.testing.assert_array_equal(values_of(tmp_path / "out.zarr"), array)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_without_metadata_it_is_still_an_image(tmp_path: Path, zarr_format: int) -> None:
    array = values("uint16", 2, 16, 18)
    levels = [array, array[:, ::2, ::2]]
    source = make_store(tmp_path / "in.zarr", levels, "zyx", zarr_format=zarr_format)
    copy(source, tmp_path / "out.zarr", Image.stripped)
    again = read_image(tmp_path / "out.zarr")
    assert again.metadata.names == ("a pyramid of 2 levels",)
    assert again.layout.axes == "ZYX"
    assert "objective" not in json.dumps(documents(tmp_path / "out.zarr"))
    np.testing.assert_array_equal(again.pixels, array)


def test_levels_in_groups_and_slices_that_shrink_too(tmp_path: Path) -> None:
    array = values("float32", 4, 16, 18)
    source = make_store(
        tmp_path / "in.zarr",
        [array, array[::2, ::2, ::2], array[:1, :4, :4]],
        "zyx",
        paths=("scale/full", "scale/half", "scale/tiny"),
    )
    copy(source, tmp_path / "out.zarr")
    half = values_of(tmp_path / "out.zarr", "scale/half")
    expected = array.reshape(2, 2, 8, 2, 9, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(half, expected, rtol=1e-6)
    assert values_of(tmp_path / "out.zarr", "scale/tiny").shape == (1, 4, 4)
    assert documents(tmp_path / "out.zarr") == documents(source)


# --- axes


@pytest.mark.parametrize(
    ("shape", "axes", "pixels"),
    [
        ((1, 1, 1, 16, 18), "tczyx", (16, 18)),
        ((1, 3, 1, 16, 18), "tczyx", (16, 18, 3)),
        ((5, 2, 16, 18), "czyx", (10, 16, 18)),  # channels that are too many are pages
        ((4, 1, 18), "zyx", (4, 1, 18)),
    ],
)
def test_axes_are_read_as_in_ome_tiff(
    tmp_path: Path, shape: tuple[int, ...], axes: str, pixels: tuple[int, ...]
) -> None:
    source = make_store(tmp_path / "in.zarr", [values("uint8", *shape)], axes)
    image = copy(source, tmp_path / "out.zarr")
    assert image.pixels.shape == pixels
    np.testing.assert_array_equal(values_of(tmp_path / "out.zarr"), values_of(source))


def test_the_user_knows_better(tmp_path: Path) -> None:
    source = make_store(tmp_path / "in.zarr", [values("uint8", 3, 16, 18)], "cyx")
    assert read_image(source).pixels.shape == (16, 18, 3)
    assert read_image(source, ReadOptions(axes="TYX")).pixels.shape == (3, 16, 18)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("is_alone", [True, False])
def test_plain_arrays(tmp_path: Path, zarr_format: int, is_alone: bool) -> None:
    array = values("uint16", 3, 16, 18)
    source, target = tmp_path / "in.zarr", tmp_path / "out.zarr"
    if is_alone:
        stored = zarr.create_array(
            source, shape=array.shape, dtype=array.dtype, chunks=(1, 8, 8), zarr_format=zarr_format
        )
        stored[...] = array
        stored.attrs["exposure"] = 0.1
    else:
        group = zarr.open_group(source, mode="w", zarr_format=zarr_format)
        make_array(group, "data", array)
        group.attrs["exposure"] = 0.1
    image = copy(source, target)
    assert image.metadata.names == ("attribute exposure",)
    np.testing.assert_array_equal(image.pixels, array)
    np.testing.assert_array_equal(values_of(target, "" if is_alone else "data"), array)
    assert documents(target) == documents(source)


def test_names_of_dimensions_are_axes(tmp_path: Path) -> None:
    array = values("uint16", 16, 18, 3)
    stored = zarr.create_array(
        tmp_path / "in.zarr", shape=array.shape, dtype="uint16", dimension_names=("y", "x", "t")
    )
    stored[...] = array
    np.testing.assert_array_equal(read_image(tmp_path / "in.zarr").pixels, array.transpose(2, 0, 1))


# --- from and to other formats


@pytest.mark.parametrize(
    ("shape", "settings", "axes"),
    [
        ((16, 18), {}, "yx"),
        ((16, 18, 3), {"photometric": "rgb"}, "cyx"),
        ((2, 5, 16, 18), {"metadata": {"axes": "ZTYX"}, "ome": True}, "tzyx"),
        ((2, 3, 16, 18), {"metadata": {"axes": "TCYX"}, "ome": True}, "tcyx"),
        ((2, 16, 18), {"metadata": {"axes": "QYX"}}, "tyx"),
    ],
)
def test_from_tiff_and_back(
    tmp_path: Path, shape: tuple[int, ...], settings: dict[str, Any], axes: str
) -> None:
    array = values("uint16", *shape)
    settings = {"photometric": "minisblack", **settings}
    tifffile.imwrite(tmp_path / "in.tif", array, **settings)
    image = copy(tmp_path / "in.tif", tmp_path / "out.zarr")
    root = json_of(tmp_path / "out.zarr" / "zarr.json")["attributes"]["ome"]
    assert root["version"] == "0.5"
    (described,) = root["multiscales"]
    assert "".join(axis["name"] for axis in described["axes"]) == axes
    again = copy(tmp_path / "out.zarr", tmp_path / "again.tif")
    np.testing.assert_array_equal(again.pixels.squeeze(), _by_axes(image, again))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "again.tif"), again.pixels)


def _by_axes(image: Image, other: Image) -> np.ndarray:
    """Bring the pages of an image into the order that they have in another one."""
    pages = image.layout.pages
    if len(pages) < 2 or pages == other.layout.pages:
        return image.pixels
    parted = image.pixels.reshape(*map(image.layout.size, pages), *image.pixels.shape[1:])
    return parted.swapaxes(0, 1).reshape(image.pixels.shape)


def test_what_another_format_does_not_keep_is_named(tmp_path: Path) -> None:
    array = values("uint16")
    source = make_store(tmp_path / "in.zarr", [array, array[::2, ::2]], "yx")
    image = read_image(source)
    (said,) = check_output(tmp_path / "out.tif", image, source=source, overwrite=False)
    assert said == (
        "a TIFF file does not keep: a pyramid of 2 levels, scale, units, "
        "display settings (omero), attribute scope"
    )
    (tmp_path / "in.zarr" / "labels").mkdir()
    assert "its labels are not kept" in read_image(source).warnings


def test_opacity_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "in.tif", values("uint8", 16, 18, 4), photometric="rgb", extrasamples=[2]
    )
    with pytest.raises(OutputError, match="OME-Zarr cannot hold opacity"):
        copy(tmp_path / "in.tif", tmp_path / "out.zarr")


# --- what is refused


def _edited(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    document = json_of(folder / name)
    changed = change(document)
    (folder / name).write_text(json.dumps(document if changed is None else changed))


def _ome(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda path: _edited(path, "zarr.json", lambda d: change(d["attributes"]["ome"]))


def _plate(path: Path) -> None:
    zarr.open_group(path, mode="w").attrs["ome"] = {"version": "0.5", "plate": {"wells": []}}


def _labels(path: Path) -> None:
    _ome(lambda ome: ome.update({"image-label": {}}))(path)


def _two_arrays(path: Path) -> None:
    shutil.rmtree(path)
    group = zarr.open_group(path, mode="w")
    for name in "ab":
        make_array(group, name, values())


def _strings(path: Path) -> None:
    shutil.rmtree(path)
    zarr.create_array(path, shape=(8, 8), dtype="U3", zarr_format=2)


def _empty(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def _cut(path: Path) -> None:
    for chunk in (path / "0" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:9])


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (_empty, "holds no Zarr data"),
    "plate": (_plate, "is a plate of many images; name the folder of one"),
    "labels": (_labels, "holds labels"),
    "two arrays": (_two_arrays, r"a Zarr group of 2 arrays .* name one of its parts, .*zarr/a"),
    "strings": (_strings, "no numbers"),
    "no level": (lambda path: shutil.rmtree(path / "0"), "its part '0' is missing"),
    "no object": (lambda path: _edited(path, "zarr.json", lambda _: [1]), "zarr.json is damaged"),
    "half a document": (
        lambda path: (path / "0" / "zarr.json").write_text('{"zarr_'),
        "zarr.json is damaged",
    ),
    "no shape": (
        lambda path: _edited(path / "0", "zarr.json", lambda d: d.pop("shape") and None),
        "metadata is damaged",
    ),
    "no datasets": (
        _ome(lambda ome: ome["multiscales"][0].pop("datasets") and None),
        "metadata is damaged: KeyError",
    ),
    "two images": (
        _ome(lambda ome: ome["multiscales"].append({})),
        "holds 2 images",
    ),
    "a way out": (
        _ome(lambda ome: ome["multiscales"][0]["datasets"][0].update(path="../other.zarr")),
        "lies outside of it",
    ),
    "growing": (
        _ome(lambda ome: ome["multiscales"][0]["datasets"].reverse()),
        "is no smaller copy",
    ),
    "unknown codec": (
        lambda path: _edited(
            path / "0", "zarr.json", lambda d: d["codecs"].append({"name": "magic"})
        ),
        "seems damaged",
    ),
    "cut chunks": (_cut, "seems damaged"),
    "too many axes": (
        _ome(lambda ome: ome["multiscales"][0]["axes"].append({"name": "z"})),
        "zip|axes YXZ do not fit",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_damage_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    damage, message = REFUSED[name]
    array = values("uint16")
    path = make_store(tmp_path / "in.zarr", [array, array[::2, ::2]], "yx")
    damage(path)
    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_too_many_pixels_are_not_read(tmp_path: Path) -> None:
    path = make_store(tmp_path / "in.zarr", [values("uint16")], "yx")
    _edited(path / "0", "zarr.json", lambda d: d.update(shape=[10**6, 10**6]))
    with pytest.raises(ImageError, match="--max-pixels"):
        read_image(path)


def test_a_store_with_a_part_of_another_type(tmp_path: Path) -> None:
    image = read_image(make_store(tmp_path / "in.zarr", [values("uint16")], "yx"))
    wide = replace(image, pixels=values("uint16", 16, 18).astype(np.complex64))
    with pytest.raises(OutputError, match="cannot hold complex64"):
        check_output(tmp_path / "out.zarr", wide, source=tmp_path / "in.zarr", overwrite=False)


@pytest.mark.parametrize("is_there", [True, False])
def test_without_zarr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    path = make_store(tmp_path / "in.zarr", [values("uint16")], "yx")
    image = read_image(path)
    if is_there:
        monkeypatch.setattr(zarr, "__version__", "2.18.1")
    else:
        monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImageError, match=r"pip install 'evodenoise\[zarr\]'"):
        read_image(path)
    with pytest.raises(OutputError, match=r"pip install 'evodenoise\[zarr\]'"):
        check_output(tmp_path / "out.zarr", image, source=path, overwrite=False)
