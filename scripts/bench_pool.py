# SPDX-License-Identifier: Apache-2.0
"""`make bench`: what the scheduler and the order layer cost, and what two unlike resources do
together."""
import json
import os

from bench_peers import DRIVER_CPU, HOST_CPU, run

# Both do it equally well, and there is much to do for a request.
ALGORITHM = "chacha20-poly1305"
SIZE = 16384

CONFIG = f"""\
workers: [{HOST_CPU}]
resources:
  - {{{{name: mb, type: ipsec-mb}}}}
  - {{{{name: sw, type: libcrypto}}}}
groups:
  - {{{{name: default, policy: POLICY, primary: [PRIMARY]}}}}
devices:
  - {{{{name: dev0, socket: {{dir}}/dev0.sock}}}}
"""


def scheduler(bench):
    """Cycles a request: each policy against no scheduler, strict order against relaxed."""
    program = os.path.join(bench.vctest.BUILD, "tests/bench/bench-scheduler")
    costs = [json.loads(run([program, str(HOST_CPU)])) for _ in range(bench.rounds)]
    for policy in ("failover", "round-robin", "least-inflight", "size"):
        name = "sched.cycles" if policy == "failover" else f"sched.cycles.{policy}"
        bench.add(name, "cycles", [(cost["sched"][policy] - cost["sched"]["none"], None)
                                   for cost in costs], "")
    for order in ("strict", "strict-mixed"):
        name = "order.cycles" if order == "strict" else "order.cycles.mixed"
        bench.add(name, "cycles", [(cost["order"][order] - cost["order"]["relaxed"], None)
                                   for cost in costs], "")


def pool(bench):
    """Both policies over ipsec-mb in the worker and libcrypto on a thread of its own, against the
    better one of these alone. With two CPUs that thread has what the driver leaves it, which
    therefore sleeps while it waits."""
    free = os.sched_getaffinity(0) - {DRIVER_CPU, HOST_CPU}
    options = [] if free else ["--sleep"]
    stacks = [("round-robin", "mb, sw"), ("least-inflight", "mb, sw"), ("failover", "mb"),
              ("failover", "sw")]
    rates = [[] for _ in stacks]
    for _ in range(bench.rounds):
        for (policy, primary), rate in zip(stacks, rates):
            config = CONFIG.replace("POLICY", policy).replace("PRIMARY", primary)
            with bench.vctest.Stack(host_config=config, engined=False,
                                    log_level="error") as stack:
                rate.append(bench.perf(ALGORITHM, SIZE, *options,
                                       sockets=[stack.device_socket])["gbit_per_s"])
    turns, least, mb, sw = rates
    alone = list(map(max, mb, sw))
    bench.add("pool.sum", "Gbit/s", list(zip(turns, alone)), "the better one alone")
    bench.add("pool.sum.least-inflight", "Gbit/s", list(zip(least, alone)), "the better one alone")
