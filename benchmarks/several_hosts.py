"""``patchcxr score`` on several hosts that share a network file system, on a bad day.

    python benchmarks/several_hosts.py
    python benchmarks/several_hosts.py --only worker-link-lost files-killed-20s
    python benchmarks/several_hosts.py --local-disk          # hosts alone, with this machine's disk

Needs Linux, root, iproute2, util-linux, and GlusterFS (Debian: ``glusterfs-server``, ``glusterfs-client``) but for
--local-disk. Makes of this machine a switch and four hosts, each with network, mounts, processes and name of its own:
``files`` (10.77.0.1) serves a disk of its own, ``a`` (10.77.0.2) runs scheduler and command, ``b`` and ``c`` a worker
each. They reach nothing else, and end with the program.

Every experiment scores synthetic films, an eighth of them broken, into a new folder. When two parts are done, something
happens to a link, at the switch, so that nobody is told; or to a host, all of whose processes are killed at once. If
the command ends with an error, or with another result, all hosts are started anew and it is given once more. Scores,
failures and maps must be those of one process with a local folder, byte for byte. Prints a row of a Markdown table an
experiment, and what happened when to stderr; logs go to --logs.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pandas as pd

from patchcxr.data.synthetic import SyntheticConfig, generate_cohort

NUMBERS = {"files": 1, "a": 2, "b": 3, "c": 4}
SCHEDULER = "tcp://10.77.0.2:8786"
APART = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child"]
MOST_SECONDS = 14400
"""Should this program be killed, hosts end by themselves."""


def wait_until(check: Callable[[], bool], patience: float) -> float | None:
    """Seconds until something is so; None if it is not in time."""
    begin = time.monotonic()
    while not check():
        if time.monotonic() - begin > patience:
            return None
        time.sleep(0.1)
    return time.monotonic() - begin


class Host:
    """A host; when its first process is killed, the kernel ends all others, and its mounts and links."""

    started: ClassVar[list["Host"]] = []

    def __init__(self, name: str, root: Path, logs: Path) -> None:
        self.own, self.logs = root / name, logs
        self.outer = subprocess.Popen(["unshare", *APART, "sleep", str(MOST_SECONDS)])
        children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children")
        if wait_until(lambda: bool(children.read_text().strip()), 10) is None:
            raise SystemExit("no process could be started in namespaces of its own; are you root?")
        self.first = children.read_text().strip()
        Host.started.append(self)
        time.sleep(0.3)  # it mounts /proc before it sleeps
        self.run(f"hostname host-{name}", "ip link set lo up")

    def enter(self, *command: object) -> list[str]:
        """A command, as it is started from outside."""
        return ["nsenter", "-t", self.first, "-a", *map(str, command)]

    def run(self, *commands: str, check: bool = True) -> str:
        """Run short commands; what the last printed."""
        for command in commands:
            done = subprocess.run(self.enter(*command.split()), capture_output=True, text=True, timeout=120)
            if check and done.returncode:
                raise SystemExit(f"{self.own.name}: {command}: {done.stderr or done.stdout}")
        return done.stdout

    def spawn(self, log: str, *module: object) -> subprocess.Popen:
        """Start a Python module."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": path, "DASK_TEMPORARY_DIRECTORY": str(self.own)}
        command = self.enter(sys.executable, "-m", *module)
        with (self.logs / f"{log}.log").open("a") as file:
            return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def sees(self, path: Path) -> Path:
        """A path of this host, from outside."""
        return Path(f"/proc/{self.first}/root{path}")

    def stop(self) -> None:
        """Kill every process of this host."""
        self.outer.kill()
        self.outer.wait()
        wait_until(lambda: not Path(f"/proc/{self.first}").exists(), 30)


