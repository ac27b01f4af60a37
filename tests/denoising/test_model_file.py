"""The file of a model: what it holds, and that nothing else is taken for one."""

import io
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evodenoise.denoising.checkpoint import Checkpoint, read_model
from evodenoise.denoising.levelling import Levelling
from evodenoise.denoising.scaling import Scaling, mixing_matrix
from evodenoise.errors import ModelError
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.stabilisation import Stabilisation
from evodenoise.patches.grid import PatchGrid
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.states import pack_states

LATENTS, HIDDEN = 12, (6, 5)
Tensors = dict[str, dict[str, Any]]


def make(channels: int = 3, *, covariance: bool = True) -> Checkpoint:
    """Make a model that has learned nothing."""
    generator = torch.Generator().manual_seed(0)
    pixels = 4 * 4 * channels
    model = BinaryLatentVAE(LATENTS, HIDDEN, pixels, covariance=covariance, generator=generator)
    model.decoder.unlock()
    codes = pack_states(torch.rand(9, LATENTS, generator=generator) < 0.3)
    scaling = Scaling(255.0, np.full(channels, 0.5), mixing_matrix(channels), 0.1)
    return Checkpoint.of(model, codes, PatchGrid((9, 8, channels), 4), scaling)


MODEL = make().to_bytes()
NESTED = replace(make(), coarser=replace(make(), coarser=make(), share=0.3))


def take_apart(content: bytes) -> tuple[Tensors, dict[str, Any], bytes]:
    """Read a safetensors file by its definition: descriptions, our own header, values."""
    (length,) = struct.unpack("<Q", content[:8])
    described = json.loads(content[8 : 8 + length])
    header = json.loads(described.pop("__metadata__")["evodenoise"])
    return described, header, content[8 + length :]


def put_together(described: Tensors, header: object, values: bytes) -> bytes:
    text = header if isinstance(header, str) else json.dumps(header)
    whole = json.dumps({"__metadata__": {"evodenoise": text}, **described}).encode()
    return struct.pack("<Q", len(whole)) + whole + values


def with_header(**changes: Any) -> bytes:
    described, header, values = take_apart(MODEL)
    return put_together(described, {**header, **changes}, values)


def with_scaling(**changes: Any) -> bytes:
    scaling = take_apart(MODEL)[1]["scaling"]
    return with_header(scaling={**scaling, **changes})


def with_value(name: str, value: float, place: int = 0) -> bytes:
    """Change one number of a tensor."""
    described, header, values = take_apart(MODEL)
    kind = {"F32": np.dtype("<f4"), "I16": np.dtype("<i2")}[described[name]["dtype"]]
    start, end = described[name]["data_offsets"]
    changed = np.frombuffer(values[start:end], kind).copy()
    changed[place] = value
    return put_together(described, header, values[:start] + changed.tobytes() + values[end:])


def with_codes(*codes: list[int]) -> bytes:
    """Replace the first codes."""
    described, header, values = take_apart(MODEL)
    start, end = described["codebook"]["data_offsets"]
    kept = np.frombuffer(values[start:end], "<i2").reshape(described["codebook"]["shape"]).copy()
    for row, code in zip(kept, codes, strict=False):
        row[:] = LATENTS
        row[: len(code)] = code
    return put_together(described, header, values[:start] + kept.tobytes() + values[end:])


def with_description(name: str, **changes: Any) -> bytes:
    described, header, values = take_apart(MODEL)
    described[name] = {**described[name], **changes}
    return put_together(described, header, values)


def renamed(name: str, other: str) -> bytes:
    described, header, values = take_apart(MODEL)
    described[other] = described.pop(name)
    return put_together(described, header, values)


