#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libvcrypto, its example and vcrypto-perf against a live vcrypto-host."""

import glob
import json
import os
import pathlib
import signal
import subprocess
import tempfile

import vctest
from vctest import check, contains, equal

TESTS = os.path.join(vctest.BUILD, "tests/functional/libvcrypto")
QUICK = ["--seconds", "0.3", "--depth", "64"]


# enum vcrypto_session_way
IN_BAND, MESSAGE_70, MESSAGE_71, MESSAGE_81, STATELESS = range(2, 7)


STRICT = vctest.HOST_CONFIG.replace("queues:", "order: strict, queues:")
PACKED = 2  # enum vcrypto_ring


def run_on_host(name, timeout=600, queues=1, sessions=0, ring=0, config=None, without=0, far=False,
                env=None):
    """One of the C programs beside this file; its own report is shown when it fails."""
    with vctest.Stack(engined=False, queues=queues, host_config=config) as stack:
        stack.run([os.path.join(TESTS, name)], timeout=timeout,
                  env={**stack.env, "LIVE_SESSIONS": str(sessions), "LIVE_RING": str(ring),
                       "LIVE_WITHOUT": str(without), "LIVE_FAR": str(int(far)), **(env or {})})
        status = stack.ctl("host", "status")
        check(status, "the host still answers")


def perf(stack, *arguments, timeout=120):
    return subprocess.run([vctest.program("vcrypto-perf"), "--socket", stack.device_socket,
                           *arguments], env=stack.env, text=True, capture_output=True,
                          timeout=timeout, check=False)


def perf_json(stack, *arguments):
    done = perf(stack, "--json", *arguments)
    equal(done.returncode, 0, f"vcrypto-perf's status ({done.stderr})")
    return json.loads(done.stdout)


def test_known_answers_of_ciphers():
    run_on_host("libvcrypto_ciphers")


def test_every_algorithm():
    run_on_host("libvcrypto_algorithms")


def test_buffers_in_pieces():
    run_on_host("libvcrypto_pieces")


def test_known_answers_of_rsa():
    run_on_host("libvcrypto_rsa")


def test_key_agreement():
    agree = {"LIVE_AGREEMENT": "1"}
    run_on_host("libvcrypto_agree", env=agree)
    run_on_host("libvcrypto_agree", env=agree, ring=PACKED, config=STRICT)
    run_on_host("libvcrypto_agree", env=agree, far=True)
    # Where HELLO is said anyway.
    run_on_host("libvcrypto_agree", sessions=IN_BAND)
    run_on_host("libvcrypto_agree", sessions=IN_BAND, far=True)


def test_use():
    run_on_host("libvcrypto_use", queues=2)


def test_everything_with_in_band_sessions():
    run_on_host("libvcrypto_algorithms", sessions=IN_BAND)
    run_on_host("libvcrypto_ciphers", sessions=IN_BAND)
    run_on_host("libvcrypto_rsa", sessions=IN_BAND)
    run_on_host("libvcrypto_use", queues=2, sessions=IN_BAND)


def test_everything_in_stateless_mode():
    run_on_host("libvcrypto_algorithms", sessions=STATELESS)
    run_on_host("libvcrypto_ciphers", sessions=STATELESS)
    run_on_host("libvcrypto_pieces", sessions=STATELESS)
    run_on_host("libvcrypto_rsa", sessions=STATELESS)
    run_on_host("libvcrypto_use", queues=2, sessions=STATELESS)
    run_on_host("libvcrypto_ciphers", sessions=STATELESS, ring=PACKED)


def test_services_without_stateless_mode_have_sessions():
    """In the layouts of REVISION_1: of all services but ciphers, and of all but AKCIPHER."""
    for without in (0x3c, 0x1e):
        run_on_host("libvcrypto_algorithms", sessions=STATELESS, without=without)
        run_on_host("libvcrypto_ciphers", sessions=STATELESS, without=without)
        run_on_host("libvcrypto_rsa", sessions=STATELESS, without=without)


def test_stateless_sessions():
    with vctest.Stack(engined=False) as stack:
        stack.run([os.path.join(TESTS, "libvcrypto_stateless")], timeout=600)
        equal(requests(stack, ["control"]), 0, "requests about sessions")


