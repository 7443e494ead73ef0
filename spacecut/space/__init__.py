"""What may be chosen: choices, search spaces, layer templates and the YAML reader."""

from spacecut.space.choice import Candidate, Choice
from spacecut.space.reader import load_space, save_space, shipped_spaces
from spacecut.space.search_space import Architecture, SearchSpace

__all__ = ["Architecture", "Candidate", "Choice", "SearchSpace", "load_space", "save_space", "shipped_spaces"]