class Site:
    """The switch, the hosts, and the folder that they share."""

    def __init__(self, root: Path, logs: Path, local_disk: bool) -> None:
        self.root, self.logs, self.local_disk, self.shared = root, logs, local_disk, root / "shared"
        self.hosts: dict[str, Host] = {}
        for folder in ("shared", "brick", "glusterd"):
            (root / folder).mkdir()
        self.switch = Host("switch", root, logs)
        self.switch.run("ip link add bridge type bridge", "ip link set bridge up")

    def start(self, name: str) -> None:
        """Start a host, plug it in, and mount what is shared."""
        host, port = Host(name, self.root, self.logs), f"port-{name}"
        self.hosts[name] = host
        self.switch.run(f"ip link delete {port}", check=False)  # of a killed host, which may have unsent data
        link = f"ip link add {port} type veth peer name eth0 netns {host.first}"  # an id from outside: network only
        subprocess.run(["nsenter", "-t", self.switch.first, "-n", *link.split()], check=True)
        self.switch.run(f"ip link set {port} master bridge up")
        host.run(f"ip address add 10.77.0.{NUMBERS[name]}/24 dev eth0", "ip link set eth0 up")
        if self.local_disk:
            return
        host.run("mount -t tmpfs none /run", "mount -t tmpfs none /var/log", "mkdir /run/gluster /var/log/glusterfs")
        if name != "files":
            host.run(f"mount -t glusterfs 10.77.0.1:/films {self.shared}")
            return
        disk, brick, old = self.root / "disk", self.root / "brick", (self.root / "disk").exists()
        if not old:
            host.run(f"truncate -s 2G {disk}", f"mkfs.ext4 -q {disk}")
        host.run(
            f"mount -o loop {disk} {brick}", f"mount --bind {self.root / 'glusterd'} /var/lib/glusterd", "glusterd"
        )
        if not old:
            gluster = "gluster --mode=script volume"
            host.run(f"{gluster} create films 10.77.0.1:{brick}/films", f"{gluster} start films")
        if wait_until(lambda: " Y " in host.run("gluster volume status films", check=False), 60) is None:
            raise SystemExit("the file server does not start")

    def restart(self) -> None:
        """All hosts as on a good day; a file server that works goes on."""
        for name in self.hosts.keys() - {"files"}:
            self.hosts[name].stop()
        if "files" not in self.hosts or self.hosts["files"].outer.poll() is not None:
            self.start("files")
        self.switch.run("ip link set port-files up")
        for name in ("a", "b", "c"):
            self.start(name)


