"""A study that is killed again and again, against one that is not: SIGKILL at random moments, then the tables compared.

    python benchmarks/interruptions.py configs/smoke.yaml --kills 20

Runs the study once whole, then anew with a kill after a random time (uniform up
to --longest seconds), until it ends. Prints the kills, how many tables, figures
and weights there are, and which of them differ. Times of steps and logs differ
by nature and are left out.
"""

import argparse
import filecmp
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = (".csv", ".md", ".tex", ".npy", ".safetensors", ".png", ".json")
BY_NATURE = ("steps", "films")
"""Folders: records of when and how long, and prepared films with the times of their sources."""


def command(config: str, out: Path) -> list[str]:
    """The study as a user runs it."""
    return [sys.executable, "-m", "patchcxr", "study", config, "--out", str(out)]


def results(out: Path) -> dict[str, Path]:
    """Files that must be equal."""
    found = {str(path.relative_to(out)): path for path in sorted(out.rglob("*")) if path.suffix in KINDS}
    return {name: path for name, path in found.items() if not set(Path(name).parts) & set(BY_NATURE)}


def main() -> int:
    """Compare, and return 0 if nothing differs but what is listed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        begin = time.perf_counter()
        subprocess.run(command(options.config, whole), check=True, capture_output=True)
        print(f"whole: {time.perf_counter() - begin:.0f} s", flush=True)
        kills = 0
        while True:
            process = subprocess.Popen(
                command(options.config, killed), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            try:
                _, said = process.communicate(
                    timeout=moments.uniform(3, options.longest) if kills < options.kills else None
                )
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                continue
            if process.returncode not in (0, 1):
                print(said)
                return 2
            break
        expected, found = results(whole), results(killed)
        missing = sorted(expected.keys() ^ found.keys())
        both = expected.keys() & found.keys()
        differ = sorted(name for name in both if not filecmp.cmp(expected[name], found[name], shallow=False))
        print(f"{kills} kills; {len(both)} files in both, {len(missing)} in one, {len(differ)} differ")
        for name in missing + differ:
            print(f"  {name}")
        left = [path for path in killed.rglob("*") if path.suffix in (".tmp", ".part")]
        print(f"{len(left)} temporary files left")
    return 1 if missing or differ or left else 0


if __name__ == "__main__":
    sys.exit(main())
