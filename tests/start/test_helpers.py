"""Helpers that scripts import: nests, swapped tensors, weak dictionaries, timers, files from a URL."""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest

import devtensor as torch
from devtensor.utils import _pytree as pytree
from devtensor.utils.progress import Progress

# Python warns when a process with threads, such as BLAS has, is forked.
FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

Point = namedtuple("Point", "x y")
NEST = {"b": [1, (2, 3)], "a": Point(1, None), "c": OrderedDict(k=deque([4], maxlen=2)), "d": torch.Size([5])}


def test_a_nest_comes_apart_and_together():
    leaves, spec = pytree.tree_flatten(NEST)
    assert leaves == [1, 2, 3, 1, None, 4, 5] and spec.num_leaves == 7
    assert pytree.tree_unflatten(leaves, spec) == NEST and spec == pytree.tree_structure(NEST)
    mapped = pytree.tree_map(lambda leaf: (leaf, 0), NEST)
    assert mapped["a"] == Point((1, 0), (None, 0)) and mapped["c"]["k"].maxlen == 2
    text = "TreeSpec(list, None, [*,\n  TreeSpec(tuple, None, [*])])"
    assert repr(pytree.tree_structure([1, (2,)])) == text
    assert pytree.tree_leaves(defaultdict(int, a=[7])) == [7] and pytree.tree_leaves({1, 2}) == [{1, 2}]


def test_maps_over_several_nests_and_over_some_leaves():
    assert pytree.tree_map(lambda a, b: a + b, {"x": 1, "y": [2]}, {"y": [20], "x": 10}) == {
        "x": 11,
        "y": [22],
    }
    assert pytree.tree_map_only(int, lambda leaf: -leaf, [1, "a", (2,)]) == [-1, "a", (-2,)]
    assert pytree.tree_all_only(int, lambda leaf: leaf > 0, [1, "a"]) and pytree.tree_any(
        lambda v: v == 2, [1, 2]
    )
    assert pytree.tree_leaves([1, [2]], is_leaf=lambda value: value == [2]) == [1, [2]]
    paths = {pytree.keystr(path): leaf for path, leaf in pytree.tree_leaves_with_path({"a": [Point(1, 2)]})}
    assert paths == {"['a'][0].x": 1, "['a'][0].y": 2}
    for other in ([1], (1, 2), {"a": 1}, 3):
        with pytest.raises(ValueError, match="mismatch"):
            pytree.tree_map(lambda a, b: a, [1, 2], other)
    with pytest.raises(ValueError, match="holds 2 items"):
        pytree.tree_unflatten([1], pytree.tree_structure([1, 2]))
    with pytest.raises(TypeError):
        pytree.tree_unflatten([1], 3)


def test_a_class_becomes_a_node():
    class Pair:
        def __init__(self, items):
            self.items = items

    pytree.register_pytree_node(Pair, lambda pair: (pair.items, None), lambda items, _: Pair(list(items)))
    try:
        assert pytree.tree_map(lambda leaf: leaf + 1, Pair([1, 2])).items == [2, 3]
        with pytest.raises(ValueError, match="already registered"):
            pytree.register_pytree_node(Pair, None, None)
    finally:
        del pytree.SUPPORTED_NODES[Pair]


def test_two_tensors_change_places():
    a, b = torch.nn.Parameter(torch.ones(2)), torch.zeros(3)
    a.mark, holder = "a", [a, b]
    (a * 2).sum().backward()
    torch.utils.swap_tensors(a, b)
    assert holder[0].tolist() == [0, 0, 0] and type(a) is torch.Tensor and a.grad is None
    assert type(b) is torch.nn.Parameter and b.grad.tolist() == [2, 2] and b.mark == "a" and b.requires_grad
    with pytest.raises(RuntimeError):
        torch.utils.swap_tensors(a, b * 2)


def test_a_weak_dictionary_lets_go():
    held = torch.utils.weak.WeakTensorKeyDictionary()
    x, y = torch.ones(2), torch.ones(2)
    held[x], held[y] = 1, 2
    assert len(held) == 2 and held[x] == 1 and x in held
    del y
    gc.collect()
    assert len(held) == 1 and [key is x for key in held] == [True]


def test_a_timer_measures():
    timer = torch.utils.benchmark.Timer("x + x", globals={"x": torch.ones(2)}, label="add")
    measured = timer.timeit(20)
    assert measured.number_per_run == 20 and 0 < measured.median < 1 and "add" in repr(measured)
    table = str(torch.utils.benchmark.Compare([measured]))
    assert table.splitlines()[0].split() == ["label", "sub_label", "threads"] and "add" in table
    ranged = timer.blocked_autorange(min_run_time=0.01)
    assert ranged.median == pytest.approx(ranged.mean, rel=10) and ranged.iqr >= 0


