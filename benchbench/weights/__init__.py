"""Weights of the reference implementations in our predictors, and the files that hold them."""
