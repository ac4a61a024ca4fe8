"""The engine (layer 4): client, worker and upkeep, over the ports alone."""
