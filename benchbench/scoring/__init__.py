"""Scores: what a protocol computes, over a stream of predicted clips, and how it is pooled."""
