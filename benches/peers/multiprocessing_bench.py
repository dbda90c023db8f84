"""multiprocessing_bench.py WHAT N: does something N times by Python's multiprocessing, prints the nanoseconds of one."""

import multiprocessing
import sys
import time

ITEM = (7, 7, 7, 7, 7, 7, 7, 7)


def consume(queue, count):
    for _ in range(count):
        if queue.get() != ITEM:
            raise ValueError("an item was changed")


def echo(pipe, count):
    for _ in range(count):
        pipe.send(pipe.recv())


def add(value, count):
    for _ in range(count):
        with value.get_lock():
            value.value += 1


def queue_items(count):
    queue = multiprocessing.Queue(1024)
    process = multiprocessing.Process(target=consume, args=(queue, count))
    process.start()
    start = time.perf_counter_ns()
    for _ in range(count):
        queue.put(ITEM)
    process.join()
    return time.perf_counter_ns() - start


def pipe_round_trips(count):
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.Process(target=echo, args=(its, count))
    process.start()
    start = time.perf_counter_ns()
    for number in range(count):
        ours.send(number)
        if ours.recv() != number:
            raise ValueError("a number was changed")
    spent = time.perf_counter_ns() - start
    process.join()
    return spent


def lock_alone(count):
    lock = multiprocessing.Lock()
    start = time.perf_counter_ns()
    for _ in range(count):
        lock.acquire()
        lock.release()
    return time.perf_counter_ns() - start


def lock_contended(count):
    value = multiprocessing.Value("Q", 0)
    processes = [
        multiprocessing.Process(target=add, args=(value, count // 2)) for _ in range(2)
    ]
    start = time.perf_counter_ns()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if value.value != count // 2 * 2:
        raise ValueError("an increment was lost")
    return time.perf_counter_ns() - start


if __name__ == "__main__":
    what = {
        "queue": queue_items,
        "pipe": pipe_round_trips,
        "lock": lock_alone,
        "lock-2": lock_contended,
    }
    number = int(sys.argv[2])
    print(what[sys.argv[1]](number) / max(number, 1))
