"""Concrete operators, the workload of a space, and builders of small networks."""

from spacecut.operators.network import INPUT, ZERO, Affine, Network, Node
from spacecut.operators.operator import Operator
from spacecut.operators.workload import ABSENT, Factor, Workload, expand

__all__ = ["ABSENT", "INPUT", "ZERO", "Affine", "Factor", "Network", "Node", "Operator", "Workload", "expand"]