def test_everything_over_packed_rings():
    run_on_host("libvcrypto_ciphers", ring=PACKED)
    run_on_host("libvcrypto_rsa", ring=PACKED)
    run_on_host("libvcrypto_use", queues=2, ring=PACKED)
    run_on_host("libvcrypto_ciphers", sessions=IN_BAND, ring=PACKED)


def test_everything_in_order():
    """IN_ORDER, which a strict device offers and libvcrypto takes."""
    for ring in (0, PACKED):
        run_on_host("libvcrypto_ciphers", ring=ring, config=STRICT)
        run_on_host("libvcrypto_use", queues=2, ring=ring, config=STRICT)
    run_on_host("libvcrypto_rsa", sessions=IN_BAND, ring=PACKED, config=STRICT)


def test_everything_in_memory_that_is_copied():
    """Registered memory that the device cannot reach, as on a PCI bus without an IOMMU."""
    run_on_host("libvcrypto_algorithms", far=True)
    run_on_host("libvcrypto_rsa", far=True, sessions=IN_BAND, ring=PACKED)
    run_on_host("libvcrypto_pieces", far=True)


def test_perf_over_every_kind_of_ring():
    for config in (None, STRICT):
        with vctest.Stack(engined=False, host_config=config) as stack:
            for ring in ("auto", "split", "packed"):
                result, = perf_json(stack, "--algo", "aes-128-cbc", "--ring", ring, "--size",
                                    "1024", "--verify", *QUICK)
                check(result["verified"] > 1000, f"{ring}: {result['verified']} verified")
                equal(result["errors"], 0, f"{ring}: errors")


def test_sessions_by_every_layout_of_the_message():
    for layout in (MESSAGE_70, MESSAGE_71, MESSAGE_81):
        run_on_host("libvcrypto_ciphers", sessions=layout)


def test_a_host_that_is_killed_is_noticed():
    with vctest.Stack(engined=False) as stack:
        program = os.path.join(TESTS, "libvcrypto_host_killed")
        with subprocess.Popen([program], env=stack.env, stdout=subprocess.PIPE,
                              text=True) as process:
            equal(process.stdout.readline(), "ready\n")
            stack.host.kill()
            output, _ = process.communicate(timeout=60)
            equal(process.returncode, 0, f"status ({output})")


def test_a_device_that_is_not_ready_is_sent_nothing():
    for sessions in (0, IN_BAND):
        with vctest.Stack(engined=False) as stack:
            def device():
                return stack.ctl("host", "status")["devices"][0]

            def requests():
                return [queue["requests"] for queue in device()["queues"]]

            def wait_for(word):
                for line in process.stdout:
                    if line == f"{word}\n":
                        return
                check(False, f"it ended without saying {word}")

            with subprocess.Popen([os.path.join(TESTS, "libvcrypto_not_ready")],
                                  env={**stack.env, "LIVE_SESSIONS": str(sessions)},
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True) as process:
                wait_for("working")
                before = requests()
                stack.ctl("host", "offline", device="dev0")
                wait_for("held")
                equal(requests(), before, "requests while it is not ready")
                stack.ctl("host", "online", device="dev0")
                wait_for("again")
                vctest.wait_until(lambda: device()["sessions"] == 1, what="others are destroyed")
                process.communicate("\n", timeout=60)
                equal(process.returncode, 0, "status")


def test_example():
    with vctest.Stack(engined=False) as stack, tempfile.NamedTemporaryFile() as file:
        file.write(os.urandom(1234567))
        file.flush()
        done = stack.run([os.path.join(vctest.BUILD, "examples/encrypt"), stack.device_socket,
                          file.name])
        contains(done.stdout.decode(), "1234567 bytes encrypted, decrypted and compared")


def test_example_packets():
    with vctest.Stack(engined=False) as stack:
        done = stack.run([os.path.join(vctest.BUILD, "examples/packets"), stack.device_socket,
                          "5000"])
        contains(done.stdout.decode(), "packets sealed, opened and compared")
        check(int(done.stdout.split()[0]) >= 5000, "all packets")