def test_vectors_of_several_tensors():
    parts = [torch.ones(2, 2), torch.zeros(3)]
    flat = torch._utils._flatten_dense_tensors(parts)
    assert flat.shape == (7,)
    assert [p.tolist() for p in torch._utils._unflatten_dense_tensors(flat, parts)] == [
        p.tolist() for p in parts
    ]


def test_weights_from_a_url(tmp_path):
    source = tmp_path / "model-.pt"
    torch.save({"w": torch.ones(2)}, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    url = source.rename(tmp_path / f"model-{digest}.pt").as_uri()
    cache = tmp_path / "cache"
    state = torch.hub.load_state_dict_from_url(url, model_dir=str(cache), progress=False, check_hash=True)
    assert state["w"].tolist() == [1, 1] and [path.name for path in cache.iterdir()] == [f"model-{digest}.pt"]
    with pytest.raises(RuntimeError, match="invalid hash"):
        torch.hub.download_url_to_file(url, str(cache / "other.pt"), hash_prefix="0000")
    assert len(list(cache.iterdir())) == 1


def test_a_bar_says_how_far_a_download_is(tmp_path, capsys, monkeypatch):
    source = tmp_path / "weights.bin"
    source.write_bytes(bytes(3 << 16))
    monkeypatch.setattr(torch.hub, "tqdm", Progress)
    torch.hub.download_url_to_file(source.as_uri(), str(tmp_path / "copy.bin"))
    assert capsys.readouterr().err == "\r33.3%\r66.7%\r100.0%\n"
    torch.hub.download_url_to_file(source.as_uri(), str(tmp_path / "copy.bin"), progress=False)
    assert capsys.readouterr().err == "" and (tmp_path / "copy.bin").read_bytes() == source.read_bytes()


def test_a_bar_around_a_loop(capsys):
    bar = Progress(["a", "b"], desc="train")
    for item in bar:
        bar.set_postfix({"loss": item})
    assert capsys.readouterr().err == "\rtrain: 50.0% loss=a\rtrain: 100.0% loss=b\n" and len(bar) == 2
    counting = Progress(unit="B")
    counting.update(7)
    counting.set_description("more")
    counting.write("a line")
    counting.close()
    counting.update(1)
    assert capsys.readouterr().err == "\r7 Ba line\n\n" and counting.n == 8


def test_where_fetched_files_lie(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_chosen", {})
    assert torch.hub.get_dir() == str(tmp_path / "hub")
    torch.hub.set_dir(tmp_path / "mine")
    assert torch.hub.get_dir() == str(tmp_path / "mine")


def test_ways_of_sharing_are_kept():
    sharing = torch.multiprocessing
    before = sharing.get_sharing_strategy()
    sharing.set_sharing_strategy("file_system")
    assert sharing.get_sharing_strategy() == "file_system" and before in sharing.get_all_sharing_strategies()
    sharing.set_sharing_strategy(before)
    with pytest.raises(AssertionError):
        sharing.set_sharing_strategy("telepathy")


@FORKS
def test_a_killed_process_is_told():
    with pytest.raises(torch.multiprocessing.ProcessExitedException) as caught:
        torch.multiprocessing.start_processes(_end, nprocs=2, start_method="fork")
    assert caught.value.exit_code == 3 and caught.value.error_index == 1


def _end(index: int) -> None:
    if index == 1:
        os._exit(3)


@FORKS
def test_shared_memory_is_seen_by_a_forked_process():
    base = torch.arange(6.0).reshape(2, 3)
    shared = base.share_memory_()
    weight = torch.nn.Parameter(torch.ones(2)).share_memory_()
    assert shared is base and shared.is_shared() and not torch.ones(2).is_shared()
    context = torch.multiprocessing.get_context("fork")
    process = context.Process(target=_write, args=(shared[:, 1], weight))
    process.start()
    process.join()
    assert shared.tolist() == [[0, -1, 2], [3, -1, 5]] and weight.tolist() == [7, 7]
    assert weight.requires_grad and type(weight) is torch.nn.Parameter
    assert not torch.clone(shared).is_shared() and not pickle.loads(pickle.dumps(shared)).is_shared()
    with pytest.raises(RuntimeError):
        torch.ones(2, device="meta").share_memory_()


def _write(view: torch.Tensor, weight: torch.Tensor) -> None:
    view.fill_(-1)
    with torch.no_grad():
        weight.fill_(7)


def test_shared_files_are_closed_with_their_tensors():
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        torch.ones(1000).share_memory_()
    gc.collect()
    assert len(os.listdir("/dev/fd")) <= before + 1
