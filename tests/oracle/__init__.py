"""A slow, plain reading of the rules of cron, to compare the engine with."""
