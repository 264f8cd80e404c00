"""Events: what a person reads of them, and their way through JSON."""

from __future__ import annotations

import json

import pytest

from benchbench.training import events
from benchbench.training.events import Event, Note, Training, from_plain, to_plain

EVENTS = {
    "step 40/100, loss 0.25": Training(40, 100, 0.25),
    "step 40/100, loss 0.25, val MSE 0.01235, 2m left": Training(40, 100, 0.25, 0.012345, 2.0),
    "testing 3/9": events.Testing(3, 9),
    "held by another: process 7 on n1": Note("held", "process 7 on n1"),
    "done": Note("done"),
}


@pytest.mark.parametrize("text", EVENTS)
def test_an_event_says_in_words_where_a_run_stands(text: str) -> None:
    assert str(EVENTS[text]) == text


@pytest.mark.parametrize("event", EVENTS.values(), ids=str)
def test_an_event_survives_a_file_that_holds_more(event: Event) -> None:
    file = json.loads(json.dumps({**to_plain(event), "host": "n1", "updated": 1.5}))
    assert from_plain(file) == event


def test_times_are_told_as_roughly_as_they_matter() -> None:
    assert [events.clock(seconds) for seconds in (45.4, 720, 12_000)] == ["45s", "12m", "3h20m"]
