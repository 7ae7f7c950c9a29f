# SPDX-License-Identifier: Apache-2.0
"""`make bench`: the primary resource of a group goes at full load, and another one stands in."""
import json
import os
import shutil
import statistics
import subprocess
import time

from bench_peers import DRIVER_CPU, HOST_CPU, BenchError, run

ALGORITHM = "aes-128-cbc"
SIZE = 4096
SECONDS = 1
# After the start of the load; when all is in its stride.
FAULT_AFTER = 0.6
# Throughput is back when so many milliseconds from then on have this share of what comes later.
BACK_MS = 5
BACK_SHARE = 0.9
SETTLED_MS = 150  # after the fault, what the other one gives is taken from here on

CONFIG = f"""\
workers: [{HOST_CPU}]
resources:
  - {{{{name: mb, type: ipsec-mb}}}}
  - {{{{name: primary, type: fault, of: mb}}}}
  - {{{{name: secondary, type: ipsec-mb}}}}
groups:
  - {{{{name: default, policy: failover, primary: [primary], secondary: [secondary]%s}}}}
devices:
  - {{{{name: dev0, socket: {{dir}}/dev0.sock}}}}
"""

PLOT = """\
set terminal svg size 900,420 background rgb 'white'
set output '{svg}'
set title '{title}'
set xlabel 'milliseconds from the moment at which the primary resource {verb}'
set ylabel '{algo}, {size} bytes: done in 1 ms'
set xrange [-50:150]
set yrange [0:*]
set grid
set arrow from 0, graph 0 to 0, graph 1 nohead linecolor rgb 'red' linewidth 2
set label 'it {verb}' at 1, graph 0.05 textcolor rgb 'red'
plot '{data}' using 1:2 with steps linewidth 2 notitle
"""


# Rows, what happens, what the group knows of time, in words, drawing.
DRILLS = (
    ("failover.", {"dead": "yes"}, "", "dies", "failover.svg"),
    ("failover.hang_", {"hang": "yes"}, ", deadline-ms: 5", "hangs", "failover-hang.svg"),
)


class Drill:
    """One run: the load, the fault, and what the timeline says."""

    def __init__(self, vctest, directory, fault, deadline):
        self.path = os.path.join(directory, "timeline")
        with vctest.Stack(host_config=CONFIG % deadline, engined=False,
                          log_level="error") as stack:
            self.errors, fault_ns = self._load(vctest, stack, fault)
        self._read(fault_ns)

    def _load(self, vctest, stack, fault):
        command = [vctest.program("vcrypto-perf"), "--socket", stack.device_socket, "--algo",
                   ALGORITHM, "--size", str(SIZE), "--seconds", str(SECONDS), "--cpu",
                   str(DRIVER_CPU), "--timeline", self.path, "--json"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as load:
            try:
                time.sleep(FAULT_AFTER)
                answer = stack.ctl("host", "fault", resource="primary", set=fault)
                output, errors = load.communicate(timeout=60)
            finally:
                load.kill()
        if not output:
            raise BenchError(f"vcrypto-perf: {errors}")
        return json.loads(output)[0]["errors"], answer["changed_ns"]

    def _read(self, fault_ns):
        with open(self.path, encoding="ascii") as file:
            start_ns = int(file.readline().split()[-2])
            rows = [tuple(map(int, line.split())) for line in file]
        os.unlink(self.path)
        self.fault_ms = (fault_ns - start_ns) / 1e6
        self.done = [row[1] for row in rows]
        # The last milliseconds are the end of the load.
        later = self.done[int(self.fault_ms) + SETTLED_MS:-20]
        if len(later) < SETTLED_MS:
            raise BenchError("the load ended too early for a drill")
        enough = BACK_SHARE * BACK_MS * statistics.median(later)
        at = int(self.fault_ms)
        while at < len(self.done) and sum(self.done[at:at + BACK_MS]) < enough:
            at += 1
        self.recovery_ms = max(at - self.fault_ms, 0)

    def draw(self, svg, title, verb):
        data = f"{svg}.data"
        with open(data, "w", encoding="ascii") as file:
            for ms, done in enumerate(self.done):
                print(ms - self.fault_ms, done, file=file)
        try:
            run(["gnuplot", "-e", PLOT.format(svg=svg, title=title, verb=verb, data=data,
                                              algo=ALGORITHM, size=SIZE).replace("\n", ";")])
        finally:
            os.unlink(data)


def failover(bench):
    """Rows, and a drawing of the round whose recovery is the median."""
    for name, fault, deadline, verb, svg in DRILLS:
        drills = [Drill(bench.vctest, bench.stack.dir, fault, deadline)
                  for _ in range(bench.rounds)]
        bench.add(f"{name}failed", "requests", [(sum(d.errors for d in drills), None)], "")
        bench.add(f"{name}recovery_ms", "ms", [(d.recovery_ms, None) for d in drills], "")
        drills.sort(key=lambda drill: drill.recovery_ms)
        if shutil.which("gnuplot"):
            drills[len(drills) // 2].draw(os.path.join(bench.vctest.BUILD, svg),
                                          f"vcrypto-host: the primary resource {verb}", verb)
        else:
            print("(gnuplot is not installed: no drawing of the drill)")
