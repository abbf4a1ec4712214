"""Ops over lists of tensors: a body that says what they mean, and one kernel for all tensors where there is
one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from devtensor.core.dtype import DTYPES, float32
from devtensor.core.inplace import writable
from devtensor.core.layout import is_dense
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, in_rows, strides_of, wrap

LIST_OPS: dict[str, ListOp] = {}

Values = Sequence[Any]


class ListOp:
    """An op over lists of tensors, some of which it writes; its body says what it means, on every device.

    `lists` name the arguments that are lists: equally long, place by place of one size, or empty where the
    op goes without; those in `counts` hold a 0-d float32 tensor for each place. `numbers` name those that are
    a Python number, a 0-d tensor or None, and what else the signature has are Python's numbers. `writes`
    names what is written, `writes_with` what is written if some number is given. The number called `skip`
    makes a kernel write nothing where it is not 0; a body leaves that to the layer `masked_writes`.
    """

    def __init__(
        self,
        name: str,
        body: Callable[..., Any],
        arguments: Sequence[str],
        lists: str,
        numbers: str = "",
        counts: str = "",
        writes: str = "",
        writes_with: tuple[str, str] | None = None,
        skip: str = "",
    ) -> None:
        self.name, self.body, self.arguments = name, body, tuple(arguments)
        self.lists, self.numbers = tuple(lists.split()), tuple(numbers.split())
        self.parameters = self.arguments[len(self.lists) + len(self.numbers) :]
        assert self.arguments == (*self.lists, *self.numbers, *self.parameters), f"[{name}] lists come first"
        self.counts, self.writes = frozenset(counts.split()), frozenset(writes.split())
        self.writes_with, self.skip = writes_with, skip
        self.__doc__, self.__name__ = body.__doc__, name
        self.make_examples: Callable[..., Iterable[Any]] = tuple
        LIST_OPS[name] = self

    def __call__(self, *values: Any) -> Any:
        """Run a kernel if one fits, else the body; all arguments in the order of the signature."""
        made = self.by_kernel(*values)
        return self.body(*values) if made is NotImplemented else made

    def __repr__(self) -> str:
        return f"<list op {self.name}({', '.join(self.arguments)})>"

    def examples(self, function: Callable[..., Iterable[Any]]) -> Callable[..., Iterable[Any]]:
        """Say what the suite shall try: `function(draw)` gives argument lists, as `ops.examples` does."""
        self.make_examples = function
        return function

    def by_kernel(self, *values: Any) -> Any:
        """What the device's kernel gives, or NotImplemented where there is none that may take these."""
        count = len(self.lists)
        lists, rest = values[:count], list(values[count:])
        if not lists[0]:
            return NotImplemented
        kind = lists[0][0].kind
        backend = kind.device.backend
        kernel = getattr(backend, "list_kernels", {}).get(self.name)
        if kernel is None or not (self._unheard(kind.device, rest) and self._fits(kind, lists, rest)):
            return NotImplemented
        counters = [writable(t) for t in self.written([*lists, *rest])]
        arrays = [[t.array for t in tensors] for tensors in lists]
        with backend.on(kind.device.index or 0):
            made = kernel(*arrays, *(v.array if isinstance(v, Tensor) else v for v in rest))
        if made is NotImplemented:
            return made
        for counter in counters:
            counter.version += 1
        if made is None:
            return None
        return wrap(made, kind.device.kind(DTYPES[backend.dtype_of(made)]))

    def _unheard(self, device: Any, rest: list[Any]) -> bool:
        """Whether nobody must hear the ops of the body; a layer that masks writes hands over its flag."""
        for layer in current().layers:
            if layer.forward_only:
                continue
            flag = getattr(layer, "skip_on", None)
            place = self.arguments.index(self.skip) - len(self.lists) if self.skip else -1
            if flag is None or place < 0 or rest[place] is not None:
                return False
            rest[place] = flag(device)
        return True

    def _fits(self, kind: Any, lists: Values, rest: Values) -> bool:
        """Whether a kernel may take these: one dtype, one device, lying alike, wanted by no autograd."""
        length, place = len(lists[0]), kind.device
        for name, tensors in zip(self.lists, lists, strict=True):
            wanted = place.kind(float32) if name in self.counts else kind
            if len(tensors) not in (0, length) or any(t.kind is not wanted for t in tensors):
                return False
        numbers, parameters = rest[: len(self.numbers)], rest[len(self.numbers) :]
        for number in numbers:
            if isinstance(number, Tensor) and (number.kind.device is not place or number.array.ndim):
                return False
        if any(
            isinstance(p, Tensor) for q in parameters for p in (q if isinstance(q, (tuple, list)) else (q,))
        ):
            return False
        if current().grad and any(t.requires_grad for tensors in lists for t in tensors):
            return False
        large = [ts for name, ts in zip(self.lists, lists, strict=True) if ts and name not in self.counts]
        return _lie_alike(large)

    def written(self, values: Values) -> Iterator[Tensor]:
        """The tensors among the arguments that are written."""
        named = dict(zip(self.arguments, values, strict=True))
        writes = self.writes
        if self.writes_with is not None and named[self.writes_with[0]] is not None:
            writes |= {self.writes_with[1]}
        for name in self.arguments:
            if name in writes:
                yield from [named[name]] if isinstance(named[name], Tensor) else named[name]


def over_lists(
    lists: str,
    numbers: str = "",
    writes: str = "",
) -> Callable[[Callable[..., Any]], ListOp]:
    """Make an op over lists of its body; the names are those of `ListOp`."""

    def declare(body: Callable[..., Any]) -> ListOp:
        return ListOp(
            body.__name__, body, tuple(inspect.signature(body).parameters), lists, numbers, writes=writes
        )

    return declare


def grouped(first: Sequence[Tensor], *others: Sequence[Any]) -> Iterator[tuple[Any, list[list[Any]]]]:
    """By device and dtype of the first list's tensors: their kind, and each list's items that go with it."""
    groups: dict[Any, list[list[Any]]] = {}
    for items in zip(first, *others, strict=True):
        found = groups.get(items[0].kind)
        if found is None:
            found = groups[items[0].kind] = [[] for _ in items]
        for group, item in zip(found, items, strict=True):
            group.append(item)
    yield from groups.items()


def _lie_alike(lists: Sequence[Sequence[Tensor]]) -> bool:
    """Whether tensors of one place have one shape and lie without gaps, in one order of elements."""
    for tensors in zip(*lists, strict=True):
        shape = tensors[0].array.shape
        if any(t.array.shape != shape for t in tensors):
            return False
        if all(in_rows(t) for t in tensors):
            continue
        strides = strides_of(tensors[0])
        if not is_dense(shape, strides) or any(strides_of(t) != strides for t in tensors[1:]):
            return False
    return True
