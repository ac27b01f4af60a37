"""The file of a trained model: tensors and a header of text, no code.

A safetensors file. Its metadata has one entry, ``evodenoise``, a JSON document::

    {"format_version": 4,
     "latents": H, "hidden": [H_1, ...], "patch_size": p, "channels": C,
     "covariance": true, "unlocked": true, "coloured": false,
     "scaling": {"peak": ..., "deviation": ..., "offset": [C], "mixing": [C x C]},
     "levelling": null or, for each channel, {"values": [K], "stds": [K], "gain": ...,
                  "low": ..., "high": ..., "bounds": null or [2], "restore": false},
     "share": 0 < ... <= 1, "coarser": null or the same again, of half the size}

and its tensors, with D = p*p*C and E = 2 D outputs if there is a covariance, else D, are::

    prior (H,), noise_variance (), decoder.rows (H + 1, H_1), decoder.bias (H_1,)
    decoder.weights.i (H_(i+2), H_(i+1)), decoder.biases.i (H_(i+2),), the last of E outputs
    codebook (M, K), of int16, all others of float32
    spectrum (C, 32, 32), of the noise, if it is coloured
    coarser.prior, coarser.coarser.prior and so on: of the models of smaller images

A file is believed only after the sizes in its header have been found in range, and each tensor to
be of the type and the shape that they demand; no more is allocated than the file holds.
Version 1 was a pickle, which can hold code, version 2 knew white noise of one level only, and
version 3 no coarser scales; none of them is read.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from evodenoise.config.settings import MAXIMUM_LATENTS, MAXIMUM_WIDTH, MINIMUM_PATCH_SIZE
from evodenoise.denoising.levelling import Levelling
from evodenoise.denoising.scaling import Scaling
from evodenoise.errors import ModelError
from evodenoise.noise.spectrum import FREQUENCIES

ENTRY = "evodenoise"
FORMAT_VERSION = 4
LARGEST_FILE = 1 << 30
"""Bytes; no model comes near it."""

LARGEST_HEADER = 1 << 16
"""Characters; a thousand hidden layers fit into it."""

LARGEST_PATCH = 1024
"""Pixels a side; the file of such a model would be larger than the largest."""

MOST_CHANNELS = 4
MOST_SCALES = 8
"""Models of smaller and smaller images."""

MOST_UNEQUAL = 1e6
"""Condition of the mixture of channels; 10 at most is ever made."""

CODEBOOK, SPECTRUM, COARSER = "codebook", "spectrum", "coarser."
NO_MODEL = "is damaged or not a model of evodenoise; --save-model writes one"


@dataclass(frozen=True, eq=False)
class Header:
    """What stands in a model's file beside its tensors, as in `Checkpoint`."""

    latents: int
    hidden: tuple[int, ...]
    patch_size: int
    channels: int
    covariance: bool
    unlocked: bool
    coloured: bool
    scaling: Scaling
    levelling: Levelling | None = None
    share: float = 1.0
    coarser: "Header | None" = None

    def to_json(self) -> dict[str, Any]:
        """Take it down as in the file."""
        scaling = self.scaling
        return {
            **{name: getattr(self, name) for name in SIZES},
            "hidden": list(self.hidden),
            "covariance": self.covariance,
            "unlocked": self.unlocked,
            "coloured": self.coloured,
            "scaling": {
                "peak": scaling.peak,
                "deviation": scaling.deviation,
                "offset": scaling.offset.tolist(),
                "mixing": scaling.mixing.tolist(),
            },
            "levelling": self.levelling and self.levelling.to_json(),
            "share": self.share,
            "coarser": self.coarser and self.coarser.to_json(),
        }

    def scales(self) -> Iterator[tuple[str, "Header"]]:
        """List the headers of all models, and what the names of their tensors begin with."""
        yield "", self
        if self.coarser is not None:
            for start, header in self.coarser.scales():
                yield f"{COARSER}{start}", header

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """List the shapes of its own tensors but the codebook, whose sizes are free."""
        pixels = self.patch_size**2 * self.channels
        outputs = 2 * pixels if self.covariance else pixels
        shapes: dict[str, tuple[int, ...]] = {
            "prior": (self.latents,),
            "noise_variance": (),
            "decoder.rows": (self.latents + 1, self.hidden[0]),
            "decoder.bias": (self.hidden[0],),
        }
        for layer, (wide, next_wide) in enumerate(pairwise([*self.hidden, outputs])):
            shapes[f"decoder.weights.{layer}"] = (next_wide, wide)
            shapes[f"decoder.biases.{layer}"] = (next_wide,)
        if self.coloured:
            shapes[SPECTRUM] = (self.channels, FREQUENCIES, FREQUENCIES)
        return shapes