def test_example_sign():
    vctest.need("openssl")
    with vctest.Stack(engined=False) as stack, tempfile.TemporaryDirectory() as folder:
        def path(name):
            return os.path.join(folder, name)

        text = os.path.abspath(__file__)
        stack.run(["openssl", "genrsa", "-traditional", "-out", path("key.pem"), "2048"])
        stack.run(["openssl", "rsa", "-traditional", "-in", path("key.pem"), "-outform", "DER",
                   "-out", path("key.der")])
        stack.run(["openssl", "rsa", "-in", path("key.pem"), "-pubout", "-out", path("pub.pem")])
        done = stack.run([os.path.join(vctest.BUILD, "examples/sign"), stack.device_socket,
                          path("key.der"), text])
        equal(len(done.stdout), 256, "bytes of signature")
        with open(path("signature"), "wb") as file:
            file.write(done.stdout)
        stack.run(["openssl", "dgst", "-sha256", "-verify", path("pub.pem"), "-signature",
                   path("signature"), text])


def sanitizer_flags():
    options = subprocess.run(["meson", "introspect", "--buildoptions", vctest.BUILD], check=True,
                             capture_output=True, text=True).stdout
    value = {option["name"]: option["value"] for option in json.loads(options)}["b_sanitize"]
    return [] if value == "none" else [f"-fsanitize={value}"]


def test_example_with_the_installed_library():
    vctest.need("meson")
    vctest.need("pkg-config")
    source = os.path.join(os.path.dirname(__file__), "../../examples/encrypt.c")
    with vctest.Stack(engined=False) as stack, tempfile.TemporaryDirectory() as root:
        stack.run(["meson", "install", "-C", vctest.BUILD, "--no-rebuild", "--destdir", root])
        pc_file, = glob.glob(f"{root}/**/libvcrypto.pc", recursive=True)
        env = {**stack.env, "PKG_CONFIG_PATH": os.path.dirname(pc_file),
               "PKG_CONFIG_SYSROOT_DIR": root}
        lib = os.path.dirname(glob.glob(f"{root}/**/libvcrypto.so.0", recursive=True)[0])
        for static in ([], ["--static"]):
            flags = stack.run(["pkg-config", "--cflags", "--libs", *static, "libvcrypto"],
                              env=env).stdout.decode().split()
            if static:
                flags = [flag.replace("-lvcrypto", "-l:libvcrypto.a") for flag in flags]
            program = os.path.join(root, "encrypt")
            stack.run(["cc", "-Wall", "-Werror", source, *flags, *sanitizer_flags(),
                       "-o", program], env=env)
            done = stack.run([program, stack.device_socket, source],
                             env={**stack.env, "LD_LIBRARY_PATH": lib})
            contains(done.stdout.decode(), "encrypted, decrypted and compared")
            needed = stack.run(["readelf", "-d", program]).stdout.decode()
            equal("libvcrypto.so.0" in needed, not static, "uses the shared library")


def test_perf_does_every_algorithm():
    with vctest.Stack(engined=False) as stack:
        names = perf(stack, "--algo", "list").stdout.split()
        check(len(names) == 55, f"{len(names)} algorithms")
        fast = [name for name in names if not name.startswith("rsa")]
        results = perf_json(stack, "--algo", ",".join(fast), "--size", "1024", "--verify",
                            "--seconds", "0.1", "--depth", "32")
        equal([result["algo"] for result in results], fast)
        for name in ("rsa2048", "rsa2048-pub"):
            results += perf_json(stack, "--algo", name, "--verify", *QUICK)
        for result in results:
            check(result["verified"] > 0, f"{result['algo']}: some are verified")
            equal(result["errors"], 0, f"{result['algo']}: errors")
            check(result["ops_per_s"] > 0, f"{result['algo']}: something is done")
            check(result["p99_us"] >= result["p50_us"] >= 0, f"{result['algo']}: latency")


def test_perf_counts_what_the_host_counts():
    with vctest.Stack(engined=False, queues=2) as stack:
        results = perf_json(stack, "--algo", "aes-128-cbc", "--size", "64,16384", "--queues", "2",
                            *QUICK)
        equal([(r["size"], r["queues"], r["depth"]) for r in results], [(64, 2, 64), (16384, 2, 64)])
        for result in results:
            gbit = result["ops_per_s"] * result["size"] * 8 / 1e9
            check(result["p50_us"] > 0, "some latencies were taken")
            check(abs(gbit - result["gbit_per_s"]) <= 0.01 * gbit + 0.001, "Gbit/s fit ops/s")


