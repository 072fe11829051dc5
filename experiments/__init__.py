"""The shipped catalogue: the explicit, ordered list of experiments."""

from .pointwise import TWINS
from .progression import STEPS

CATALOGUE = (*STEPS, *TWINS)

# Names for several experiments at once: `budgetnet run progression`.
GROUPS = {"progression": STEPS, "pointwise": TWINS}
