"""A Python that has imported what takes seconds, and from which the commands of recipes that tests run are forked.

``python()`` gives a program to be called like Python. What begins with ``-m trnet.``, and torchrun, runs in a fork of
a server, with the caller's arguments, environment, working directory and standard streams; of trnet, only the commands
(trnet.bin) are imported anew each time. Ctrl-C and SIGTERM reach the command and its processes, and it is killed when
its caller is. Anything else runs in Python itself.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NoReturn

HEAVY = ("torch", "torch.utils.tensorboard.summary", "torchaudio.compliance.kaldi", "scipy.stats", "scipy.signal")
HEAVY += ("matplotlib.figure", "matplotlib.backends.backend_agg", "pandas", "pydantic", "configargparse", "soundfile")
HEAVY += ("tensorboard.summary.writer.record_writer", "tqdm", "yaml", "sklearn.manifold", "sklearn.metrics")
HEAVY += ("torch._dynamo", "torch._inductor.config")  # optimizers and deterministic algorithms bring them
ROOT = Path(__file__).parents[2]
COMMANDS = "trnet.bin"
GIVEN = "TRNET_TEST_PYTHON"  # the program, where a server is shared
CLIENT = """
import json, os, signal, socket, sys
arguments = sys.argv[2:]
if arguments[:1] == ["-u"]:  # as torchrun calls it; the server prints without buffers
    del arguments[0]
if arguments[:1] != ["-m"] or not arguments[1].startswith(("trnet.", "torch.distributed.run")):
    os.execv(sys.executable, [sys.executable, *arguments])
call = json.dumps([arguments, dict(os.environ), os.getcwd()]).encode("utf-8", "surrogateescape")
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    socket.send_fds(server, [len(call).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(call)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: server.send(bytes([number])))
    answer = server.recv(8)
sys.exit(int(answer) if answer else 1)
"""


@cache
def python() -> Path:
    """The program; its server is started once, and ends with the process that started it: see `share`."""
    if GIVEN in os.environ:
        return Path(os.environ[GIVEN])
    folder = Path(tempfile.mkdtemp(prefix="trnet-python-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    client, program, address = folder / "client.py", folder / "python", str(folder / "socket")
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(ROOT)
    with socket.socket(socket.AF_UNIX) as listening:  # callers can connect while the server still imports
        listening.bind(address)
        listening.listen()
        number = listening.fileno()
        command = [sys.executable, __file__, str(number), str(program)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=[number])
    atexit.register(_end, server)
    client.write_text(CLIENT)
    words = [sys.executable, "-I", "-S", str(client), address]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    return program


def share() -> None:
    """Have processes that this one starts use its server."""
    os.environ[GIVEN] = str(python())


def _end(server: subprocess.Popen) -> None:
    server.kill()
    server.wait()


def serve(listening: socket.socket, program: str) -> None:
    """Answer calls until standard input is closed, as it is when the process that started this one ends."""
    gc.disable()
    for name in HEAVY:
        with contextlib.suppress(ImportError):
            __import__(name)
    for file in sorted((ROOT / "trnet/bin").glob("[a-z]*.py")):
        __import__(f"{COMMANDS}.{file.stem}")
    for name in [name for name in sys.modules if name.startswith(COMMANDS)]:
        del sys.modules[name]
    gc.freeze()
    gc.enable()
    if os.fork() == 0:  # ends the server with its parent
        listening.close()
        server = os.getppid()
        os.read(0, 1)
        if os.getppid() == server:
            os.kill(server, signal.SIGKILL)
        os._exit(0)
    signal.signal(signal.SIGCHLD, _reap)
    sys.executable = program  # for commands that commands run
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            arguments, environment, folder, streams = _call(connection)
            if (child := os.fork()) == 0:
                os.setpgid(0, 0)
                connection.close()
                _run(arguments, environment, folder, streams)
            for stream in streams:
                os.close(stream)
            connection.sendall(str(_status(child, connection)).encode())
            os._exit(0)
        connection.close()


def _status(child: int, connection: socket.socket) -> int:
    """That of the command when it has ended; signals that its caller passes on reach its group of processes."""
    with contextlib.suppress(PermissionError):  # it has a group already
        os.setpgid(child, child)
    ended = os.pidfd_open(child)
    while ended not in select.select([connection, ended], [], [])[0]:
        signals = connection.recv(8)
        if not signals:  # the caller was killed
            os.kill(child, signal.SIGKILL)
            os._exit(1)
        for number in signals:
            os.killpg(child, number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _call(connection: socket.socket) -> tuple[list[str], dict[str, str], str, list[int]]:
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    size, call = int.from_bytes(head, "big"), b""
    while len(call) < size:
        call += connection.recv(size - len(call))
    arguments, environment, folder = json.loads(call.decode("utf-8", "surrogateescape"))
    return arguments, environment, folder, streams


def _run(arguments: list[str], environment: dict[str, str], folder: str, streams: list[int]) -> NoReturn:
    """What ``python -m MODULE ...`` does."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(":")), *sys.path[1:]]
    found = PathFinder.find_spec("trnet")
    if found is None or found.origin != sys.modules["trnet"].__file__:  # another checkout's
        for name in [name for name in sys.modules if name.partition(".")[0] == "trnet"]:
            del sys.modules[name]
    sys.orig_argv[:] = [sys.executable, *arguments]
    sys.argv[:] = ["-m", *arguments[2:]]
    status: object = 0
    try:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        status = stop.code
    if isinstance(status, str):
        print(status, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))  # nothing is freed, as all of it is shared


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
