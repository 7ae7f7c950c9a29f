#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Build and run the fuzz targets, and say what was reached.

    fuzz.py [--seconds N] [TARGET]...     each target for so long, one after the other
    fuzz.py --short [TARGET]...           a fixed number of inputs from the seeds, for tests

Targets are tests/fuzz/TARGET.c, built with clang in build-fuzz/. What is found goes into
build/fuzz/: TARGET-crash-... and the like, each of which fuzz-TARGET takes as an argument and then
does again; and corpus/TARGET, where the next long run begins. The table at the end has executions,
features (libFuzzer's, which say how often each edge was taken, too) and how many lines of the
target's own sources were run.

Exit status: 0; 1 when something was found; 77 when there is no clang with libFuzzer.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIPPED = 77
# What each is about: the sources whose lines are counted.
TARGETS = {
    "config": ["src/base/config.c", "src/base/config_check.c", "src/host/config.c",
               "src/host/config_check.c", "src/engined/config.c"],
    "control": ["src/host/control.c", "src/host/inband.c", "src/host/session.c",
                "src/host/session_params.c", "src/host/session_wire.c", "src/host/der.c"],
    "request": ["src/host/request.c", "src/host/request_memory.c", "src/host/request_finish.c",
                "src/host/request_revision.c", "src/host/request_akcipher.c",
                "src/host/stateless.c", "src/host/stream.h", "src/host/bounce.c"],
    "vhost": [f"src/host/{name}.c" for name in
              ("message", "vhost_connection", "vhost_memory", "vhost_queue", "vhost_session",
               "vhost_user", "vhost_iotlb", "device", "device_change", "device_memory", "iotlb",
               "ring_window", "memtable", "memguard", "order", "worker_command", "worker_poll",
               "worker_session", "worker_deadline", "worker_waiting", "worker_resource",
               "sched/sched", "sched/health", "control", "inband", "request", "request_copy",
               "request_finish", "request_memory", "request_akcipher", "stateless", "bounce",
               "inflight", "inflight_packed")],
    "engine": [*(f"src/engined/{name}.c" for name in
                 ("cache", "channel", "client", "device", "look", "region", "request", "session",
                  "status", "wake")), "src/base/ctl_server.c"],
    "driver": [f"src/virtio/{name}" for name in
               ("queue.c", "op.c", "op_revised.c", "ring.c", "ring.h", "ring_split.c", "ring_split.h",
                "ring_packed.c", "ring_packed.h")],
    "pci": ["src/virtio/pci_layout.c"],
    "ring": ["src/host/vring.c", "src/host/vring_found.c", "src/host/vring_packed.c",
             "src/host/vring_private.h"],
}
# Inputs of a short run: some seconds each.
SHORT_RUNS = 10000
SHORT_SECONDS = 30
# An input that takes so long hangs.
TIMEOUT_SECONDS = 10
# For all that a target's structures have; seeds are much smaller.
MAX_LENGTH = 8192


class FuzzError(Exception):
    """What went wrong, as a sentence."""


class NoFuzzer(Exception):
    """What is missing, as a sentence."""


def find_clang():
    """The compiler, if it can link a fuzzer."""
    clang = os.environ.get("FUZZ_CC") or shutil.which("clang")
    if not clang:
        raise NoFuzzer("clang is not installed")
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory, "t.c")
        source.write_text("int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n)\n"
                          "{ return 0; }\n", encoding="ascii")
        done = subprocess.run([clang, "-fsanitize=fuzzer,address,undefined",
                               "-fsanitize-coverage=trace-loads", str(source), "-o",
                               os.path.join(directory, "t")], capture_output=True, check=False)
    if done.returncode:
        raise NoFuzzer("clang has no libFuzzer (libclang-rt-dev), or is older than 14")
    return clang


def build(directory, clang):
    if not (directory / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(directory), str(ROOT), "-Dfuzz=true",
                        "-Db_sanitize=address,undefined", "-Db_lundef=false"],
                       env={**os.environ, "CC": clang}, check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(directory), "--quiet", "fuzz-targets"], check=True)


def tool(name):
    """llvm-cov and its like, which may carry a version in their names only."""
    for found in (name, *(f"{name}-{version}" for version in range(21, 13, -1))):
        if shutil.which(found):
            return found
    return None


