"""The shipped catalogue: the explicit, ordered list of experiments."""

from .conclusions import CONCLUSIONS
from .convnets import CONVNETS
from .explore import DROPOUT_RATES, EXPLORE, NORM_PLACES
from .lenet import LENETS
from .mlps import MLPS
from .pointwise import TWINS
from .progression import STEPS
from .separable import SEPARABLES

PORTS = (*SEPARABLES, *LENETS, *CONVNETS, *MLPS)
CATALOGUE = (*STEPS, *TWINS, *PORTS)

__all__ = ["CATALOGUE", "CONCLUSIONS", "GROUPS", "PLANS", "STUDIES"]

# Names for several experiments at once: `budgetnet run progression`.
GROUPS = {
    "progression": STEPS, "pointwise": TWINS, "keras-ports": PORTS,
    "separable": SEPARABLES, "lenets": LENETS, "convnets": CONVNETS, "mlps": MLPS,
}  # fmt: skip

# Searches: `budgetnet sweep explore`.
PLANS = (EXPLORE,)
STUDIES = (NORM_PLACES, DROPOUT_RATES)
