"""How often classes that do not differ are called different, by patient and by film.

Run ``python benchmarks/clustered_levels.py``. Two classes of 12 patients with 4 films each; the films of a patient are
alike (intraclass correlation 0.5) and the classes do not differ, so 5 % of tests should find a difference.
"""

import argparse

import numpy as np
import pandas as pd

from patchcxr.stats.classes import compare

PATIENTS, FILMS, CORRELATION = 12, 4, 0.5


def films_of_two_classes(rng):
    """A table of films whose class is a property of the patient and has no effect."""
    patients = np.repeat(np.arange(2 * PATIENTS), FILMS)
    shared = rng.normal(0, np.sqrt(CORRELATION), 2 * PATIENTS)[patients]
    values = shared + rng.normal(0, np.sqrt(1 - CORRELATION), len(patients))
    return pd.DataFrame(
        {
            "study": [f"film {number}" for number in range(len(patients))],
            "patient": [f"patient {number}" for number in patients],
            "label": np.where(patients < PATIENTS, "a", "b"),
            "value": values,
        }
    )


def main():
    """Print the shares of trials with p below 0.05, and the cover of the intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    rng = np.random.default_rng(0)
    tables = [compare(films_of_two_classes(rng), "value", "label", correction="none") for _ in range(trials)]
    found = pd.concat(tables, ignore_index=True)
    error = 1.96 * np.sqrt(0.05 * 0.95 / trials)
    covered = (found["shift_low"] <= 0) & (found["shift_high"] >= 0)
    print(f"{trials} trials, level 0.05 (+- {error:.3f} by chance)")
    print(f"by patient: {(found['p'] < 0.05).mean():.3f}; 95 % interval of the shift covers 0 in {covered.mean():.3f}")
    print(f"by film: {(found['p_naive'] < 0.05).mean():.3f}")


if __name__ == "__main__":
    main()