class Run:
    """Scheduler, workers and command at work in a folder of their own."""

    def __init__(self, site: Site, name: str, score: list[str], patience: float) -> None:
        self.site, self.name, self.patience, self.notes = site, name, patience, list[str]()
        self.out = site.shared / name
        self.score = [*score, "--out", str(self.out), "--scheduler", SCHEDULER]
        self.start()

    def start(self) -> None:
        """Start all hosts anew, and all at once what works on them."""
        self.site.restart()
        self.spawn("a", "scheduler", "dask", "scheduler", "--host", "10.77.0.2", "--no-dashboard")
        for name in ("b", "c"):
            self.spawn(name, f"worker-{name}", "dask", "worker", SCHEDULER, "--nthreads", 1, "--no-dashboard")
        self.command = self.spawn("a", "command", "patchcxr", *self.score)
        self.begin = time.monotonic()

    def spawn(self, host: str, what: str, *module: object) -> subprocess.Popen:
        """Start a Python module on a host."""
        return self.site.hosts[host].spawn(f"{self.name}-{what}", *module)

    def says(self, what: str) -> str:
        """What a process printed."""
        return (self.site.logs / f"{self.name}-{what}.log").read_text(errors="replace")

    def note(self, words: str) -> None:
        """For the row."""
        self.notes.append(words)
        print(f"  {time.monotonic() - self.begin:5.0f} s  {self.name}: {words}", file=sys.stderr, flush=True)

    def wait(self, process: subprocess.Popen, what: str) -> int | None:
        """Exit status of a process, None if it does not end; its last words are noted."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.patience)
        words = self.says(what).strip().replace("\r", "\n").rpartition("\n")[2][:300]
        self.note(f"{what}: exit status {process.poll()}, {words}")
        return process.poll()

    def end(self, expected: dict[str, bytes]) -> str:
        """Wait for the command, give it again if need be, and compare; the row."""
        alive = [host for host in map(self.site.hosts.get, ("a", "b")) if host.outer.poll() is None]
        status = self.wait(self.command, "command") if alive[0] is self.site.hosts["a"] else None
        seconds, again = time.monotonic() - self.begin, "-"
        try:
            missing, wrong = compare(expected, alive[0].sees(self.out))
        except OSError as error:
            missing, wrong = list(expected), []
            self.note(f"then: {error.strerror}")
        if missing or wrong:
            self.note(f"{len(missing)} files missing, {len(wrong)} wrong {' '.join(wrong)}")
            self.start()
            again = str(self.wait(self.command, "command"))
        else:
            self.site.restart()
        out = self.site.hosts["a"].sees(self.out)
        left = [path for path in out.rglob("*") if path.name.startswith(".") or path.parent.name == "scratch"]
        self.note(f"left behind: {' '.join(str(path.relative_to(out)) for path in left) or 'nothing'}")
        first, last = f"{len(missing)} + {len(wrong)}", " + ".join(str(len(names)) for names in compare(expected, out))
        cells = [self.name, status, f"{seconds:.0f}", first, again, last, len(left), "; ".join(self.notes)]
        return f"| {' | '.join(map(str, cells))} |"


def compare(expected: dict[str, bytes], out: Path) -> tuple[list[str], list[str]]:
    """Files that are missing, and those that are too many or other than expected."""
    found = results(out)
    return sorted(expected.keys() - found), sorted(name for name in found if found[name] != expected.get(name))


def results(out: Path) -> dict[str, bytes]:
    """Scores, failures and maps, byte by byte."""
    found = [path for kind in ("scores", "failures", "maps") for path in sorted((out / kind).rglob("*"))]
    return {str(path.relative_to(out)): path.read_bytes() for path in found if path.is_file()}


Happening = Callable[[Run], object]


def link_lost(name: str, seconds: int | None = None) -> Happening:
    """A host's link goes down, for good or for some time."""

    def happens(run: Run) -> None:
        run.site.switch.run(f"ip link set port-{name} down")
        found = wait_until(
            lambda: "Remove worker" in run.says("scheduler"), run.patience if seconds is None else seconds
        )
        run.note(
            "scheduler gave no worker up" if found is None else f"scheduler gave the worker up after {found:.0f} s"
        )
        if seconds is not None:
            time.sleep(seconds - (seconds if found is None else found))
            run.site.switch.run(f"ip link set port-{name} up")

    return happens


def killed(name: str, seconds: int | None = None) -> Happening:
    """Every process of a host is killed; for good, or it is started again after some time."""

    def happens(run: Run) -> None:
        run.site.hosts[name].stop()
        if seconds is not None:
            time.sleep(seconds)
            run.site.start(name)

    return happens


def on_host(name: str, command: str, seconds: int = 0, undo: str = "true") -> Happening:
    """A command on a host, which sees no processes but the host's, and one that undoes it after some time."""

    def happens(run: Run) -> None:
        run.site.hosts[name].run(command.format(shared=run.site.shared))
        time.sleep(seconds)
        run.site.hosts[name].run(undo)

    return happens


def lock_of_dead_host(run: Run) -> None:
    """The command's host disappears and dies; the command is tried on another, without cluster, until it may work."""
    run.site.switch.run("ip link set port-a down")
    run.site.hosts["a"].stop()
    begin, tries, status = time.monotonic(), 0, None
    while status not in (0, 1) and time.monotonic() - begin < run.patience:
        status = run.spawn("b", f"try-{tries}", "patchcxr", *run.score[:-2]).wait()
        tries += 1
    run.note(f"command on b: exit status {status} in try {tries}, after {time.monotonic() - begin:.0f} s")


