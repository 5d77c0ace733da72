"""Starts servers and kills them: all is imported once, and every server is a fork, so that it starts quickly.

Commands come as JSON lines on standard input: `{"start": {environment}, "log": file}`, `{"look": process}` and
`{"kill": process}`; each is answered with a line.  When the input ends, for whatever reason, so do the servers.
"""

import faulthandler
import json
import os
import signal
import sys


def main() -> None:
    import rdkit.Chem.AllChem  # noqa: F401

    from app.commands import serve
    from app.engine import engine
    from app.engine.capacity import Capacity

    # measuring it at every start takes longer than all jobs, and is not what is tested
    engine.calibrate = lambda model, molecule: Capacity(5e-3, 2e-5, 5e-7, 64 * 48**2)
    living: set[int] = set()
    print("ready", flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if "kill" in command:
            end(command["kill"])
            living.discard(command["kill"])
            print("killed", flush=True)
            continue
        if "look" in command:
            print("ended" if os.waitpid(command["look"], os.WNOHANG)[0] else "alive", flush=True)
            continue
        process = os.fork()
        if process == 0:
            become(serve.run, command)
        living.add(process)
        print(process, flush=True)
    for process in living:
        end(process)


def end(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def become(run, command) -> None:
    """A server, which never returns."""
    os.environ.update(command["start"])
    log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(number, target)
    faulthandler.register(signal.SIGUSR1)  # what all threads do, into the log
    try:
        run(None, None, None, None, None, None)
    finally:
        os._exit(1)


if __name__ == "__main__":  # child processes of the servers load this file too
    main()