def pickled(*, zipped: bool) -> bytes:
    file = io.BytesIO()
    document = {"format": "evodenoise model", "format_version": 1, "latents": 12}
    torch.save(document, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def foreign() -> bytes:
    described, _, values = take_apart(MODEL)
    whole = json.dumps(described).encode()
    return struct.pack("<Q", len(whole)) + whole + values


def with_levels(count: int = 3, **changes: Any) -> bytes:
    """Add a levelling of so many channels, with changes in each."""
    one = Levelling((Stabilisation.of(LevelCurve.constant(2.0), 0, 255),)).to_json()[0]
    return with_header(levelling=[{**one, **changes}] * count)


def with_scales(count: int, **changes: Any) -> bytes:
    """Nest the header so many times into itself, with changes in the innermost."""
    header = take_apart(MODEL)[1]
    nested = {**header, **changes}
    for _ in range(count):
        nested = {**header, "coarser": nested}
    return with_header(coarser=nested)


NOT_OURS = "is damaged or not a model of evodenoise"
DAMAGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", NOT_OURS),
    "text": (lambda: b"not a model", NOT_OURS),
    "cut in the length": (lambda: MODEL[:5], NOT_OURS),
    "cut in the header": (lambda: MODEL[:200], NOT_OURS),
    "cut in the values": (lambda: MODEL[:-1], NOT_OURS),
    "too long": (lambda: MODEL + b"\0", NOT_OURS),
    "header of 2^60 bytes": (lambda: struct.pack("<Q", 2**60) + MODEL[8:], NOT_OURS),
    "pickle": (lambda: pickled(zipped=True), "can hold code and is no longer read; train the"),
    "old pickle": (lambda: pickled(zipped=False), "can hold code and is no longer read"),
    "foreign": (foreign, NOT_OURS),
    "no JSON": (lambda: put_together(take_apart(MODEL)[0], "{", b""), NOT_OURS),
    "list": (lambda: put_together(take_apart(MODEL)[0], "[]", take_apart(MODEL)[2]), NOT_OURS),
    "deep": (
        lambda: put_together(take_apart(MODEL)[0], "[" * 60_000, take_apart(MODEL)[2]),
        NOT_OURS,
    ),
    "later": (lambda: with_header(format_version=99), "version '99' of the format"),
    "no version": (lambda: with_header(format_version=None), "version 'None'"),
    "10^9 latents": (lambda: with_header(latents=10**9), "latents out of range"),
    "one latent more": (lambda: with_header(latents=LATENTS + 1), "does not fit the sizes"),
    "no latents": (lambda: with_header(latents=0), "latents out of range"),
    "latents of text": (lambda: with_header(latents="12"), "latents out of range"),
    "half a latent": (lambda: with_header(latents=12.5), "latents out of range"),
    "true latents": (lambda: with_header(latents=True), "latents out of range"),
    "no hidden layer": (lambda: with_header(hidden=[]), "hidden widths"),
    "hidden is text": (lambda: with_header(hidden="many"), "hidden widths"),
    "hidden too wide": (lambda: with_header(hidden=[2**40]), "hidden widths"),
    "hidden of another width": (lambda: with_header(hidden=[6, 6]), "does not fit"),
    "another layer": (lambda: with_header(hidden=[6, 5, 5]), "tensors missing"),
    "huge patch": (lambda: with_header(patch_size=10**6), "patch_size out of range"),
    "tiny patch": (lambda: with_header(patch_size=3), "patch_size out of range"),
    "larger patch": (lambda: with_header(patch_size=5), "does not fit"),
    "five channels": (lambda: with_header(channels=5), "channels out of range"),
    "two channels": (lambda: with_header(channels=2), "scaling of another shape"),
    "covariance is a number": (lambda: with_header(covariance=1), "neither true nor false"),
    "nothing to unlock": (lambda: with_header(covariance=False), "no covariance to unlock"),
    "no scaling": (lambda: with_header(scaling=None), "no scaling"),
    "peak of zero": (lambda: with_scaling(peak=0), "scaling out of range"),
    "peak not finite": (lambda: with_scaling(peak=float("inf")), "not finite"),
    "deviation nan": (lambda: with_scaling(deviation=float("nan")), "not finite"),
    "deviation below zero": (lambda: with_scaling(deviation=-1.0), "scaling out of range"),
    "deviation of text": (lambda: with_scaling(deviation="1"), "scaling of another"),
    "scale beyond floats": (lambda: with_scaling(peak=1e300, deviation=1e300), "out of range"),
    "offset too short": (lambda: with_scaling(offset=[0.5]), "scaling of another shape"),
    "offset uneven": (lambda: with_scaling(offset=[0.5, [1], 2]), "scaling of another shape"),
    "mixing singular": (lambda: with_scaling(mixing=[[1.0] * 3] * 3), "cannot be undone"),
    "mixing nan": (lambda: with_scaling(mixing=[[float("nan")] * 3] * 3), "not finite"),
    "levels of text": (lambda: with_header(levelling="all"), "noise levels out of range"),
    "levels of no noise": (lambda: with_levels(stds=[0.0]), "noise levels out of range"),
    "levels not finite": (lambda: with_levels(values=[float("nan")]), "noise levels out of range"),
    "levels without an end": (lambda: with_levels(high=float("inf")), "noise levels out of"),
    "levels of one channel": (lambda: with_levels(count=1), "noise levels of other channels"),
    "share of nothing": (lambda: with_header(share=0), "share out of range"),
    "share above one": (lambda: with_header(share=1.5), "share out of range"),
    "coarser of text": (lambda: with_header(coarser="half"), "coarser scales out of range"),
    "coarser without tensors": (lambda: with_scales(1), "tensors missing or unknown"),
    "a hundred scales": (lambda: with_scales(100), "coarser scales out of range"),
    "coarser is damaged": (lambda: with_scales(1, latents=0), "latents out of range"),
    "prior of zero": (lambda: with_value("prior", 0), "prior out of range"),
    "prior of one": (lambda: with_value("prior", 1), "prior out of range"),
    "prior nan": (lambda: with_value("prior", np.nan), "prior is not finite"),
    "no noise": (lambda: with_value("noise_variance", 0), "noise variance out of range"),
    "noise below zero": (lambda: with_value("noise_variance", -1), "noise variance out of"),
    "noise infinite": (lambda: with_value("noise_variance", np.inf), "not finite"),
    "weights infinite": (lambda: with_value("decoder.weights.1", np.inf, 7), "not finite"),
    "weights of nothing": (lambda: with_value("decoder.rows", 1, -1), "empty place"),
    "code below zero": (lambda: with_codes([-1, 2]), "codes out of range"),
    "code too high": (lambda: with_codes([1, LATENTS + 1]), "codes out of range"),
    "codes unsorted": (lambda: with_codes([1, 2], [5, 2]), "codes out of order"),
    "code twice": (lambda: with_codes([3, 3]), "codes out of order"),
    "hole in a code": (lambda: with_codes([3, LATENTS, 5]), "codes out of order"),
    "codes of floats": (lambda: with_description("codebook", dtype="F16"), "no codes"),
    "codes in a row": (
        lambda: with_description(
            "codebook", shape=[int(np.prod(take_apart(MODEL)[0]["codebook"]["shape"]))]
        ),
        "no codes",
    ),
    "prior of integers": (lambda: with_description("prior", dtype="I32"), "does not fit"),
    "more than the file": (lambda: with_description("prior", shape=[10**9]), NOT_OURS),
    "tensor missing": (lambda: renamed("prior", "posterior"), "tensors missing or unknown"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_refuses(tmp_path: Path, name: str) -> None:
    content, reason = DAMAGED[name]
    path = tmp_path / "kept.model"
    path.write_bytes(content())
    with pytest.raises(ModelError) as refusal:
        read_model(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "\n" not in message


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ModelError, match="cannot be read") as refusal:
            read_model(path)
        assert str(refusal.value).startswith(f"{path}: ")


@pytest.mark.parametrize(("channels", "covariance"), [(1, False), (3, True)])
def test_there_and_back(tmp_path: Path, channels: int, covariance: bool) -> None:
    model, path = make(channels, covariance=covariance), tmp_path / "kept.model"
    path.write_bytes(model.to_bytes())
    read = read_model(str(path))
    path.unlink()  # nothing of it is needed any more
    for name in ("latents", "hidden", "patch_size", "channels", "covariance", "unlocked"):
        assert getattr(read, name) == getattr(model, name), name
    assert read.weights.keys() == model.weights.keys()
    assert all(torch.equal(read.weights[name], model.weights[name]) for name in model.weights)
    assert torch.equal(read.codebook, model.codebook)
    np.testing.assert_array_equal(read.scaling.mixing, model.scaling.mixing)
    np.testing.assert_array_equal(read.scaling.offset, model.scaling.offset)
    assert (read.scaling.peak, read.scaling.deviation) == (255.0, 0.1)
    assert read.to_bytes() == model.to_bytes()
    built = read.build(torch.device("cpu"))
    assert built.decoder.unlocked == covariance


def test_coarser_scales_go_with_the_model(tmp_path: Path) -> None:
    path = tmp_path / "kept.model"
    path.write_bytes(NESTED.to_bytes())
    read = read_model(path)
    assert (read.scales, read.share) == (3, 1.0)
    assert read.coarser is not None
    assert read.coarser.share == 0.3
    assert read.coarser.coarser is not None
    weights = make().weights
    for each in (read, read.coarser, read.coarser.coarser):
        assert each.weights.keys() == weights.keys()
        assert all(torch.equal(each.weights[name], weights[name]) for name in weights)
    assert read.to_bytes() == NESTED.to_bytes()


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(MODEL) - 1), st.integers(0, 255)), min_size=1, max_size=4
    ),
    header=st.booleans(),
)
def test_any_damage_is_refused_in_one_line_or_harmless(
    tmp_path: Path, edits: list[tuple[int, int]], header: bool
) -> None:
    content = bytearray(MODEL)
    length = struct.unpack("<Q", MODEL[:8])[0] + 8
    for place, value in edits:
        content[place % length if header else place] = value
    path = tmp_path / "kept.model"
    path.write_bytes(content)
    refusal = ""
    try:
        read_model(path).build(torch.device("cpu"))
    except ModelError as error:
        refusal = str(error)
    assert "\n" not in refusal
