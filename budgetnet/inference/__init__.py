"""Compile a finished run to a checked, portable predictor: network → backend → parity → artifact → Predictor."""
