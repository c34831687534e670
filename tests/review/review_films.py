"""Small reviews to test with: masks of 8 x 8 pixels that are the first rows of the film."""

from __future__ import annotations

import itertools

import numpy as np

from patchcxr.review.blobs import encode_mask
from patchcxr.review.store import Film, ProposedFilm, ReviewStore

SIDE = 8
_keys = itertools.count()


def top(rows, side=SIDE):
    """Mask of the first rows."""
    mask = np.zeros((side, side), dtype=bool)
    mask[:rows] = True
    return mask


def png(rows, side=SIDE):
    return encode_mask(top(rows, side))


def proposed(film, disagreement=0.0, problem=None, patient=None, lung=None, **sources):
    """A film whose sources each propose the first so many rows."""
    record = Film(film, f"{film}.png", patient or f"patient of {film}", SIDE, SIDE, lung, None)
    return ProposedFilm(record, {name: png(rows) for name, rows in sources.items()}, disagreement, problem)


def review(folder, *films, readers=("ann", "bob"), per_film=1, kind="choose"):
    store = ReviewStore.create(folder)
    for reader in readers:
        store.add_reader(reader)
    store.add_round("first", kind, per_film, films)
    return store


def key():
    return f"key-{next(_keys)}"


def choose(store, reader, film, source, round=1, **more):
    """Decide for the mask of a source."""
    table = store.candidates(round).set_index(["film", "source"])
    chosen = int(table.loc[(film, source), "candidate"])
    return store.decide(reader, film, round, "choose", key(), candidate=chosen, **{"seconds": 1.0} | more)


def draw(store, reader, film, rows, round=1, **more):
    return store.decide(reader, film, round, "draw", key(), png=png(rows), **{"seconds": 1.0} | more)


def say(store, reader, film, action, round=1, **more):
    return store.decide(reader, film, round, action, key(), **{"seconds": 1.0} | more)