def test_perf_writes_latencies():
    with vctest.Stack(engined=False) as stack:
        file = pathlib.Path(stack.dir, "latencies")
        result, = perf_json(stack, "--algo", "aes-128-cbc", "--size", "1024", "--latencies",
                            str(file), *QUICK)
        lines = [line.split() for line in file.read_text("ascii").splitlines()]
        equal({number for number, _, _ in lines}, {"0"})
        times = [float(microseconds) for _, microseconds, _ in lines]
        equal(times, sorted(times))
        half = sum(int(count) for _, _, count in lines) / 2
        check(half > 0, "some latencies were written")
        for _, microseconds, count in lines:
            half -= int(count)
            if half <= 0:
                check(abs(float(microseconds) - result["p50_us"]) < 0.01, "their median is p50_us")
                break


def test_perf_sleeps_when_told():
    with vctest.Stack(engined=False) as stack:
        result, = perf_json(stack, "--algo", "aes-256-gcm", "--size", "4096", "--sleep",
                            "--seconds", "0.5", "--depth", "1", "--verify")
        check(result["verified"] > 0, "some are verified")
        check(result["calls_per_op"] <= 1.01, f"{result['calls_per_op']} calls per operation")


WAYS = ("ctrlq", "inband", "msg70", "msg71", "msg81", "stateless")


def test_perf_makes_sessions_by_every_way():
    with vctest.Stack(engined=False) as stack:
        for way in WAYS:
            result, = perf_json(stack, "--algo", "aes-128-cbc-hmac-sha1", "--session-via", way,
                                "--size", "1024", "--verify", *QUICK)
            check(result["verified"] > 0, f"{way}: some are verified")
            equal(result["errors"], 0, f"{way}: errors")


def requests(stack, kinds=("control", "data")):
    queues = stack.ctl("host", "status")["devices"][0]["queues"]
    return sum(queue["requests"] for queue in queues if queue["kind"] in kinds)


def test_perf_counts_sessions():
    with vctest.Stack(engined=False) as stack:
        before = requests(stack, ["control"])
        result, = perf_json(stack, "--algo", "aes-256-gcm", "--sessions", "--seconds", "0.3")
        check(result["sessions"] > 0 and result["sessions_per_s"] > 0, "some sessions")
        # Each was made and destroyed, and there was a time to warm up.
        check(requests(stack, ["control"]) - before >= 2 * result["sessions"], "the host's count")
        for way in WAYS[1:]:
            result, = perf_json(stack, "--algo", "aes-128-cbc", "--sessions", "--session-via", way,
                                "--seconds", "0.2")
            check(result["sessions"] > 0, f"sessions by {way}")


def test_perf_knows_its_ceiling():
    with vctest.Stack(engined=False) as stack:
        stack.host.stop()
        ceiling, = perf_json(stack, "--ceiling", "--algo", "aes-128-cbc", "--size", "65536",
                             *QUICK)
        equal(ceiling["verified"], 0, "nothing is computed")
        equal(ceiling["errors"], 0, "errors")
        # As much as a core encrypts, were it even on a busy machine and sanitized.
        check(ceiling["gbit_per_s"] > 100, f"{ceiling['gbit_per_s']} Gbit/s")


def test_perf_tells_how_far_cpus_are():
    def crossing(*arguments):
        return subprocess.run([vctest.program("vcrypto-perf"), "--crossing", *arguments], text=True,
                              capture_output=True, timeout=120, check=False)

    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise vctest.Skip("there is one CPU only")
    writer, *readers = cpus[:3]
    done = crossing(",".join(map(str, cpus[:3])), "--seconds", "0.2", "--json")
    equal(done.returncode, 0, done.stderr)
    rows = json.loads(done.stdout)
    equal([(row["writer_cpu"], row["reader_cpu"]) for row in rows], [(writer, r) for r in readers])
    for row in rows:
        check(0 < row["wait_least_ns"] <= row["wait_ns"] <= row["wait_most_ns"], f"in order: {row}")
        check(row["together_ns"] > 0 and row["write_ns"] > 0, f"{row}")
    for arguments, status, words in (
            ("0", 2, "two CPUs at least, such as 0,1"), ("0,1,0", 2, "from a CPU to itself"),
            ("0,x", 2, '--crossing: "x" is not a number from 0 to 1023'), (",", 2, "nothing given"),
            (f"{writer},1023", 1, "CPU 1023: not one that this program may run on"),
            (f"1023,{writer}", 1, "CPU 1023: not one that this program may run on")):
        done = crossing(arguments, "--seconds", "0.1")
        equal((done.returncode, done.stdout), (status, ""), arguments)
        contains(done.stderr, words)
    done = crossing("0,1", "--algo", "sha256")
    equal(done.returncode, 2, "status")
    contains(done.stderr, "--crossing takes no --algo and no device")


