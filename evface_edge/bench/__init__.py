"""Benchmarks: latency, memory, energy and throughput of models on this machine."""
