"""Counting what a piece of work asks of a device: kernels to launch, and waits for an answer.

Counted on the CPU, where the same operations pass the same dispatcher as on a GPU.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ALLOCATIONS = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "lift_fresh",
    "_local_scalar_dense",
    "_unsafe_view",
    "_reshape_alias",
    "unbind",
    "resize_",
    "set_",
}
"""Operations that launch nothing, beside those that only look at a tensor in another way."""

WAITS = {
    "_local_scalar_dense",  # item(), int(), float(), bool()
    "equal",
    "is_nonzero",
    "nonzero",
    "masked_select",
    "unique_dim",
    "_unique",
    "_unique2",
    "bincount",
    "repeat_interleave",
    "binomial",  # computed on the host
    "_linalg_check_errors",
    "_linalg_eigh",  # looks at what the solver reports
}
"""Operations after which the host waits for the device."""

COPIES = {Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__}
"""What copies a tensor to the host; on the CPU no operation shows it."""

INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""Operations that do so if an index is a mask."""


class Operations(TorchDispatchMode):
    """Count the operations of what is done inside.

    Attributes
    ----------
    launches : Counter
        How often each operation that launches a kernel was called.
    waits : Counter
        How often each operation was called that waits for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

        self.copies = _Copies(self.waits)

    def __enter__(self) -> "Operations":
        self.copies.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.copies.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        name = func.overloadpacket.__name__
        if not func.is_view and name not in ALLOCATIONS:
            self.launches[name] += 1
        masked = name in INDEXING and any(
            isinstance(leaf, Tensor) and leaf.dtype in (torch.bool, torch.uint8)
            for leaf in tree_leaves(args[1])
        )
        if masked or name in WAITS:
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


class _Copies(TorchFunctionMode):
    """Count copies to the host."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if func in COPIES:
            self.waits[func.__name__] += 1
        return func(*args, **(kwargs or {}))
