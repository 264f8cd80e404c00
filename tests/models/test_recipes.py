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


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_a_suites_train(recipe: Recipe) -> None:
    Train.model_validate(recipe.train)
