"""MesoNet graphs."""

WEIGHTS = ("Meso4_DF", "Meso4_F2F", "MesoInception_DF", "MesoInception_F2F")
