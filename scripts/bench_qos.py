# SPDX-License-Identifier: Apache-2.0
"""What bench.py measures of fairness: three devices with weights that flood one worker, and a fourth
that asks for little. One process drives all four from one thread, in every run alike; where the
others are to be idle, their devices are there and get nothing to do.
"""
import collections
import json
import os
import pathlib

from bench_peers import DRIVER_CPU, HOST_CPU, BenchError, run

WEIGHTS = (1, 2, 4)
FLOOD_SIZE = 1024
FLOOD_DEPTH = 256
# The second: what can be done about a request that takes no longer than a round of the others'.
LIGHT_SIZES = (4096, 1024)
LIGHT_RATE = 10000
# The driver looks after the light device between any two bursts: short ones.
BURST = 8
FLOOD_SECONDS = 2
# Many and short, the others idle and not in turn: a virtual machine is taken away in bouts, which
# have to reach both sides alike. A round is all windows of a side together.
LIGHT_SECONDS = 0.5
LIGHT_WINDOWS = 6
SHARES = (0.5, 0.99)

CONFIG = f"""\
workers: [{HOST_CPU}]
devices:
""" + "".join(f"  - {{{{name: flood{weight}, weight: {weight}}}}}\n" for weight in WEIGHTS) + """\
  - {{name: light}}
"""


def perf(bench, stack, seconds, *targets):
    """Results of each device, as (name, settings), and how many of the last one's operations took
    how many microseconds."""
    sockets = [a for name, settings in targets
               for a in ("--socket", os.path.join(stack.dir, f"{name}.sock") + settings)]
    file = os.path.join(stack.dir, "latencies")
    text = run([bench.perf_program, *sockets, "--in-place", "--algo", "aes-128-cbc", "--size",
                str(FLOOD_SIZE), "--depth", str(FLOOD_DEPTH), "--burst", str(BURST), "--seconds",
                str(seconds), "--cpu", str(DRIVER_CPU), "--each", "--json", "--latencies", file])
    rows = json.loads(text)
    if any(row["errors"] for row in rows):
        raise BenchError("vcrypto-perf: errors")
    latencies = collections.Counter()
    for line in pathlib.Path(file).read_text("ascii").splitlines():
        number, microseconds, count = line.split()
        if int(number) == len(targets) - 1:
            latencies[float(microseconds)] += int(count)
    return [row["ops_per_s"] for row in rows], latencies


def quantile(latencies, share):
    wanted = share * latencies.total()
    for microseconds in sorted(latencies):
        wanted -= latencies[microseconds]
        if wanted <= 0:
            return microseconds
    return 0.0


def weight_error(rates):
    """Per cent by which the worst device is off what its weight says."""
    each = sum(rates) / sum(WEIGHTS)
    return max(abs(rate / (weight * each) - 1) for rate, weight in zip(rates, WEIGHTS)) * 100


def measure_light(bench, stack, size, floods, errors):
    """Quantiles of one round, as (beside, alone) of each."""
    light = ("light", f",depth=1,rate={LIGHT_RATE},size={size}")
    alone, beside = collections.Counter(), collections.Counter()
    for _ in range(LIGHT_WINDOWS):
        alone += perf(bench, stack, LIGHT_SECONDS, *((f, ",rate=0") for f in floods), light)[1]
        rates, latencies = perf(bench, stack, LIGHT_SECONDS, *((f, "") for f in floods), light)
        errors.append((weight_error(rates[:-1]), None))
        beside += latencies
    return [(quantile(beside, share), quantile(alone, share)) for share in SHARES]


def measure(bench):
    floods = [f"flood{weight}" for weight in WEIGHTS]
    errors, pairs = [], {size: [] for size in LIGHT_SIZES}
    with bench.vctest.Stack(host_config=CONFIG, engined=False) as stack:
        for _ in range(bench.rounds):
            rates, _ = perf(bench, stack, FLOOD_SECONDS, *((f, "") for f in floods))
            errors.append((weight_error(rates), None))
            for size in LIGHT_SIZES:
                pairs[size].append(measure_light(bench, stack, size, floods, errors))
    bench.add("qos.weight_error", "per cent", errors, "")
    # Where the machine stalls about as often as one request in a hundred, p99 is its stalls'; the
    # median is what they do not reach.
    for size in LIGHT_SIZES:
        suffix = "" if size == LIGHT_SIZES[0] else f".{size}"
        for row, *both in zip(("p50", "p99"), *pairs[size]):
            bench.add(f"qos.light_{row}{suffix}", "µs", both, "the others idle")
        ratios = [(beside / alone, None) for beside, alone in both]
        bench.add(f"qos.light_p99_ratio{suffix}", "times", ratios, "")
