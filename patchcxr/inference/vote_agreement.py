"""Agreement of two ways to vote on the same films, such as dense and sampled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError
from patchcxr.inference.predictions import Predictions
from patchcxr.stats.intervals import wilson_interval


def vote_agreement(a: Predictions, b: Predictions) -> pd.DataFrame:
    """Compare what two votes say of the films that both have.

    Parameters
    ----------
    a, b
        Predictions of the same classes.

    Returns
    -------
    pandas.DataFrame
        A row for all classes together (``class`` is ``all``) and one for each: ``n`` films, ``only_a`` and ``only_b``
        (films of one table alone, left out), ``equal`` (films with equal predictions; for a class, those that both or
        neither give to it), ``share``, ``low``, ``high`` (Wilson, films taken as independent),
        ``mean_absolute_difference`` and ``maximum_difference`` of the probabilities, and their Pearson
        ``correlation``, NaN where one of them never varies.

    Raises
    ------
    CohortError
        If the classes differ or no film is common.

    Examples
    --------
    >>> from patchcxr.inference.predictions import as_predictions
    >>> films = {"study": ["x", "y"], "predicted": ["u", "v"], "p_u": [0.9, 0.4], "p_v": [0.1, 0.6]}
    >>> found = vote_agreement(*[as_predictions(pd.DataFrame(films))] * 2)
    >>> found.loc[0, ["share", "mean_absolute_difference"]].tolist()
    [1.0, 0.0]
    """
    if a.classes != b.classes:
        raise CohortError(f"got the classes {', '.join(a.classes)} and {', '.join(b.classes)}; expected the same ones")
    first, second = pd.Index(a.table["study"]), pd.Index(b.table["study"])
    common = first.intersection(second, sort=False)
    if common.empty:
        raise CohortError("no film is in both tables; expected predictions of the same cohort; check the column study")
    left, right = a.take(first.get_indexer(common)), b.take(second.get_indexer(common))
    rows = []
    for index, name in enumerate(("all", *a.classes), start=-1):
        if index < 0:
            same, p, q = left.predicted == right.predicted, left.probability, right.probability
        else:
            same = (left.predicted == index) == (right.predicted == index)
            p, q = left.probability[:, index], right.probability[:, index]
        low, high = wilson_interval(int(same.sum()), len(common))
        varies = np.ptp(p) > 0 and np.ptp(q) > 0
        rows.append(
            {
                "class": name,
                "n": len(common),
                "only_a": len(first) - len(common),
                "only_b": len(second) - len(common),
                "equal": int(same.sum()),
                "share": float(same.mean()),
                "low": low,
                "high": high,
                "mean_absolute_difference": float(np.abs(p - q).mean()),
                "maximum_difference": float(np.abs(p - q).max()),
                "correlation": float(np.corrcoef(p.ravel(), q.ravel())[0, 1]) if varies else float("nan"),
            }
        )
    return pd.DataFrame(rows)
