"""From a finished run to a compiled, checked, portable predictor: network → backend → parity → artifact → Predictor."""