EXPERIMENTS: dict[str, Happening] = {
    "undisturbed": lambda run: None,
    "worker-link-lost": link_lost("c"),
    "worker-link-lost-20s": link_lost("c", 20),
    "worker-link-lost-60s": link_lost("c", 60),
    "head-link-lost-60s": link_lost("a", 60),
    "files-link-lost-20s": link_lost("files", 20),
    "files-link-lost-60s": link_lost("files", 60),
    "worker-cannot-reach-files-60s": on_host(
        "c", "ip route add blackhole 10.77.0.1", 60, "ip route delete blackhole 10.77.0.1"
    ),
    "worker-mount-killed": on_host("c", "pkill -9 -x glusterfs"),
    "worker-unmounted": on_host("c", "umount --lazy {shared}"),
    "worker-killed": killed("b"),
    "scheduler-killed": on_host("a", "pkill -9 -f dask.scheduler"),
    "head-killed": killed("a"),
    "files-killed-20s": killed("files", 20),
    "files-killed": killed("files"),
    "second-command": lambda run: run.wait(run.spawn("b", "second", "patchcxr", *run.score), "second"),
    "lock-of-dead-host": lock_of_dead_host,
}


def make_cohort(folder: Path, films: int, size: int) -> None:
    """Synthetic films; of every 16 one is no picture, and one is gone."""
    generate_cohort(folder, SyntheticConfig(patients=films, films_per_patient_max=1, size=size))
    images = pd.read_csv(folder / "cohort.csv")["image"]
    for place in range(5, films, 16):
        (folder / images[place]).write_bytes(b"no picture")
    for place in range(13, films, 16):
        (folder / images[place]).unlink()


def experiments(root: Path, options: argparse.Namespace) -> None:
    """Print the table, with all that is needed below a folder."""
    site = Site(root, options.logs.resolve(), options.local_disk)
    site.restart()
    make_cohort(root / "films", options.films, options.size)
    shutil.copytree(root / "films", site.hosts["a"].sees(site.shared / "films"))
    score = ["score", str(site.shared / "films" / "cohort.csv"), "--part-size", "4", "--device", "cpu"]
    score += ["--set", f"vote.patches={options.patches}"]
    score += [] if options.explain is None else ["--explain", options.explain]
    status = site.hosts["a"].spawn("whole", "patchcxr", *score, "--out", root / "whole").wait()
    expected = results(root / "whole")
    print(f"One process, undisturbed: exit status {status}, {len(expected)} files.\n")
    print("| experiment | status | s | missing + wrong | again | missing + wrong | left behind | what happened |")
    print("|---|---|---:|---|---|---|---:|---|", flush=True)
    for name in options.only:
        if not (options.local_disk and ("files" in name or "mount" in name)):
            run = Run(site, name, score, options.patience)
            done = site.hosts["a"].sees(run.out / "done")
            if wait_until(lambda done=done: len(list(done.glob("part-*.json"))) >= 2, options.patience) is None:
                raise SystemExit(f"{name}: no part gets done; see {options.logs}")
            EXPERIMENTS[name](run)
            print(run.end(expected), flush=True)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS), metavar="EXPERIMENT")
    parser.add_argument("--local-disk", action="store_true", help="hosts share this machine's disk; no file server")
    parser.add_argument("--films", type=int, default=64)
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--patches", type=int, default=16)
    parser.add_argument("--explain", metavar="CLASS", help="maps of this class too")
    parser.add_argument("--patience", type=float, default=600, metavar="SECONDS", help="for a command to end")
    parser.add_argument("--logs", type=Path, default=Path("several-hosts-logs"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options.logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hosts-", ignore_cleanup_errors=True) as folder:
        try:
            experiments(Path(folder), options)
        finally:
            for host in Host.started:
                if host.outer.poll() is None:
                    host.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
