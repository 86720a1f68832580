"""How fast it is: latencies that can be compared, and the most that this machine could do."""
