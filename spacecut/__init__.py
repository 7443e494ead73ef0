"""Measure how a platform really runs neural networks, and cut the search space before the search."""
