"""budgetnet: how much accuracy does a parameter budget buy?"""

__version__ = "0.1.0"