SIZES: Mapping[str, tuple[int, int]] = {
    "latents": (1, MAXIMUM_LATENTS),
    "patch_size": (MINIMUM_PATCH_SIZE, LARGEST_PATCH),
    "channels": (1, MOST_CHANNELS),
}
"""Numbers of a header, and their ranges."""


def pack(header: Header, tensors: Mapping[str, Tensor]) -> bytes:
    """Serialise a model.

    Parameters
    ----------
    header : Header
        Its sizes.
    tensors : mapping of str to Tensor
        On the CPU.

    Returns
    -------
    bytes
        The file.
    """
    kept = {name: value.detach().contiguous() for name, value in tensors.items()}
    document = {"format_version": FORMAT_VERSION, **header.to_json()}
    return save(kept, {ENTRY: json.dumps(document)})


def unpack(path: Path) -> tuple[Header, dict[str, Tensor]]:
    """Read a file that `pack` made.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    header : Header
        Its sizes, in range.
    tensors : dict of Tensor
        On the CPU; of the shapes that the sizes demand, with values in range.

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, foreign, or of another version.
    """
    try:
        _check_file(path)
        with safe_open(path, framework="pt", device="cpu") as file:
            header = _parse((file.metadata() or {}).get(ENTRY))
            _check_shapes(file, header)
            # Copies: what the file is mapped to would go with the file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        for start, each in header.scales():
            own = {name: tensors[f"{start}{name}"] for name in (*each.shapes(), CODEBOOK)}
            _check_values(each, own)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # safetensors raises an exception of its own, and others
        raise ModelError(f"{path}: {NO_MODEL}") from error
    return header, tensors


def _demand(holds: object, what: str) -> None:
    if not holds:
        raise ModelError(f"is damaged: {what}; use another copy, or train the model anew")


def _check_file(path: Path) -> None:
    """Refuse what is no file, or one of another kind, by its first bytes."""
    if not path.is_file():
        path.open("rb").close()  # the system says what is wrong
        raise ModelError("is no file")
    with path.open("rb") as file:
        start = file.read(4)
    if start in (b"PK\x03\x04", b"\x80\x02\x8a\x0a"):
        raise ModelError(
            "is a pickle, as earlier versions wrote them, which can hold code and is no longer "
            "read; train the model anew"
        )
    if path.stat().st_size > LARGEST_FILE:
        raise ModelError(NO_MODEL)


def _parse(text: str | None) -> Header:
    """Make a header of its text, with everything in range."""
    if text is None or len(text) > LARGEST_HEADER:
        raise ModelError(NO_MODEL)
    try:
        document = json.loads(text)
        version = document["format_version"]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError):
        raise ModelError(NO_MODEL) from None
    if version != FORMAT_VERSION:
        raise ModelError(
            f"version {str(version)[:20]!r} of the format; this evodenoise reads version "
            f"{FORMAT_VERSION}; train the model anew or update"
        )
    return _parse_header(document, MOST_SCALES)


