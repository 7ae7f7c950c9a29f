#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcryptoctl and the control sockets of live daemons."""

import json
import os
import socket
import stat
import subprocess
import time

import vctest


def test_status_as_text():
    with vctest.Stack() as stack:
        done = stack.vcryptoctl("status")
        vctest.equal(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        vctest.contains(lines[0], f"process {stack.host.pid}, up ")
        for part in ("vcrypto-host ", "ipsec-mb", "libcrypto", "failover", "device dev0 at ",
                     f"front end is process {stack.engined.pid} of user {os.getuid()}",
                     "control", "started", "vcrypto-engined ", ": up, reconnects 0",
                     "no clients"):
            vctest.contains(done.stdout, part)
        vctest.equal(done.stderr, "", "standard error")
        vctest.check(max(len(line) for line in lines) < 160, "lines are short")


def test_status_as_json():
    with vctest.Stack() as stack:
        done = stack.vcryptoctl("status", "--json")
        vctest.equal(done.returncode, 0, done.stderr)
        status = json.loads(done.stdout)
        host, engined = status["host"], status["engined"]
        vctest.equal(host["daemon"], "vcrypto-host")
        vctest.equal(host["pid"], stack.host.pid)
        vctest.equal([resource["name"] for resource in host["resources"]], ["mb", "sw"])
        vctest.equal(host["groups"][0]["primary"], ["mb"])
        vctest.equal(host["groups"][0]["secondary"], ["sw"])
        device = host["devices"][0]
        vctest.equal(device["socket"], stack.device_socket)
        vctest.equal(device["connected"], True)
        vctest.equal(device["front_end"]["pid"], stack.engined.pid)
        vctest.equal([queue["kind"] for queue in device["queues"]], ["data", "control"])
        vctest.equal([queue["broken"] for queue in device["queues"]], [None, None])
        vctest.equal(engined["daemon"], "vcrypto-engined")
        vctest.equal(engined["pid"], stack.engined.pid)
        vctest.equal(engined["device"]["socket"], stack.device_socket)
        vctest.equal(engined["device"]["state"], "up")
        vctest.equal(engined["clients"], [])
        vctest.equal(engined["totals"]["requests"], 0)


def test_one_daemon_is_chosen():
    with vctest.Stack() as stack:
        for arguments, daemon in (
                (("--host", "status", "--json"), "vcrypto-host"),
                (("--json", "--engined", "status"), "vcrypto-engined"),
                (("--socket", f"{stack.dir}/host.ctl", "--json", "status"), "vcrypto-host"),
                (("--socket", f"{stack.dir}/engined.ctl", "--json", "version"),
                 "vcrypto-engined")):
            done = stack.vcryptoctl(*arguments)
            vctest.equal(done.returncode, 0, done.stderr)
            vctest.equal(json.loads(done.stdout)["daemon"], daemon, str(arguments))


def test_every_command_answers():
    with vctest.Stack() as stack:
        for command in ("devices", "clients", "sessions", "version"):
            done = stack.vcryptoctl(command)
            vctest.equal((done.returncode, done.stderr), (0, ""), command)
            vctest.check(done.stdout, f"{command} says something")
            done = stack.vcryptoctl(command, "--json")
            vctest.equal((done.returncode, done.stderr), (0, ""), command)
            json.loads(done.stdout)


def test_log_level_is_changed():
    with vctest.Stack() as stack:
        done = stack.vcryptoctl("log-level", "debug")
        vctest.equal((done.returncode, done.stderr), (0, ""))
        vctest.equal(done.stdout.count("log level is now debug"), 2, done.stdout)
        for daemon in ("host", "engined"):
            with vctest.raises(vctest.ControlError, "level"):
                stack.ctl(daemon, "log-level", level="loud")
            with vctest.raises(vctest.ControlError, "level"):
                stack.ctl(daemon, "log-level")


def test_command_lines_that_are_wrong():
    with vctest.Stack(engined=False) as stack:
        for arguments, sentence in (
                ((), "a command is missing"),
                (("frobnicate",), 'unknown command "frobnicate"'),
                (("status", "now"), '"now" is one word too many'),
                (("log-level",), "needs one word more"), (("offline",), "needs one word more"),
                (("--engined", "offline", "dev0"), "offline is not of vcrypto-engined"),
                (("log-level", "loud"), '"loud" is not a log level'),
                (("--host", "--engined", "status"), "exclude each other"),
                (("--host", "clients"), "clients is not of vcrypto-host"),
                (("--wait", "long", "status"), "not a number of seconds"),
                (("--wait", "3601", "status"), "not a number of seconds"),
                (("--colour", "status"), "unrecognized option")):
            done = stack.vcryptoctl(*arguments)
            vctest.equal(done.returncode, 2, str(arguments))
            vctest.contains(done.stderr, sentence)
            vctest.equal(done.stdout, "", str(arguments))


def test_help_and_version():
    with vctest.Stack(host=False, engined=False) as stack:
        done = stack.vcryptoctl("--help")
        vctest.equal(done.returncode, 0)
        for command in ("status", "devices", "clients", "sessions", "log-level LEVEL",
                        "offline DEVICE", "online DEVICE", "version"):
            vctest.contains(done.stdout, f"  {command} ")
        done = stack.vcryptoctl("--version")
        vctest.equal(done.returncode, 0)
        vctest.contains(done.stdout, "vcryptoctl ")


def test_waits_for_a_daemon_that_is_not_there_yet():
    with vctest.Stack(engined=False) as stack:
        stack.host.stop()
        with subprocess.Popen([vctest.program("vcryptoctl"), "--wait", "60", "--host", "version"],
                              env=stack.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as waiting:
            time.sleep(0.3)
            vctest.equal(waiting.poll(), None, "ends before the daemon is there")
            stack.host.start()
            output, errors = waiting.communicate(timeout=60)
        vctest.equal((waiting.returncode, errors), (0, ""))
        vctest.contains(output, "vcrypto-host ")


def test_waits_no_longer_than_told():
    with vctest.Stack(host=False, engined=False) as stack:
        begin = time.monotonic()
        done = stack.vcryptoctl("--wait", "1", "status")
        vctest.equal(done.returncode, 1)
        vctest.contains(done.stderr, "vcrypto-host: not running")
        vctest.check(0.9 < time.monotonic() - begin < 15, "waits a second")


def test_one_daemon_is_absent():
    with vctest.Stack(engined=False) as stack:
        done = stack.vcryptoctl("status")
        vctest.equal(done.returncode, 0, done.stderr)
        vctest.contains(done.stdout, "vcrypto-host ")
        vctest.contains(done.stdout, "vcrypto-engined: not running")
        done = stack.vcryptoctl("status", "--json")
        vctest.equal(done.returncode, 0)
        vctest.equal(json.loads(done.stdout)["engined"], None)
        done = stack.vcryptoctl("--engined", "status")
        vctest.equal((done.returncode, done.stdout), (1, ""))
        vctest.contains(done.stderr, "not running")


def test_no_daemon_is_there():
    with vctest.Stack(host=False, engined=False) as stack:
        done = stack.vcryptoctl("status")
        vctest.equal((done.returncode, done.stdout), (1, ""))
        vctest.equal(done.stderr.count("not running"), 2, done.stderr)
        done = stack.vcryptoctl("--socket", f"{stack.dir}/nothing.ctl", "status")
        vctest.equal(done.returncode, 1)
        vctest.contains(done.stderr, "nothing.ctl")


def test_socket_of_a_daemon_that_was_killed():
    with vctest.Stack(engined=False) as stack:
        stack.host.kill()
        done = stack.vcryptoctl("--host", "status")
        vctest.equal(done.returncode, 1)
        vctest.contains(done.stderr, "not running")
        stack.host.start()
        vctest.equal(stack.vcryptoctl("--host", "status").returncode, 0)


def test_status_follows_the_device():
    with vctest.Stack() as stack:
        stack.host.stop()
        vctest.wait_until(
            lambda: stack.ctl("engined", "status")["device"]["state"] == "down",
            what="engined notices that the device is gone")
        vctest.contains(stack.vcryptoctl("--engined", "status").stdout, ": down")
        stack.host.start()
        stack.wait_device_up()
        vctest.equal(stack.ctl("engined", "status")["device"]["reconnects"], 1)
        stack.engined.stop()
        vctest.wait_until(lambda: not stack.ctl("host", "status")["devices"][0]["connected"],
                          what="the host notices that its front end is gone")
        vctest.contains(stack.vcryptoctl("--host", "status").stdout, "no front end")


def test_control_sockets_are_private():
    with vctest.Stack() as stack:
        for daemon in stack.daemons:
            mode = stat.S_IMODE(os.stat(daemon.control_path).st_mode)
            vctest.equal(mode, 0o600, daemon.control_path)


def test_bad_clients_do_no_harm():
    with vctest.Stack() as stack:
        for daemon in ("host", "engined"):
            path = f"{stack.dir}/{daemon}.ctl"
            pid = getattr(stack, daemon).pid
            files = vctest.settled_files(pid)
            silent = []
            for rubbish in (b"\n", b"hello\n", b"{}\n", b"[" * 60000 + b"\n", b"\0\xff\n",
                            b"x" * 200000, b'{"command":"status"}'):
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.connect(path)
                try:
                    sock.sendall(rubbish)
                except OSError:
                    pass
                silent.append(sock)
            with vctest.raises(vctest.ControlError, 'unknown command "x"'):
                stack.ctl(daemon, "x")
            vctest.equal(stack.ctl(daemon, "version")["daemon"], f"vcrypto-{daemon}")
            for sock in silent:
                sock.close()
            vctest.equal(vctest.settled_files(pid), files, "descriptors")


if __name__ == "__main__":
    vctest.main(globals())
