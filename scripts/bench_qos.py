# SPDX-License-Identifier: Apache-2.0
"""What bench.py measures of fairness: three devices with weights that flood one worker, and a fourth
that asks for little. One process drives all four from one thread, in every run alike; where the
others are to be idle, their devices are there and get nothing to do.
"""
import json
import os

from bench_peers import DRIVER_CPU, HOST_CPU, BenchError, run

WEIGHTS = (1, 2, 4)
FLOOD_SIZE = 1024
FLOOD_DEPTH = 256
# The second: what can be done about a request that takes no longer than a round of the others'.
LIGHT_SIZES = (4096, 1024)
LIGHT_RATE = 10000
# The driver looks after the light device between any two bursts: short ones.
BURST = 8
SECONDS = 2

CONFIG = f"""\
workers: [{HOST_CPU}]
devices:
""" + "".join(f"  - {{{{name: flood{weight}, weight: {weight}}}}}\n" for weight in WEIGHTS) + """\
  - {{name: light}}
"""


def perf(bench, stack, *targets):
    """Results of each device, as (name, settings)."""
    sockets = [a for name, settings in targets
               for a in ("--socket", os.path.join(stack.dir, f"{name}.sock") + settings)]
    text = run([bench.perf_program, *sockets, "--in-place", "--algo", "aes-128-cbc", "--size",
                str(FLOOD_SIZE), "--depth", str(FLOOD_DEPTH), "--burst", str(BURST), "--seconds",
                str(SECONDS), "--cpu", str(DRIVER_CPU), "--each", "--json"])
    rows = json.loads(text)
    if any(row["errors"] for row in rows):
        raise BenchError("vcrypto-perf: errors")
    return rows


def weight_error(rates):
    """Per cent by which the worst device is off what its weight says."""
    each = sum(rates) / sum(WEIGHTS)
    return max(abs(rate / (weight * each) - 1) for rate, weight in zip(rates, WEIGHTS)) * 100


def measure(bench):
    floods = [f"flood{weight}" for weight in WEIGHTS]
    errors, latency = [], {size: [] for size in LIGHT_SIZES}
    with bench.vctest.Stack(host_config=CONFIG, engined=False) as stack:
        for _ in range(bench.rounds):
            rates = [row["ops_per_s"] for row in perf(bench, stack, *((f, "") for f in floods))]
            errors.append((weight_error(rates), None))
            for size in LIGHT_SIZES:
                light = ("light", f",depth=1,rate={LIGHT_RATE},size={size}")
                alone = perf(bench, stack, *((f, ",rate=0") for f in floods), light)[-1]
                *flooding, beside = perf(bench, stack, *((f, "") for f in floods), light)
                errors.append((weight_error([row["ops_per_s"] for row in flooding]), None))
                latency[size].append((beside["p99_us"], alone["p99_us"]))
    bench.add("qos.weight_error", "per cent", errors, "")
    for size in LIGHT_SIZES:
        suffix = "" if size == LIGHT_SIZES[0] else f".{size}"
        bench.add(f"qos.light_p99{suffix}", "µs", latency[size], "the others idle")
        ratios = [(beside / alone, None) for beside, alone in latency[size]]
        bench.add(f"qos.light_p99_ratio{suffix}", "times", ratios, "")
