"""multiprocessing_bench.py WHAT N: does something N times by Python's multiprocessing, prints the nanoseconds of one."""

import concurrent.futures
import multiprocessing
import statistics
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


def plus_one(number):
    return number + 1


def same(value):
    return value


def median_round_trip(count, call, argument, expected):
    """Nanoseconds, times the count, as what is printed is divided by that."""
    for _ in range(10):
        call(argument)
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        back = call(argument)
        times.append(time.perf_counter_ns() - start)
        if back != expected:
            raise ValueError("a result was changed")
    return statistics.median(times) * count


def pool_apply(count):
    with multiprocessing.Pool(1) as pool:
        return median_round_trip(count, lambda n: pool.apply(plus_one, (n,)), 1, 2)


def pool_apply_large(count):
    large = b"x" * (1 << 20)
    with multiprocessing.Pool(1) as pool:
        return median_round_trip(count, lambda b: pool.apply(same, (b,)), large, large)


def executor(count):
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        return median_round_trip(
            count, lambda n: pool.submit(plus_one, n).result(), 1, 2
        )


def loky_executor(count):
    import loky

    pool = loky.get_reusable_executor(max_workers=1, timeout=60)
    spent = median_round_trip(count, lambda n: pool.submit(plus_one, n).result(), 1, 2)
    pool.shutdown()
    return spent


def pool_map(count):
    with multiprocessing.Pool(2) as pool:
        pool.map(plus_one, range(100))
        start = time.perf_counter_ns()
        results = pool.map(plus_one, range(count))
        spent = time.perf_counter_ns() - start
    if sum(results) != count * (count + 1) // 2:
        raise ValueError("a result was changed")
    return spent


def pool_imap(count):
    """One at a time, as what is lazy with a chunk of 1."""
    with multiprocessing.Pool(2) as pool:
        pool.map(plus_one, range(100))
        start = time.perf_counter_ns()
        total = sum(pool.imap(plus_one, range(count)))
        spent = time.perf_counter_ns() - start
    if total != count * (count + 1) // 2:
        raise ValueError("a result was changed")
    return spent


def pool_apply_async(count):
    with multiprocessing.Pool(2) as pool:
        pool.map(plus_one, range(100))
        start = time.perf_counter_ns()
        tasks = [pool.apply_async(plus_one, (n,)) for n in range(count)]
        total = sum(task.get() for task in tasks)
        spent = time.perf_counter_ns() - start
    if total != count * (count + 1) // 2:
        raise ValueError("a result was changed")
    return spent


if __name__ == "__main__":
    what = {
        "queue": queue_items,
        "pipe": pipe_round_trips,
        "lock": lock_alone,
        "lock-2": lock_contended,
        "pool-apply": pool_apply,
        "pool-apply-1m": pool_apply_large,
        "executor": executor,
        "loky": loky_executor,
        "pool-map": pool_map,
        "pool-imap": pool_imap,
        "pool-async": pool_apply_async,
    }
    number = int(sys.argv[2])
    print(what[sys.argv[1]](number) / max(number, 1))