def test_perf_tells_what_it_has_when_interrupted():
    with vctest.Stack(engined=False) as stack:
        for number, arguments in ((signal.SIGINT, ["aes-128-cbc,rsa2048", "--size", "64,256"]),
                                  (signal.SIGTERM, ["aes-128-cbc", "--sessions"])):
            before = requests(stack)
            with subprocess.Popen(
                    [vctest.program("vcrypto-perf"), "--socket", stack.device_socket, "--json",
                     "--seconds", "3600", "--algo", *arguments], env=stack.env, text=True,
                    stdout=subprocess.PIPE, preexec_fn=vctest.die_with_parent) as process:
                vctest.wait_until(
                    lambda b=before: requests(stack) > b + 2000, 60,
                    "it is at work")
                process.send_signal(number)
                output = process.communicate(timeout=60)[0]
            equal(process.returncode, 0, f"status after {number}")
            rows = json.loads(output)
            equal(len(rows), 1, "measurements: none is begun after it")
            count = rows[0].get("sessions_per_s") or rows[0]["ops_per_s"]
            check(0 < count < 1e9, f"what was measured: {rows[0]}")


def test_perf_that_ignores_signals_goes_on():
    """As in the background of a shell."""
    with vctest.Stack(engined=False) as stack:
        with subprocess.Popen(
                ["sh", "-c", 'trap "" INT; exec "$0" "$@"', vctest.program("vcrypto-perf"),
                 "--socket", stack.device_socket, "--json", "--seconds", "1", "--algo",
                 "aes-128-cbc,sha256"], env=stack.env, text=True, stdout=subprocess.PIPE,
                preexec_fn=vctest.die_with_parent) as process:
            vctest.wait_until(lambda: requests(stack) > 100, 60, "it is at work")
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=60)[0]
        equal(process.returncode, 0, "its status")
        equal([row["algo"] for row in json.loads(output)], ["aes-128-cbc", "sha256"])


def test_perf_refuses_wrong_options():
    with vctest.Stack(engined=False) as stack:
        for arguments, words in (
                ([], "no --algo"),
                (["--algo", "rot13"], "no algorithm \"rot13\""),
                (["--algo", "aes-128-cbc", "--size", "0"], "--size"),
                (["--algo", "aes-128-cbc", "--size", ","], "--size"),
                (["--algo", "aes-128-cbc", "--depth", "ten"], "--depth"),
                (["--algo", "aes-128-cbc", "--seconds", "-1"], "--seconds"),
                (["--algo", "aes-128-gcm-dec", "--in-place"], "--in-place"),
                (["--algo", "aes-128-cbc", "rest"], "\"rest\""),
                (["--algo", "aes-128-cbc", "--session-via", "pigeon"], "--session-via"),
                (["--algo", "aes-128-cbc", "--ring", "round"], "--ring"),
                (["--fast"], "--fast"),
        ):
            done = perf(stack, *arguments)
            equal(done.returncode, 2, f"status of {arguments}")
            contains(done.stderr, words)
        done = perf(stack, "--algo", "aes-128-cbc", "--queues", "7")
        equal(done.returncode, 1)
        contains(done.stderr, "1 data queues only")
        # Not a whole number of blocks: an error of each operation, and of the program.
        done = perf(stack, "--algo", "aes-128-cbc", "--size", "100")
        equal(done.returncode, 1)


def test_perf_without_a_host():
    with vctest.Stack(engined=False) as stack:
        stack.host.stop()
        done = perf(stack, "--algo", "aes-128-cbc")
        equal(done.returncode, 1)
        contains(done.stderr, "cannot open the device")


vctest.main(globals())