class Target:
    """One target of a build."""

    def __init__(self, name, directory, findings):
        self.name = name
        self.program = directory / "tests" / "fuzz" / f"fuzz-{name}"
        self.findings = findings
        self.profile = directory / "tests" / "fuzz" / f"{name}.profraw"

    def seeds(self, directory):
        os.makedirs(directory, exist_ok=True)
        subprocess.run([str(self.program), f"--make-seeds={directory}"], check=True,
                       env=self.environment(), stdout=subprocess.DEVNULL)

    def environment(self):
        return {**os.environ, "LLVM_PROFILE_FILE": str(self.profile),
                "ASAN_OPTIONS": "detect_stack_use_after_return=0:strict_string_checks=1:"
                                "allocator_may_return_null=1",
                "UBSAN_OPTIONS": "print_stacktrace=1"}

    def run(self, *arguments, corpus):
        """What libFuzzer says; FuzzError with the end of it if something was found."""
        self.findings.mkdir(parents=True, exist_ok=True)
        command = [str(self.program), "-print_final_stats=1", f"-timeout={TIMEOUT_SECONDS}",
                   f"-max_len={MAX_LENGTH}", "-rss_limit_mb=2048", "-handle_bus=0",
                   "-verbosity=1", f"-artifact_prefix={self.findings}/{self.name}-", *arguments]
        dictionary = ROOT / "tests" / "fuzz" / f"{self.name}.dict"
        if dictionary.exists():
            command.append(f"-dict={dictionary}")
        done = subprocess.run([*command, *corpus], env=self.environment(), text=True,
                              errors="replace", stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            raise FuzzError(f"{done.stderr[-6000:]}\n{self.name}: found something: see "
                            f"{self.findings}/{self.name}-*")
        return done.stderr

    def short(self, runs):
        with tempfile.TemporaryDirectory(prefix="vcf-") as directory:
            seeds = os.path.join(directory, "seeds")
            fresh = os.path.join(directory, "fresh")
            os.mkdir(fresh)
            self.seeds(seeds)
            # All the seeds, and then new inputs: always the same ones.
            return self.run("-seed=1", f"-runs={runs}", f"-max_total_time={SHORT_SECONDS}",
                            corpus=[fresh, seeds])

    def long(self, seconds):
        corpus = self.findings / "corpus" / self.name
        corpus.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="vcf-") as seeds:
            self.seeds(seeds)
            return self.run(f"-max_total_time={seconds}", corpus=[str(corpus), seeds])

    def lines(self):
        """(run, all) lines of the target's own sources in the last run; None without llvm-cov."""
        profdata, cov = tool("llvm-profdata"), tool("llvm-cov")
        if not profdata or not cov:
            return None
        merged = self.profile.with_suffix(".profdata")
        subprocess.run([profdata, "merge", "-sparse", str(self.profile), "-o", str(merged)],
                       check=True)
        text = subprocess.run([cov, "export", "-summary-only", str(self.program),
                               f"-instr-profile={merged}"],
                              check=True, capture_output=True, text=True).stdout
        sources = {str(ROOT / source) for source in TARGETS[self.name]}
        lines = [file["summary"]["lines"] for file in json.loads(text)["data"][0]["files"]
                 if os.path.normpath(file["filename"]) in sources]
        return sum(n["covered"] for n in lines), sum(n["count"] for n in lines)


def figure(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def row(target, text):
    executions = figure(r"stat::number_of_executed_units: *(\d+)", text)
    speed = figure(r"stat::average_exec_per_sec: *(\d+)", text)
    features, edges = figure(r" ft: (\d+)", text), figure(r" cov: (\d+)", text)
    lines = target.lines()
    percent = f"{lines[0]:>6} of {lines[1]:<5} {100 * lines[0] / lines[1]:5.1f} %" if lines else "?"
    print(f"{target.name:<10} {executions:>12,} {speed:>8,} {features:>9,} {edges:>7,}  {percent}",
          flush=True)


def heading():
    print(f"{'target':<10} {'executions':>12} {'each s':>8} {'features':>9} {'edges':>7}  "
          "lines of its own sources")


def main():
    parser = argparse.ArgumentParser(description="run the fuzz targets")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--short", action="store_true", help="a fixed number of inputs")
    parser.add_argument("--runs", type=int, default=SHORT_RUNS, help="inputs of a short run")
    parser.add_argument("--build", default="build", help="findings go to BUILD/fuzz")
    parser.add_argument("--only-build", action="store_true",
                        help="run nothing")
    parser.add_argument("--built", help="a build directory with -Dfuzz=true that is up to date")
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        print(f"fuzz: no such target: {' '.join(sorted(unknown))}; there are {' '.join(TARGETS)}",
              file=sys.stderr)
        return 2
    directory = pathlib.Path(options.built or ROOT / "build-fuzz").resolve()
    findings = pathlib.Path(ROOT, options.build, "fuzz").resolve()
    found = []
    try:
        if not options.built:
            build(directory, find_clang())
        if options.only_build:
            return 0
        heading()
        for name in options.targets or TARGETS:
            target = Target(name, directory, findings)
            try:
                row(target, target.short(options.runs) if options.short
                    else target.long(options.seconds))
            except FuzzError as error:
                print(error, flush=True)
                found.append(name)
    except NoFuzzer as missing:
        print(f"fuzz: {missing}: nothing was fuzzed")
        return SKIPPED
    except subprocess.CalledProcessError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 1
    if found:
        print(f"fuzz: found something in: {' '.join(found)}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
