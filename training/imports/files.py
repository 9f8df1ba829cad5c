"""Weights files of others to named tensors, without running a line of code that lies in them."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from geobridge.onboard.errors import DataError

TORCH = frozenset({".pth", ".pt", ".bin", ".ckpt"})
_ZIP, _PICKLE = b"PK", b"\x80"
"""What files of torch begin with."""
_SHARD = re.compile(r"-\d+-of-\d+$")
_GLOBAL = re.compile(r"GLOBAL\s+(\S+)")


def read_tensors(paths: Sequence[Path]) -> dict[str, Tensor]:
    """All tensors of the files by name; names of nested dictionaries are joined with dots.

    Where there are several files, a name begins with that of its file; parts of one file that is
    called `name-00001-of-00002` are one file.

    Raises:
        DataError: names the file that is no weights file, is damaged, or needs code to be read.
    """
    stems = {path: _SHARD.sub("", path.stem) for path in paths}
    several = len(set(stems.values())) > 1
    tensors: dict[str, Tensor] = {}
    for path in paths:
        begin = f"{stems[path]}." if several else ""
        for name, tensor in _flat(_read(path), begin):
            if name in tensors:
                raise DataError(f"{path}: holds {name}, which another file holds too")
            tensors[name] = tensor
    if not tensors:
        raise DataError(f"{paths[0]}: holds no tensors")
    return tensors


def _read(path: Path) -> Any:
    _check_beginning(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix in TORCH:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns of TorchScript, and then refuses it
                mapped = zipfile.is_zipfile(path)
                return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise DataError(f"{path}: {_what_pickle_wants(str(error))}") from None
    except SafetensorError as error:
        raise DataError(f"{path}: not a safetensors file, or truncated: {error}") from None
    except Exception as error:  # a damaged file fails anywhere in torch's reader
        text = str(error)
        if "TorchScript" in text:
            raise DataError(f"{path}: a TorchScript archive is code; {_INSTEAD}") from None
        line = " ".join(text.split())[:200]
        why = f": {line}" if " " in line else ""  # a number of its own says nothing
        raise DataError(f"{path}: not a weights file, or truncated{why}") from None
    known = ", ".join(sorted({*TORCH, ".safetensors"}))
    raise DataError(f"{path}: expected a file that ends in {known}")


def _check_beginning(path: Path) -> None:
    """Tell in words what torch's reader would stumble over."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(_ZIP))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if not begin:
        raise DataError(f"{path}: is empty")
    if path.suffix in TORCH and begin != _ZIP and not begin.startswith(_PICKLE):
        raise DataError(
            f"{path}: not a weights file: neither torch's zip nor its pickle (safetensors are in"
            " files that end in .safetensors)"
        )


_INSTEAD = "save its state_dict() alone, or as safetensors"


def _what_pickle_wants(text: str) -> str:
    wanted = _GLOBAL.search(text)
    if wanted is None:
        return "not a weights file, or damaged"
    return f"needs the code {wanted[1]} to be read, which is refused; {_INSTEAD}"


def _flat(tree: Any, begin: str) -> Iterator[tuple[str, Tensor]]:
    """Tensors below string keys; optimisers, which number theirs, have none."""
    if isinstance(tree, Tensor):
        yield begin.removesuffix("."), tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            if isinstance(key, str):
                yield from _flat(value, f"{begin}{key}.")
