"""Whole film against the vote of patches on the same test films: Oh 2020, Tables X and XI.

    python analysis/oh2020_tables_10_and_11.py global=a/global local=a/local --positive viral --out table

Folders are those of `patchcxr classify` on test films whose truth is known.
Writes confusion matrices, scores with patient bootstrap, the sensitivity of
each class, McNemar's test of right and wrong films and DeLong's of the AUROC
of the class asked for.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from patchcxr.report.curves import confusion_figure
from patchcxr.report.published import beside_published
from patchcxr.report.style import save_figure
from patchcxr.report.tables import to_markdown, write_table
from patchcxr.stats.detectors import delong_test
from patchcxr.study.evaluate.classification import score_predictions

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs=2, metavar="METHOD=FOLDER", help="two, such as global=... and local=...")
    parser.add_argument("--positive", required=True, metavar="CLASS")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    text = {"study": str, "patient": str}
    parts = {
        name: pd.read_csv(Path(folder) / "predictions.csv", dtype=text)
        for name, _, folder in (pair.partition("=") for pair in options.folders)
    }
    films = pd.concat([part.assign(method=name) for name, part in parts.items()], ignore_index=True)
    films = films[films["truth"].notna()]
    classes = tuple(str(name)[2:] for name in films if str(name).startswith("p_"))
    options.out.mkdir(parents=True, exist_ok=True)
    score_predictions(films, classes, options.out, np.random.default_rng(options.seed))
    wide = films.pivot(index="study", columns="method", values=f"p_{options.positive}").dropna()
    truth = films.drop_duplicates("study").set_index("study").loc[wide.index, "truth"] == options.positive
    first, second = parts
    found = delong_test(truth.to_numpy(), wide[first].to_numpy(), wide[second].to_numpy())
    row = {"positive": options.positive, "first": first, "second": second, "n": len(wide), **found._asdict()}
    write_table(pd.DataFrame([row]), options.out / "delong")
    matrices = {
        name: pd.read_csv(options.out / f"confusion_{name}.csv").set_index("truth").to_numpy() for name in parts
    }
    save_figure(confusion_figure(matrices, list(classes)), options.out / "confusion", ("png", "svg"))
    scores = pd.read_csv(options.out / "scores.csv")
    long = scores.melt("method", ["accuracy", "precision", "recall", "f1", "specificity"], "measure", "value")
    beside = beside_published(long.rename(columns={"method": "setting"}), "Oh 2020", "Table X")
    print(to_markdown(beside))
    for name in ("scores", "sensitivity", "comparison", "delong"):
        table = options.out / f"{name}.md"
        print(table.read_text(encoding="utf-8") if table.is_file() else "")
