"""A study or a training that is killed again and again, against one that is not: SIGKILL at random moments.

    python benchmarks/interruptions.py study configs/smoke.yaml --kills 50
    python benchmarks/interruptions.py train configs/smoke.yaml --kills 50

Runs it once whole, then with a kill after a random time (uniform from 3 to
--longest seconds), again and again, until it ends, and anew in another folder until
there were enough kills. Prints how many tables, figures and weights there
are, and which of them differ. Of weights the numbers are compared, of tables
all columns but seconds and minutes, with the folder's name left out of paths.
Logs and the tables of steps and trainings say how long things took, and are
left out. ``train`` trains the anatomy network of the configuration.
"""

import argparse
import filecmp
import io
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.io.checkpoint import load_weights

KINDS = (".csv", ".md", ".tex", ".npy", ".safetensors", ".png", ".json")
BY_NATURE = ("steps", "films", "steps.csv", "steps.md", "trainings.csv", "trainings.md")
"""Folders and files: records of when and how long, and prepared films with the times of their sources."""


def command(kind: str, config: str, cohort: Path, out: Path) -> list[str]:
    """The study or training as a user runs it."""
    what = [config] if kind == "study" else ["anatomy", str(cohort), "--config", config]
    return [sys.executable, "-m", "patchcxr", kind, *what, "--out", str(out)]


def results(out: Path) -> dict[str, Path]:
    """Files that must be equal."""
    found = {str(path.relative_to(out)): path for path in sorted(out.rglob("*")) if path.suffix in KINDS}
    return {name: path for name, path in found.items() if not set(Path(name).parts) & set(BY_NATURE)}


def same(one: Path, other: Path, roots: tuple[Path, Path]) -> bool:
    """Whether two files say the same, but for how long it took and where."""
    if filecmp.cmp(one, other, shallow=False):
        return True
    if one.suffix == ".safetensors":
        a, b = load_weights(one)[0], load_weights(other)[0]
        return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    if one.suffix == ".csv":
        tables = [
            pd.read_csv(io.StringIO(path.read_text().replace(str(root), "")), dtype=str).drop(
                columns=["seconds", "minutes"], errors="ignore"
            )
            for path, root in zip((one, other), roots, strict=True)
        ]
        return tables[0].equals(tables[1])
    return False


def killed_until_it_ends(arguments: list[str], moments: random.Random, kills: int, longest: float) -> int:
    """Run a command again and again, with at most so many kills; how many there were."""
    done = 0
    while True:
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _, said = process.communicate(timeout=moments.uniform(3, longest) if done < kills else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            done += 1
            continue
        if process.returncode not in (0, 1):
            raise SystemExit(said)
        return done


def main() -> int:
    """Compare, and return 0 if nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("study", "train"))
    parser.add_argument("config")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments, kills, differ, left, ends = random.Random(options.seed), 0, set(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        generate_cohort(root / "films", SyntheticConfig(size=128, patients=30, films_per_patient_max=2))
        cohort = root / "films" / "cohort.csv"
        begin = time.perf_counter()
        subprocess.run(command(options.kind, options.config, cohort, root / "whole"), check=True, capture_output=True)
        print(f"whole: {time.perf_counter() - begin:.0f} s", flush=True)
        expected = results(root / "whole")
        while kills < options.kills:
            out = root / f"killed-{ends}"
            arguments = command(options.kind, options.config, cohort, out)
            kills += killed_until_it_ends(arguments, moments, options.kills - kills, options.longest)
            found, ends = results(out), ends + 1
            both = expected.keys() & found.keys()
            differ |= expected.keys() ^ found.keys()
            differ |= {name for name in both if not same(expected[name], found[name], (root / "whole", out))}
            left += sum(path.suffix in (".tmp", ".part") for path in out.rglob("*"))
            print(
                f"{kills} kills, ended {ends} times; of {len(expected)} files {len(differ)} differ; {left} left behind"
            )
        for name in sorted(differ):
            print(f"  {name}")
    return 1 if differ or left else 0


if __name__ == "__main__":
    sys.exit(main())