def _parse_header(document: Any, scales: int) -> Header:
    """Make the header of a model, with so many scales at most."""
    for name, (least, most) in SIZES.items():
        _demand(_is_whole(document.get(name), least, most), f"{name} out of range")
    hidden = document.get("hidden")
    known = isinstance(hidden, list) and hidden
    _demand(
        known and all(_is_whole(width, 1, MAXIMUM_WIDTH) for width in hidden),
        "hidden widths out of range",
    )
    for name in ("covariance", "unlocked", "coloured"):
        _demand(isinstance(document.get(name), bool), f"{name} is neither true nor false")
    _demand(document["covariance"] or not document["unlocked"], "no covariance to unlock")
    share, coarser = float(_numbers(document.get("share"), ())), document.get("coarser")
    _demand(0 < share <= 1, "share out of range")
    if coarser is not None:
        _demand(isinstance(coarser, Mapping) and scales > 1, "coarser scales out of range")
        coarser = _parse_header(coarser, scales - 1)
        _demand(coarser.channels == document["channels"], "coarser scales of other channels")
    return Header(
        **{name: document[name] for name in SIZES},
        hidden=tuple(hidden),
        covariance=document["covariance"],
        unlocked=document["unlocked"],
        coloured=document["coloured"],
        scaling=_parse_scaling(document.get("scaling"), document["channels"]),
        levelling=_parse_levelling(document.get("levelling"), document["channels"]),
        share=share,
        coarser=coarser,
    )


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _parse_scaling(fields: Any, channels: int) -> Scaling:
    """Make the scaling, with numbers that can be divided by and a mixture that can be undone."""
    _demand(isinstance(fields, Mapping), "no scaling")
    peak, deviation = (_numbers(fields.get(name), ()) for name in ("peak", "deviation"))
    offset = _numbers(fields.get("offset"), (channels,))
    mixing = _numbers(fields.get("mixing"), (channels, channels))
    scaling = Scaling(float(peak), offset, mixing, float(deviation))
    _demand(peak > 0 and deviation > 0 and 0 < scaling.std < math.inf, "scaling out of range")
    _demand(np.linalg.cond(mixing) < MOST_UNEQUAL, "a mixture of channels that cannot be undone")
    return scaling


def _parse_levelling(fields: Any, channels: int) -> Levelling | None:
    """Make the maps of the channels, if there are any."""
    if fields is None:
        return None
    try:
        levelling = Levelling.from_json(fields)
    except Exception:  # whatever damage does
        raise ModelError("is damaged: noise levels out of range; train the model anew") from None
    _demand(len(levelling.maps) == channels, "noise levels of other channels")
    return levelling


def _numbers(values: Any, shape: Sequence[int]) -> Any:
    """Make an array of finite numbers of some shape."""
    try:
        array = np.array(values)
        fits = array.dtype.kind in "if" and array.shape == tuple(shape) and np.isfinite(array).all()
    except (ValueError, OverflowError):
        fits = False
    _demand(fits, "scaling of another shape or not finite")
    return array.astype(np.float64)


def _check_shapes(file: Any, header: Header) -> None:
    """Compare the tensors that the file announces with what the sizes demand."""
    scales = dict(header.scales())
    shapes = {
        f"{start}{name}": shape
        for start, each in scales.items()
        for name, shape in each.shapes().items()
    }
    codebooks = {f"{start}{CODEBOOK}" for start in scales}
    _demand(set(file.keys()) == shapes.keys() | codebooks, "tensors missing or unknown")
    for name, shape in shapes.items():
        announced = file.get_slice(name)
        fits = announced.get_dtype() == "F32" and tuple(announced.get_shape()) == shape
        _demand(fits, f"{name} does not fit the sizes")
    for name in codebooks:
        codes = file.get_slice(name)
        sizes = codes.get_shape()
        _demand(codes.get_dtype() == "I16" and len(sizes) == 2 and min(sizes) > 0, "no codes")


def _check_values(header: Header, tensors: Mapping[str, Tensor]) -> None:
    """Refuse values that no training leaves."""
    for name in header.shapes():
        _demand(torch.isfinite(tensors[name]).all(), f"{name} is not finite")
    prior, codes = tensors["prior"], tensors[CODEBOOK]
    _demand(((prior > 0) & (prior < 1)).all(), "prior out of range")
    _demand(tensors["noise_variance"] > 0, "noise variance out of range")
    _demand(not header.coloured or (tensors[SPECTRUM] > 0).all(), "spectrum out of range")
    _demand((tensors["decoder.rows"][-1] == 0).all(), "the empty place has weights")
    _demand(((codes >= 0) & (codes <= header.latents)).all(), "codes out of range")
    ascending = (codes[:, 1:] > codes[:, :-1]) | (codes[:, 1:] == header.latents)
    _demand(ascending.all(), "codes out of order")
