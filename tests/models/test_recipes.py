"""Published trainings in certificates are what a suite can say."""

from __future__ import annotations

import pytest

from benchbench.registry import MODELS
from benchbench.suite.schema import Train
from benchbench.weights.certificate import Recipe, certificate

RECIPES = [
    pytest.param(recipe, id=f"{name}: {recipe.what}")
    for name in MODELS.names()
    for recipe in certificate(name).recipes
]


def test_every_certificate_has_a_recipe_or_says_that_none_is_published() -> None:
    for name in MODELS.names():
        entry = certificate(name)
        if entry.training and not entry.recipes:
            assert "no published recipe" in " ".join(entry.training), name
        if "blocks" in MODELS.get(name).options:
            assert "no reference exists" in " ".join(entry.unproved), name


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_a_suites_train(recipe: Recipe) -> None:
    Train.model_validate(recipe.train)
