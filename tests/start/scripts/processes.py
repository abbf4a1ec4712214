"""Several processes: a loader's workers, a queue of tensors, a function spawned twice."""

import argparse
import sys

import torch
import torch.multiprocessing as mp
from torch.utils.data import DataLoader, Dataset


class Squares(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.tensor(float(index)) ** 2


def produce(queue, count, done):
    for number in range(count):
        queue.put(torch.full((2, 2), float(number)))
    done.wait()


def work(rank, world, queue):
    queue.put((rank, torch.ones(3).sum().item() * world))


def mark(rank, counts, model):
    counts[rank] = rank + 1
    with torch.no_grad():
        model.bias[rank] = 10.0 * rank


def fail(rank):
    if rank == 1:
        raise ValueError("number one fails")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--start", default="spawn")
    args = parser.parse_args()
    mp.set_start_method(args.start, force=True)
    mp.set_sharing_strategy("file_system")
    loader = DataLoader(Squares(), batch_size=5, num_workers=1, multiprocessing_context=args.start)
    print([batch.tolist() for batch in loader])

    queue = mp.Queue()
    done = mp.Event()
    process = mp.Process(target=produce, args=(queue, 3, done))
    process.start()
    received = [queue.get() for _ in range(3)]
    done.set()
    process.join()
    assert [t.sum().item() for t in received] == [0.0, 4.0, 8.0]

    results = mp.get_context("spawn").SimpleQueue()
    mp.spawn(work, args=(2, results), nprocs=2)
    assert sorted(results.get() for _ in range(2)) == [(0, 6.0), (1, 6.0)]
    counts, model = torch.zeros(3).share_memory_(), torch.nn.Linear(2, 2)
    model.share_memory()
    mp.spawn(mark, args=(counts, model), nprocs=2)
    assert counts.tolist() == [1.0, 2.0, 0.0] and model.bias.tolist() == [0.0, 10.0]
    try:
        mp.spawn(fail, nprocs=2)
    except mp.ProcessRaisedException as error:
        assert error.error_index == 1 and "number one fails" in str(error)
    else:
        sys.exit("the failure got lost")
    print("finished")


if __name__ == "__main__":
    main()
